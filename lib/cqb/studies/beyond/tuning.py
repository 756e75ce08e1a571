"""What the settings of ACQB-tuned and ACQB-P-tuned were chosen on: tuning rows, and seeds of their own.

The tuning rows are an environment of their own: a fifth of the table, the same for every seed. They are
fewer than the prompts of a reported pool, so the horizon is shortened until a prompt recurs as often.

A setting's score is the logarithm of its final regret, averaged over places and seeds, so that no place
outweighs the others. The lowest mean wins, but the first setting of a grid stays unless it is beaten by
more than one standard error of the paired difference. Exploration rates come second, by the same rule:
they are tried with the setting that the grid chose. The policies have the setting that is best for
recorded answers; the place with linear utilities shows what would be chosen there.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd

from ...environment import Environment, draw, pooled_environment
from ...policies import POLICIES, LearnerSettings, Service
from ...policies.acqb import SETTINGS
from ...policies.acqb_p import PENALISED
from ...routing_table import RoutingTable, departure_odds, split_rows
from ...runs import Cell
from ...simulate import simulate
from ...streams import Streams
from ...study import Study
from ...synthetic import linear_odds

RECORDED, LINEAR = "recorded", "linear"
RECURRENCE = 5  # rounds for each prompt: 5,000 for the 1,000 of a reported pool
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
    """A policy with a setting, given as pairs of a name and a number."""

    policy: str
    numbers: tuple[tuple[str, float], ...]

    @property
    def setting(self) -> str:
        """The setting in words, unique among the candidates of a policy."""
        return ", ".join(f"{name} {value:g}" for name, value in self.numbers)


@dataclass(frozen=True)
class TuningTask:
    """One candidate in one place with one seed; T None is :data:`RECURRENCE` times the prompts."""

    candidate: Candidate
    kind: str
    cell: Cell
    seed: int
    T: int | None

    def __str__(self) -> str:
        what = f"{self.candidate.policy} with {self.candidate.setting}"
        return f"{what}, {self.kind}, {self.cell}, seed {self.seed}"


GRID = ((0, 1e-4), (1, 1e-3), (2, 1e-4), (2, 1e-3), (3, 1e-3))  # ridge 4^-k, alpha_coef
RATES = (0.0, 0.002, 0.05)  # of exploration; the published one is .01
SECOND = ", exploration_rate"  # follows a setting's text where a rate is tried with it


def candidates() -> list[Candidate]:
    """All grids; the first of a policy is the published setting.

    There are weaker ridges and wider draws, then other exploration rates with the best of those; ACQB-P
    has other penalties too.
    """
    found = []
    for policy, best in (("ACQB", SETTINGS), ("ACQB-P", PENALISED)):
        found += [_candidate(policy, lambda0=4.0**-k, alpha_coef=alpha) for k, alpha in GRID]
        found += [_candidate(policy, **best, exploration_rate=rate) for rate in RATES]
    weaker = {"lambda0": 1.0 / 16.0, "alpha_coef": 1e-3}
    return [*found, *(_candidate("ACQB-P", **weaker, penalty=penalty) for penalty in (3.0, 12.0))]


def _candidate(policy: str, **numbers: float) -> Candidate:
    return Candidate(policy, tuple(numbers.items()))


def run(task: TuningTask, table: RoutingTable) -> pd.DataFrame:
    """One row: `policy`, `setting`, `world`, `K`, `lam`, `arrival_rate`, `seed` and final `regret`."""
    candidate, cell = task.candidate, task.cell
    environment = place(table, task.kind, cell.lam, task.seed)
    T, streams = task.T or RECURRENCE * environment.pool_size, Streams(task.seed)
    numbers = dict(candidate.numbers)
    penalty = {"penalty": numbers.pop("penalty")} if "penalty" in numbers else {}
    about = (environment.contexts, environment.n_models, cell.K, T, cell.arrival_rate)
    service = Service(*about, LearnerSettings(**numbers))
    policy = POLICIES[candidate.policy].factory(service, streams, **penalty)
    draws = draw(streams, environment.pool_size, cell.arrival_rate, T)
    regret = simulate(environment, policy, cell.K, draws).regret.sum()
    values = (task.kind, cell.K, cell.lam, cell.arrival_rate, task.seed, regret)
    row = (candidate.policy, candidate.setting, *values)
    return pd.DataFrame([row], columns=["policy", "setting", *PLACE, "seed", "regret"])


def place(table: RoutingTable, kind: str, lam: float, seed: int = 0) -> Environment:
    """The tuning rows as an environment; none of them is ever in a reported pool."""
    rows = split_rows(table, 0, pool_size=1, refinement_size=0).tuning
    contexts = table.embeddings[rows]
    if kind == LINEAR:
        odds = linear_odds(contexts, len(table.models), seed)
    else:
        odds = departure_odds(table.utility(lam)[rows])
    name = f"{table.name}, tuning rows, {kind}"
    return pooled_environment(name, table.stand_in, contexts, odds, rows)


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


TASKS = tuple(
    TuningTask(candidate, *where, seed, None)
    for candidate, where, seed in product(candidates(), PLACES, (100, 101, 102, 103))
)
TUNING = Study(
    "beyond-tuning-routerbench",
    2,
    "routerbench",
    TASKS,
    run,
    stratum=lambda task: (task.candidate.policy, task.kind, task.cell.K),
    cost=lambda task: 1.1 if task.cell.K == 1 else 3.3,
    tolerance={"regret": 1e-6},
)
STUDIES = (TUNING,)
