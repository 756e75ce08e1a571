"""Which law of a query's own effect: told by how well it foresees retrials, before any regret.

A log of rounds (query, prompt, assortment, pick) is run through a filter, which gives a probability to
every outcome before it sees it. The mean of their logs is the prequential score (Dawid, 1984): every
round is held out when it is scored. First tries, a model tried after others failed, and a model tried
again are told apart: only the last two can tell laws of persistence from each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..environment import Environment, draw, pooled_environment
from ..persistence.filter import Filter, Prior
from ..persistence.worlds import FRESH, Persistence
from ..policies import POLICIES, LearnerSettings, Service
from ..routing_table import RoutingTable, departure_odds, split_rows
from ..simulate import simulate
from ..streams import Streams

KINDS = ("first try", "another model", "same model")
# Named laws, from no memory to an answer that never changes.
LAWS: dict[str, tuple[Persistence, ...]] = {
    "fresh draws (b = 0)": (FRESH,),
    "fresh draws, rates between .1 and .99": (Persistence(low=0.1, high=0.99),),
    "Gaussian, half persists": (Persistence("query", 0.5, 0.3),),
    "Gaussian, all persists, independent": (Persistence("query", 0.99, 0.0),),
    "Gaussian, all persists, models agree": (Persistence("query", 0.99, 0.4),),
    "two-valued, independent": (Persistence("query", 0.99, 0.0, 0.1, 0.99),),
    "two-valued, models agree": (Persistence("query", 0.99, 0.4, 0.1, 0.99),),
    "two-valued, models agree, by prompt": (Persistence("prompt", 0.99, 0.4, 0.1, 0.99),),
}


@dataclass(frozen=True)
class Round:
    """One served round: arrival number, prompt (context number), assortment and pick."""

    query: int
    context: int
    assortment: tuple[int, ...]
    pick: int


def tuning_environment(table: RoutingTable, lam: float) -> Environment:
    """The tuning rows as a world of their own; none of them is ever in a reported pool."""
    rows = split_rows(table, 0, pool_size=1, refinement_size=0).tuning
    odds = departure_odds(table.utility(lam)[rows])
    name = f"{table.name}, tuning rows"
    return pooled_environment(name, table.stand_in, table.embeddings[rows], odds, rows)


def log_rounds(
    environment: Environment, policy: str, seed: int, *, K: int, arrival_rate: float, T: int
) -> list[Round]:
    """The rounds that a policy served."""
    streams = Streams(seed)
    service = Service(
        environment.contexts, environment.n_models, K, T, arrival_rate, LearnerSettings()
    )
    run = simulate(
        environment,
        POLICIES[policy].make(service, streams, environment),
        K,
        draw(streams, environment.pool_size, arrival_rate, T),
    )
    return [
        Round(
            int(run.query[i]),
            int(environment.context_of[run.row[i]]),
            tuple(run.assortment[i].tolist()),
            int(run.pick[i]),
        )
        for i in np.flatnonzero(run.query >= 0)
    ]


def kinds(rounds: Sequence[Round]) -> np.ndarray:
    """For each round the index in :data:`KINDS` of what it is to its query."""
    tried: dict[int, set[int]] = {}
    found = []
    for round_ in rounds:
        before = tried.setdefault(round_.query, set())
        found.append(0 if not before else 1 + (not before.isdisjoint(round_.assortment)))
        before.update(round_.assortment)
    return np.array(found)


def prequential(
    rounds: Sequence[Round], contexts: np.ndarray, n_models: int, prior: Prior
) -> tuple[np.ndarray, Filter]:
    """Log probability given to each round before it was seen, (n,), and the filter after them."""
    filter_ = Filter(contexts, n_models, prior)
    scores = []
    for round_ in rounds:
        filter_.arrive([round_.query], [round_.context])
        scores.append(filter_.observe(round_.query, round_.assortment, round_.pick))
    return np.array(scores), filter_


def score_table(
    environment: Environment,
    logs: dict[str, Sequence[Round]],
    prior: Prior,
    laws: dict[str, tuple[Persistence, ...]] | None = None,
) -> pd.DataFrame:
    """Mean log score of every law on every log, by kind of round and over all.

    Parameters
    ----------
    logs : rounds by the name of what logged them. prior : all but its worlds is used.

    Returns
    -------
    Columns `law`, `log`, `kind`, `rounds`, `score` (nats per round).
    """
    rows = []
    for law, worlds in (laws or LAWS).items():
        mine = Prior(prior.context, prior.intercept, prior.shared, worlds)
        for name, rounds in logs.items():
            scores, _ = prequential(rounds, environment.contexts, environment.n_models, mine)
            kind = kinds(rounds)
            for index, label in enumerate(KINDS):
                chosen = scores[kind == index]
                if chosen.size:
                    rows.append((law, name, label, chosen.size, chosen.mean()))
            rows.append((law, name, "all", scores.size, scores.mean()))
    return pd.DataFrame(rows, columns=["law", "log", "kind", "rounds", "score"])
