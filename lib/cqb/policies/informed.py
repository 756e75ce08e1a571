"""INFORMED, a reference policy: a thousand fully scored rows, the query's failures, and no learning.

The posterior over the scored rows, given a query's context x and its past rounds, is proportional to
``exp(<x, x_i> / 0.1)`` times the probability of the retrials so far if row i's odds were the query's
own. The largest mean rate under it is served. No online policy sees such rows, so this is not a policy
to deploy; it measures what rows and memory are worth without learning.
"""

from __future__ import annotations

import numpy as np

from ..simulate import RETRY, Assortment, Decision, Waiting
from ..streams import Streams
from .base import PolicyEntry, ScoredRows, Service

TEMPERATURE = 0.1


class Informed:
    """Serves the (query, assortment) of largest posterior departure rate."""

    def __init__(self, service: Service, streams: Streams, rows: ScoredRows) -> None:
        self._contexts, self._K, self._rows = service.contexts, service.K, rows
        self._weight: dict[int, np.ndarray] = {}
        self._rates: dict[int, np.ndarray] = {}

    def choose(self, t: int, waiting: Waiting) -> Decision:
        for query, context in zip(waiting.query, waiting.context, strict=True):
            if query not in self._weight:
                near = self._rows.contexts @ self._contexts[context] / TEMPERATURE
                self._update(query, near)
        rates = np.array([self._rates[query] for query in waiting.query])
        best = np.argsort(-rates, axis=1, kind="stable")[:, : self._K]
        top = np.take_along_axis(rates, best, axis=1)
        place = int(np.argmax((top / (1.0 - top)).sum(axis=1)))
        return Decision(place, tuple(sorted(best[place].tolist())))

    def observe(self, t: int, query: int, context: int, assortment: Assortment, pick: int) -> None:
        if pick != RETRY:
            del self._weight[query], self._rates[query]
            return
        offered = self._rows.odds[:, list(assortment)].sum(axis=1)
        self._update(query, self._weight[query] - np.log1p(offered))

    def _update(self, query: int, log_weight: np.ndarray) -> None:
        weight = np.exp(log_weight - log_weight.max())
        self._weight[query] = log_weight
        self._rates[query] = weight @ self._rows.rates / weight.sum()


INFORMED = PolicyEntry("INFORMED", Informed, rows="rest")
