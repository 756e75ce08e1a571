"""What is chosen on the tuning rows, with seeds that no reported run uses: settings, and a law.

The tuning rows are an environment of their own: a fifth of the table, the same for every seed. They are
fewer than the prompts of a reported pool, so the horizon is shortened until a prompt recurs as often.

Settings. A setting's score is the logarithm of its final regret, averaged over places and seeds, so that
no place outweighs the others. The lowest mean wins, but the first setting of a grid stays unless it is
beaten by more than one standard error of the paired difference. Exploration rates come second, by the
same rule: they are tried with the setting that the grid chose. A policy that is made for one kind of
place only (ACQB and its relatives) gets its best setting for each kind; the policies with memory, which
are to find out the kind, have one setting for both.

Laws of a query's own effect: which predicts retrials best, before any regret is measured. A log of
rounds is run through a filter, which gives a probability to every outcome before it sees it. The mean of
their logs is the prequential score (Dawid, 1984): every round is held out when it is scored. Three kinds
of rounds are scored apart, since only the last two depend on the law: first tries, a model tried after
others failed, and a model tried again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import pandas as pd

from ...environment import Environment, draw, pooled_environment
from ...persistence import FRESH, HYPOTHESES, Persistence, Prior
from ...persistence.filter import SPREADS, Filter
from ...policies import POLICIES, LearnerSettings, Service
from ...policies.acqb import SETTINGS
from ...policies.acqb_memory import MemorySettings, acqb_memory
from ...policies.acqb_p import PENALISED
from ...policies.base import ScoredRows
from ...policies.warm_start import Round
from ...routing_table import RoutingTable, departure_odds, split_rows
from ...runs import Cell
from ...simulate import Policy, simulate
from ...streams import Streams
from ...study import Study
from .scenarios import linear_odds, played, service_of

RECORDED, LINEAR = "recorded", "linear"
WARM = "ACQB-MW"  # starts from scored rows
RECURRENCE = 5  # rounds for each prompt: 5,000 for the 1,000 of a reported pool
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
    """One candidate in one place with one seed; T None is :data:`RECURRENCE` times the prompts."""

    candidate: Candidate
    kind: str
    cell: Cell
    seed: int
    T: int | None


GRID = ((0, 1e-4), (1, 1e-3), (2, 1e-4), (2, 1e-3), (3, 1e-3))  # ridge 4^-k, alpha_coef
RATES = (0.0, 0.002, 0.05)  # of exploration; the published one is .01
SECOND = ", exploration_rate"  # follows a setting's text where a rate is tried with it
# Spread of the prior and scale of sampling.
MEMORY = (*((spread, 0.25) for spread in (1.0, 0.35, 0.7, 2.0)), (1.0, 0.0), (1.0, 0.5), (1.0, 1.0))


def candidates() -> list[Candidate]:
    """All grids; the first of a policy is the published setting.

    ACQB and ACQB-P have weaker ridges and wider draws, then other exploration rates with the best of
    those; ACQB-P has other penalties too. ACQB-M has other spreads of the prior and scales of sampling,
    ACQB-MW a spread learned from its rows or given; its other settings are ACQB-M's.
    """
    found = []
    for policy, best in (("ACQB", SETTINGS), ("ACQB-P", PENALISED)):
        found += [_candidate(policy, lambda0=4.0**-k, alpha_coef=alpha) for k, alpha in GRID]
        found += [_candidate(policy, **best, exploration_rate=rate) for rate in RATES]
    weaker = {"lambda0": 1.0 / 16.0, "alpha_coef": 1e-3}
    found += [_candidate("ACQB-P", **weaker, penalty=penalty) for penalty in (3.0, 12.0)]
    # Stored candidates name a part of the prior that all models share, and leave it out.
    found += [_candidate("ACQB-M", context=c, shared=0.0, sampling=s) for c, s in MEMORY]
    given = [_candidate(WARM, context=spread) for spread in (1.0, 0.7, 0.5, 0.35, 0.25)]
    return [*found, Candidate(WARM), *given]


def _candidate(policy: str, **numbers: float) -> Candidate:
    return Candidate(policy, tuple(numbers.items()))


def build(
    candidate: Candidate, rows: ScoredRows | None, service: Service, streams: Streams
) -> Policy:
    """The candidate's policy; `rows` are scored rows, of :data:`WARM` only."""
    numbers = dict(candidate.numbers)
    if candidate.policy == WARM:
        return acqb_memory(service, streams, rows, spreads=tuple(numbers.values()) or SPREADS)
    if candidate.policy == "ACQB-M":
        prior = Prior(context=numbers["context"])
        return acqb_memory(service, streams, settings=MemorySettings(prior, numbers["sampling"]))
    penalty = {"penalty": numbers.pop("penalty")} if "penalty" in numbers else {}
    service = replace(service, learner=LearnerSettings(**numbers))
    return POLICIES[candidate.policy].factory(service, streams, **penalty)


def run(task: TuningTask, table: RoutingTable) -> pd.DataFrame:
    """One row: `policy`, `setting`, `world`, `K`, `lam`, `arrival_rate`, `seed` and final `regret`."""
    candidate, cell = task.candidate, task.cell
    environment, rows = place(table, task.kind, cell.lam, task.seed, candidate.policy == WARM)
    T, streams = task.T or RECURRENCE * environment.pool_size, Streams(task.seed)
    policy = build(candidate, rows, service_of(environment, cell, T), streams)
    draws = draw(streams, environment.pool_size, cell.arrival_rate, T)
    regret = simulate(environment, policy, cell.K, draws).regret.sum()
    values = (task.kind, cell.K, cell.lam, cell.arrival_rate, task.seed, regret)
    row = (candidate.policy, candidate.setting, *values)
    return pd.DataFrame([row], columns=["policy", "setting", *PLACE, "seed", "regret"])


def place(
    table: RoutingTable, kind: str, lam: float, seed: int = 0, warm: bool = False
) -> tuple[Environment, ScoredRows | None]:
    """The tuning rows as an environment; none of them is ever in a reported pool.

    If `warm`, it is a share of them, drawn by the seed, and the others are scored rows.
    """
    whole = split_rows(table, 0, pool_size=1, refinement_size=0).tuning
    parts = [whole]
    if warm:
        order = Streams(seed).generator("warm rows").permutation(whole.size)
        parts = np.split(whole[order], [round(SERVED * whole.size)])
    contexts = [table.embeddings[rows] for rows in parts]
    if kind == LINEAR:
        odds = linear_odds(contexts, len(table.models), seed)
    else:
        odds = [departure_odds(table.utility(lam)[rows]) for rows in parts]
    name = f"{table.name}, tuning rows, {kind}"
    environment = pooled_environment(name, table.stand_in, contexts[0], odds[0], parts[0])
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


KINDS = ("first try", "another model", "same model")
LEARNED = "all hypotheses, weights learned"
# From no memory to an answer that never changes.
LAWS: dict[str, tuple[Persistence, ...]] = {
    "fresh draws (b = 0)": (FRESH,),
    "fresh draws, rates between .1 and .99": (Persistence(low=0.1, high=0.99),),
    "Gaussian, half persists": (Persistence("query", 0.5, 0.3),),
    "Gaussian, all persists, independent": (Persistence("query", 0.99, 0.0),),
    "Gaussian, all persists, models agree": (Persistence("query", 0.99, 0.4),),
    "two-valued, independent": (Persistence("query", 0.99, 0.0, 0.1, 0.99),),
    "two-valued, models agree": (Persistence("query", 0.99, 0.4, 0.1, 0.99),),
    "two-valued, models agree, by prompt": (Persistence("prompt", 0.99, 0.4, 0.1, 0.99),),
    LEARNED: HYPOTHESES,
}
LOGGERS = ("TS-memory", "RANDOM")  # policies whose rounds are scored


@dataclass(frozen=True)
class LawTask:
    """One law on the rounds of all loggers on the tuning rows; T as in :class:`TuningTask`."""

    law: str
    cell: Cell
    seed: int
    T: int | None


def run_law(task: LawTask, table: RoutingTable) -> pd.DataFrame:
    """Columns `law`, `log`, `kind`, `rounds`, `score` (nats a round), `lam` and `seed`."""
    world, _ = place(table, RECORDED, task.cell.lam)
    T = task.T or RECURRENCE * world.pool_size
    rows = [
        (task.law, log, *scored, task.cell.lam, task.seed)
        for log in LOGGERS
        for scored in scores(world, log_rounds(world, log, task.cell, task.seed, T), LAWS[task.law])
    ]
    return pd.DataFrame(rows, columns=["law", "log", "kind", "rounds", "score", "lam", "seed"])


def log_rounds(environment: Environment, policy: str, cell: Cell, seed: int, T: int) -> list[Round]:
    """The rounds that a policy served."""
    run = played(environment, cell, policy, seed, T)
    columns = (run.query, environment.context_of[run.row], run.assortment, run.pick)
    rounds = zip(*(column[run.query >= 0].tolist() for column in columns), strict=True)
    return [Round(query, context, tuple(models), pick) for query, context, models, pick in rounds]


def kinds(rounds: Sequence[Round]) -> np.ndarray:
    """The kind of each round, one of :data:`KINDS`: str (n,)."""
    tried: dict[int, set[int]] = {}
    found = []
    for round_ in rounds:
        before = tried.setdefault(round_.query, set())
        found.append(0 if not before else 1 + (not before.isdisjoint(round_.assortment)))
        before.update(round_.assortment)
    return np.array(KINDS)[found]


def scores(
    environment: Environment, rounds: Sequence[Round], law: tuple[Persistence, ...]
) -> list[tuple[str, int, float]]:
    """Kind, number of rounds and mean log score of a law (nats a round), for each kind and for "all"."""
    filter_ = Filter(environment.contexts, environment.n_models, Prior(hypotheses=law))
    found = np.empty(len(rounds))
    for i, round_ in enumerate(rounds):
        filter_.arrive([round_.query], [round_.context])
        found[i] = filter_.observe(round_.query, round_.assortment, round_.pick)
    kind = kinds(rounds)
    parts = {**{name: found[kind == name] for name in KINDS}, "all": found}
    return [(name, part.size, part.mean()) for name, part in parts.items() if part.size]


def tuning(data: str, seeds: tuple[int, ...], T: int | None = None) -> Study:
    """Every candidate in every place with every seed."""
    which = product(candidates(), PLACES, seeds)
    return Study(
        f"beyond-tuning-{data}",
        1,
        data,
        tuple(TuningTask(candidate, *where, seed, T) for candidate, where, seed in which),
        run,
        stratum=lambda task: (task.candidate.policy, task.kind, task.cell.K),
        cost=lambda task: (
            (1.1 if task.cell.K == 1 else 3.3) + 2.5 * (task.candidate.policy == WARM)
        ),
        # Sums of products: their last digits differ between releases of BLAS.
        tolerance={"regret": 1e-6},
    )


def laws(data: str, seeds: tuple[int, ...], T: int | None = None) -> Study:
    """Every law on logged rounds of a data set, K = 1, arrival rate .6."""
    which = product((Cell(1, 0.0, 0.6), Cell(1, 5.0, 0.6)), seeds, LAWS)
    tasks = tuple(LawTask(law, cell, seed, T) for cell, seed, law in which)
    how = {"cost": lambda task: 1.0 if task.T else 5.0, "tolerance": {"score": 1e-9}}
    return Study(f"beyond-laws-{data}", 1, data, tasks, run_law, **how)


STUDIES = (
    tuning("routerbench", (100, 101, 102, 103)),
    tuning("persistence-standin", (100,), 600),
    laws("routerbench", (100, 101)),
    laws("persistence-standin", (100,), 600),
)
