"""TS-memory and CYCLE: no context, but no model twice on a query until all models have failed it.

Both rank the models by their outcomes on first tries of a (query, model) pair: TS-memory by a draw from
a Beta posterior, CYCLE by the mean. A query is offered the K best-ranked of the models that have failed
it least; the waiting query with the most promising offer is served. These are the baselines that a
learner of contexts has to beat: twenty lines that read no prompt.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..simulate import RETRY, Assortment, Decision, Waiting
from ..streams import Streams
from .base import PolicyEntry, Service

Ranking = Callable[[int, np.ndarray, np.ndarray], np.ndarray]


class Failures:
    """Counts of failures per waiting query and model; a query that departs is forgotten.

    A retrial is a failure of every model of the assortment; a pick is no failure of the others.
    """

    def __init__(self, n_models: int) -> None:
        self._none = np.zeros(n_models)
        self._of: dict[int, np.ndarray] = {}

    def of(self, queries: list[int]) -> np.ndarray:
        """(q, N) float64 counts of the queries, by arrival number."""
        return np.array([self._of.get(query, self._none) for query in queries])

    def observe(self, query: int, assortment: Assortment, pick: int) -> np.ndarray:
        """Count one round; returns the counts (N,) as they were before it."""
        before = self._of.get(query, self._none).copy()
        if pick == RETRY:
            self._of.setdefault(query, self._none.copy())[list(assortment)] += 1.0
        else:
            self._of.pop(query, None)
        return before


class FirstTries:
    """Serves the most promising untried models; queries that have tried all models come last.

    Parameters
    ----------
    ranking : (t, successes (N,), failures (N,)) -> (N,) success rates in (0, 1), larger is better.
        With K >= 2 a retrial fails all of the assortment, and a pick is a success of the one picked.
    """

    def __init__(self, service: Service, ranking: Ranking) -> None:
        self._K, self._ranking = service.K, ranking
        self._counts = np.zeros((2, service.n_models))  # failures, successes
        self._failures = Failures(service.n_models)

    def choose(self, t: int, waiting: Waiting) -> Decision:
        rates = np.clip(self._ranking(t, self._counts[1], self._counts[0]), 1e-9, 1.0 - 1e-9)
        failed = self._failures.of(waiting.query)
        # Least failed first, then the better rate; ties to the lowest model index.
        order = np.lexsort((np.broadcast_to(-rates, failed.shape), failed), axis=1)[:, : self._K]
        rounds = np.take_along_axis(failed, order, axis=1).max(axis=1)
        odds = (rates / (1.0 - rates))[order].sum(axis=1)
        place = int(np.lexsort((-odds, rounds))[0])
        return Decision(place, tuple(sorted(order[place].tolist())))

    def observe(self, t: int, query: int, context: int, assortment: Assortment, pick: int) -> None:
        before = self._failures.observe(query, assortment, pick)
        concerned = assortment if pick < 0 else (pick,)
        for j in concerned:
            if before[j] == 0.0:
                self._counts[int(j == pick), j] += 1.0


def ts_memory(service: Service, streams: Streams) -> FirstTries:
    """Ranks by a draw from Beta(successes + 1, failures + 1) per model and round."""
    rounds = streams.rounds("memory draws")
    return FirstTries(service, lambda t, won, lost: rounds.at(t).beta(won + 1.0, lost + 1.0))


def cycle(service: Service, streams: Streams) -> FirstTries:
    """Ranks by the mean success, (successes + 1) / (tries + 2)."""
    return FirstTries(service, lambda t, won, lost: (won + 1.0) / (won + lost + 2.0))


TS_MEMORY = PolicyEntry("TS-memory", ts_memory)
CYCLE = PolicyEntry("CYCLE", cycle)
