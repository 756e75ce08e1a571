"""Settings chosen on the tuning rows and on other seeds than those reported, with the whole grid.

The tuning rows are an environment of their own: a fifth of the table, the same for every seed. They are
fewer than the prompts of a reported pool, so the horizon is shortened until a prompt recurs as often. A
setting's score is the logarithm of its final regret, averaged over places and seeds, so that no place
outweighs the others. The lowest mean wins, but the first setting of a grid stays unless it is beaten by
more than one standard error of the paired difference. Exploration rates come second, by the same rule:
they are tried with the setting that the grid chose. A policy that is made for one kind of place only
(ACQB and its relatives) gets its best setting for each kind; the policies with memory, which are to find
out the kind, have one setting for both.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import pandas as pd

from ...environment import Environment, pooled_environment
from ...persistence import Prior
from ...persistence.warm_start import SPREADS
from ...policies import POLICIES, LearnerSettings, Service
from ...policies.acqb import SETTINGS
from ...policies.acqb_memory import MemorySettings, acqb_memory, acqb_memory_warm
from ...policies.acqb_p import PENALISED
from ...policies.offline import ScoredRows
from ...routing_table import RoutingTable, departure_odds
from ...runs import Cell
from ...simulate import Policy
from ...streams import Streams
from ...study import Study
from .scenarios import linear_odds, serve, tuning_environment

SEEDS = (100, 101, 102, 103)
RECORDED, LINEAR = "recorded", "linear"
WARM = "ACQB-MW"  # starts from scored rows
SERVED = 0.75  # share of the tuning rows that are served where the others are given with scores
PLACE = ["world", "K", "lam", "arrival_rate"]
# A kind of place, and a cell; lam has no meaning where utilities are linear.
PLACES = (
    (RECORDED, Cell(1, 0.0, 0.7)),
    (RECORDED, Cell(1, 5.0, 0.5)),
    (RECORDED, Cell(2, 0.0, 0.75)),
    (LINEAR, Cell(1, 0.0, 0.6)),
)


@dataclass(frozen=True)
class Candidate:
    """A policy with a setting, given as pairs of a name and a number; none are "context learned"."""

    policy: str
    numbers: tuple[tuple[str, float], ...] = ()

    @property
    def setting(self) -> str:
        """The setting in words, unique among the candidates of a policy."""
        return ", ".join(f"{name} {value:g}" for name, value in self.numbers) or "context learned"


@dataclass(frozen=True)
class TuningTask:
    """One candidate in one place with one seed; T None is the tuning rows' own :func:`horizon`."""

    candidate: Candidate
    kind: str
    cell: Cell
    seed: int
    T: int | None

    def __str__(self) -> str:
        candidate = f"{self.candidate.policy} ({self.candidate.setting})"
        return f"{candidate}, {self.kind}, {self.cell}, seed {self.seed}"


GRID = ((0, 1e-4), (1, 1e-3), (2, 1e-4), (2, 1e-3), (3, 1e-3))  # ridge 4^-k, alpha_coef
RATES = (0.0, 0.002, 0.05)  # of exploration; the published one is .01
SECOND = ", exploration_rate"  # follows a setting's text where a rate is tried with it


def learner_candidates(
    policy: str = "ACQB", chosen: Mapping[str, float] = SETTINGS
) -> list[Candidate]:
    """The published setting, weaker ridges and wider draws; then other exploration rates.

    `chosen` is the ridge and draw that the rates are tried with, the best of the former.
    """
    grid = [{"lambda0": 4.0**-k, "alpha_coef": alpha} for k, alpha in GRID]
    rates = [{**chosen, "exploration_rate": rate} for rate in RATES]
    return [Candidate(policy, tuple(setting.items())) for setting in (*grid, *rates)]


def candidates() -> list[Candidate]:
    """All grids. ACQB-P has other penalties too, ACQB-M other spreads of the prior and scales of
    sampling, ACQB-MW a spread learned from its rows or given; its other settings are ACQB-M's."""
    weaker = (("lambda0", 1.0 / 16.0), ("alpha_coef", 1e-3))
    memory = [(spread, 0.25) for spread in (1.0, 0.35, 0.7, 2.0)]
    memory += [(1.0, sampling) for sampling in (0.0, 0.5, 1.0)]
    return [
        *learner_candidates(),
        *learner_candidates("ACQB-P", PENALISED),
        *(Candidate("ACQB-P", (*weaker, ("penalty", penalty))) for penalty in (3.0, 12.0)),
        *(
            Candidate("ACQB-M", (("context", spread), ("shared", 0.0), ("sampling", sampling)))
            for spread, sampling in memory
        ),
        Candidate(WARM),
        *(Candidate(WARM, (("context", spread),)) for spread in (1.0, 0.7, 0.5, 0.35, 0.25)),
    ]


def build(
    candidate: Candidate, rows: ScoredRows | None, service: Service, streams: Streams
) -> Policy:
    """The candidate's policy; `rows` are scored rows, of :data:`WARM` only."""
    numbers = dict(candidate.numbers)
    if candidate.policy == WARM:
        spreads = tuple(numbers.values()) or SPREADS
        return acqb_memory_warm(service, streams, rows, spreads=spreads)
    if candidate.policy == "ACQB-M":
        sampling = numbers.pop("sampling")
        return acqb_memory(service, streams, MemorySettings(Prior(**numbers), sampling))
    penalty = {"penalty": numbers.pop("penalty")} if "penalty" in numbers else {}
    learner = LearnerSettings().with_(**numbers)
    return POLICIES[candidate.policy].factory(replace(service, learner=learner), streams, **penalty)


def horizon(prompts: int, T: int = 5000, pool_size: int = 1000) -> int:
    """The rounds at which `prompts` recur as often as those of a reported pool do by T."""
    return max(1, round(T * prompts / pool_size))


def run(task: TuningTask, table: RoutingTable) -> pd.DataFrame:
    """One row: `policy`, `setting`, `world`, `K`, `lam`, `arrival_rate`, `seed` and final `regret`."""
    candidate, cell = task.candidate, task.cell
    environment, rows = place(table, task.kind, cell.lam, task.seed, candidate.policy == WARM)
    T = task.T or horizon(environment.pool_size)
    made = functools.partial(build, candidate, rows)
    regret = serve(environment, made, cell, task.seed, T).regret.sum()
    values = (task.kind, cell.K, cell.lam, cell.arrival_rate, task.seed, regret)
    row = (candidate.policy, candidate.setting, *values)
    return pd.DataFrame([row], columns=["policy", "setting", *PLACE, "seed", "regret"])


def place(
    table: RoutingTable, kind: str, lam: float, seed: int, warm: bool
) -> tuple[Environment, ScoredRows | None]:
    """The tuning rows as an environment; if `warm`, a share of them, and the others as scored rows."""
    whole = tuning_environment(table, lam)
    parts = [whole.rows]
    if warm:
        order = Streams(seed).generator("warm rows").permutation(whole.pool_size)
        parts = np.split(whole.rows[order], [round(SERVED * whole.pool_size)])
    contexts = [table.embeddings[rows] for rows in parts]
    if kind == LINEAR:
        odds = linear_odds(contexts, whole.n_models, seed)
    else:
        utility = table.utility(lam)
        odds = [departure_odds(utility[rows]) for rows in parts]
    name = f"{whole.name}, {kind}"
    environment = pooled_environment(name, whole.stand_in, contexts[0], odds[0], parts[0])
    return environment, ScoredRows(contexts[1], odds[1]) if warm else None


def chosen(scores: pd.DataFrame) -> pd.Series:
    """The setting chosen for each policy, by the rule of this module."""
    found = {}
    for policy, rows in scores.groupby("policy", sort=False):
        logs = rows.assign(log=np.log(rows["regret"])).pivot_table(
            index=[*PLACE, "seed"], columns="setting", values="log", sort=False
        )
        grid = [setting for setting in logs.columns if SECOND not in setting]
        best = _beats_the_first(logs[grid])
        rates = [setting for setting in logs.columns if setting.startswith(f"{best}{SECOND}")]
        found[policy] = _beats_the_first(logs[[best, *rates]])
    return pd.Series(found, name="setting")


def _beats_the_first(logs: pd.DataFrame) -> str:
    """The column of lowest mean, or the first where that is not lower by a standard error."""
    first, best = logs.columns[0], logs.mean().idxmin()
    gain = logs[first] - logs[best]
    return best if best != first and gain.mean() > gain.std() / np.sqrt(len(gain)) else first


def study(data: str, seeds: Iterable[int] = SEEDS, T: int | None = None) -> Study:
    """Every candidate in every place with every seed."""
    return Study(
        f"beyond-tuning-{data}",
        1,
        data,
        tuple(
            TuningTask(candidate, *where, seed, T)
            for candidate, where, seed in product(candidates(), PLACES, seeds)
        ),
        run,
        stratum=lambda task: (task.candidate.policy, task.kind, task.cell.K),
        cost=seconds,
    )


def seconds(task: TuningTask) -> float:
    """Rough CPU seconds of a task."""
    spreads = 1 if task.candidate.numbers else len(SPREADS)
    warm = 0.4 * spreads if task.candidate.policy == WARM else 0.0
    return warm + (0.5 if task.cell.K == 1 else 1.5) * (task.T or 2200) / 1000


STUDIES = {
    study.name: study
    for study in (study("routerbench"), study("persistence-standin", seeds=(100,), T=600))
}
