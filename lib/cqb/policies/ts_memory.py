"""TS-memory and CYCLE: no context, but no model twice on a query until all models have failed it.

Both rank the models by their outcomes on first tries of a (query, model) pair: TS-memory by a draw from
a Beta posterior, CYCLE by the mean. A query is offered the K best-ranked of the models that have failed
it least; the waiting query with the most promising offer is served. These are the baselines that a
learner of contexts has to beat: twenty lines that read no prompt.

TS-memory-prompt remembers a prompt over all its arrivals (:class:`Outcomes`). It offers the models that
have answered the prompt more often than they failed it, then those that have failed it least.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from ..simulate import RETRY, Assortment, Decision, Waiting
from ..streams import Streams
from .base import PolicyEntry, Service

Ranking = Callable[[int, np.ndarray, np.ndarray], np.ndarray]


class Outcomes:
    """Failures and successes of the models on each waiting query, or on each prompt.

    A retrial is a failure of every model of the assortment; a pick is a success of the model picked, and
    no failure of the others.

    Parameters
    ----------
    by_prompt : counts belong to the prompt (the context number) and last over all its arrivals. If
        false, they belong to the query, and a query that departs is forgotten.
    """

    def __init__(self, n_models: int, by_prompt: bool = False) -> None:
        self._none = np.zeros((2, n_models))  # failures, successes
        self._of: dict[int, np.ndarray] = {}
        self._by_prompt = by_prompt

    def counts(self, queries: Sequence[int], contexts: Sequence[int]) -> np.ndarray:
        """(2, q, N) float64, failures and successes of each model; by query there are no successes."""
        keys = contexts if self._by_prompt else queries
        return np.stack([self._of.get(key, self._none) for key in keys], axis=1)

    def excess(self, queries: Sequence[int], contexts: Sequence[int]) -> np.ndarray:
        """(q, N) float64, failures less successes of each model."""
        failures, successes = self.counts(queries, contexts)
        return failures - successes

    def observe(self, query: int, context: int, assortment: Assortment, pick: int) -> np.ndarray:
        """Count one round; returns how often each model had failed or been picked before it: (N,)."""
        key = context if self._by_prompt else query
        before = self._of.get(key, self._none).sum(axis=0)
        if pick == RETRY:
            self._of.setdefault(key, self._none.copy())[0, list(assortment)] += 1.0
        elif self._by_prompt:
            self._of.setdefault(key, self._none.copy())[1, pick] += 1.0
        else:
            self._of.pop(key, None)
        return before


class FirstTries:
    """Serves the most promising untried models; queries that have tried all models come last.

    Parameters
    ----------
    ranking : (t, successes (N,), failures (N,)) -> (N,) success rates in (0, 1), larger is better.
        With K >= 2 a retrial fails all of the assortment, and a pick is a success of the one picked.
    by_prompt : what failed and answered a query is remembered of its prompt (:class:`Outcomes`).
    """

    def __init__(self, service: Service, ranking: Ranking, by_prompt: bool = False) -> None:
        self._K, self._ranking = service.K, ranking
        self._counts = np.zeros((2, service.n_models))  # failures, successes
        self._memory = Outcomes(service.n_models, by_prompt)

    def choose(self, t: int, waiting: Waiting) -> Decision:
        rates = np.clip(self._ranking(t, self._counts[1], self._counts[0]), 1e-9, 1.0 - 1e-9)
        failed = self._memory.excess(waiting.query, waiting.context)
        # Least failed first, then the better rate; ties to the lowest model index.
        order = np.lexsort((np.broadcast_to(-rates, failed.shape), failed), axis=1)[:, : self._K]
        offered = np.take_along_axis(failed, order, axis=1)
        # One model that has answered the prompt is enough; otherwise the offer is as old as its oldest.
        rounds = np.where(offered[:, 0] < 0.0, offered[:, 0], offered.max(axis=1))
        odds = (rates / (1.0 - rates))[order].sum(axis=1)
        place = int(np.lexsort((-odds, rounds))[0])
        return Decision(place, tuple(sorted(order[place].tolist())))

    def observe(self, t: int, query: int, context: int, assortment: Assortment, pick: int) -> None:
        before = self._memory.observe(query, context, assortment, pick)
        concerned = assortment if pick < 0 else (pick,)
        for j in concerned:
            if before[j] == 0.0:
                self._counts[int(j == pick), j] += 1.0


def ts_memory(service: Service, streams: Streams, by_prompt: bool = False) -> FirstTries:
    """Ranks by a draw from Beta(successes + 1, failures + 1) per model and round."""
    rounds = streams.rounds("memory draws")
    return FirstTries(
        service, lambda t, won, lost: rounds.at(t).beta(won + 1.0, lost + 1.0), by_prompt
    )


def cycle(service: Service, streams: Streams) -> FirstTries:
    """Ranks by the mean success, (successes + 1) / (tries + 2)."""
    return FirstTries(service, lambda t, won, lost: (won + 1.0) / (won + lost + 2.0))


TS_MEMORY = PolicyEntry("TS-memory", ts_memory)
TS_MEMORY_PROMPT = PolicyEntry("TS-memory-prompt", partial(ts_memory, by_prompt=True))
CYCLE = PolicyEntry("CYCLE", cycle)
