"""What a waiting query has been through: which models have already failed it."""

from __future__ import annotations

import numpy as np

from ..simulate import RETRY


class Failures:
    """Counts of failures per waiting query and model; a query that departs is forgotten.

    A retrial is a failure of every model of the assortment; a pick says nothing against the others.
    """

    def __init__(self, n_models: int) -> None:
        self._none = np.zeros(n_models)
        self._of: dict[int, np.ndarray] = {}

    def of(self, queries: list[int]) -> np.ndarray:
        """(q, N) float64 counts of the queries, by arrival number."""
        return np.array([self._of.get(query, self._none) for query in queries])

    def observe(self, query: int, assortment: tuple[int, ...], pick: int) -> np.ndarray:
        """Count one round; returns the counts (N,) as they were before it."""
        before = self._of.get(query, self._none).copy()
        if pick == RETRY:
            self._of.setdefault(query, self._none.copy())[list(assortment)] += 1.0
        else:
            self._of.pop(query, None)
        return before
