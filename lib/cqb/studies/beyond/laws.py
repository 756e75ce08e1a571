"""Which law of a query's own effect predicts retrials best, before any regret is measured.

A log of rounds (query, prompt, assortment, pick) is run through a filter, which gives a probability to
every outcome before it sees it. The mean of their logs is the prequential score (Dawid, 1984): every
round is held out when it is scored. Three kinds of rounds are scored apart, since only the last two
depend on the law: first tries, a model tried after others failed, and a model tried again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd

from ...environment import Environment
from ...persistence import FRESH, HYPOTHESES, Filter, Persistence, Prior
from ...policies import POLICIES
from ...routing_table import RoutingTable
from ...runs import Cell
from ...study import Study
from .scenarios import serve, tuning_environment
from .tuning import horizon

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
    """One law on the rounds of all loggers on the tuning rows; T None is the rows' :func:`.horizon`."""

    law: str
    cell: Cell
    seed: int
    T: int | None

    def __str__(self) -> str:
        return f"{self.law}, {self.cell}, seed {self.seed}"


@dataclass(frozen=True)
class Round:
    """One served round: arrival number, prompt (context number), assortment and pick."""

    query: int
    context: int
    assortment: tuple[int, ...]
    pick: int


def run(task: LawTask, table: RoutingTable) -> pd.DataFrame:
    """Columns `law`, `log`, `kind`, `rounds`, `score` (nats a round), `lam` and `seed`."""
    environment = tuning_environment(table, task.cell.lam)
    T = task.T or horizon(environment.pool_size)
    frames = []
    for log in LOGGERS:
        rounds = log_rounds(environment, log, task.cell, task.seed, T)
        found = scores(environment, rounds, LAWS[task.law])
        frames.append(found.assign(law=task.law, log=log, lam=task.cell.lam, seed=task.seed))
    columns = ["law", "log", "kind", "rounds", "score", "lam", "seed"]
    return pd.concat(frames, ignore_index=True)[columns]


def log_rounds(environment: Environment, policy: str, cell: Cell, seed: int, T: int) -> list[Round]:
    """The rounds that a policy served."""

    def build(service, streams):
        return POLICIES[policy].make(service, streams, environment)

    played = serve(environment, build, cell, seed, T)
    return [
        Round(
            int(played.query[i]),
            int(environment.context_of[played.row[i]]),
            tuple(played.assortment[i].tolist()),
            int(played.pick[i]),
        )
        for i in np.flatnonzero(played.query >= 0)
    ]


def kinds(rounds: Sequence[Round]) -> np.ndarray:
    """The kind of each round, as an index in :data:`KINDS`: int (n,)."""
    tried: dict[int, set[int]] = {}
    found = []
    for round_ in rounds:
        before = tried.setdefault(round_.query, set())
        found.append(0 if not before else 1 + (not before.isdisjoint(round_.assortment)))
        before.update(round_.assortment)
    return np.array(found)


def prequential(
    rounds: Sequence[Round], contexts: np.ndarray, n_models: int, prior: Prior
) -> np.ndarray:
    """Log probability given to each round before it was seen, float64 (n,)."""
    filter_ = Filter(contexts, n_models, prior)
    found = []
    for round_ in rounds:
        filter_.arrive([round_.query], [round_.context])
        found.append(filter_.observe(round_.query, round_.assortment, round_.pick))
    return np.array(found)


def scores(
    environment: Environment, rounds: Sequence[Round], law: tuple[Persistence, ...]
) -> pd.DataFrame:
    """Mean log score of a law on a log, by kind of round and over "all".

    Returns
    -------
    Columns `kind`, `rounds`, `score` (nats a round).
    """
    prior = Prior(hypotheses=law)
    found = prequential(rounds, environment.contexts, environment.n_models, prior)
    kind = kinds(rounds)
    parts = [(label, found[kind == index]) for index, label in enumerate(KINDS)]
    rows = [
        (label, part.size, part.mean()) for label, part in [*parts, ("all", found)] if part.size
    ]
    return pd.DataFrame(rows, columns=["kind", "rounds", "score"])


def study(data: str, seeds: tuple[int, ...] = (100, 101), T: int | None = None) -> Study:
    """Every law on logged rounds of a data set, K = 1, arrival rate .6."""
    cells = (Cell(1, 0.0, 0.6), Cell(1, 5.0, 0.6))
    return Study(
        f"beyond-laws-{data}",
        1,
        data,
        tuple(LawTask(law, cell, seed, T) for cell, seed, law in product(cells, seeds, LAWS)),
        run,
        stratum=lambda task: task.law,
        cost=lambda task: 0.5 * (task.T or 2200) / 1000,
    )


STUDIES = {
    study.name: study
    for study in (study("routerbench"), study("persistence-standin", seeds=(100,), T=600))
}
