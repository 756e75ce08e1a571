"""Approximate inverse Hessians of the parameters of some models, kept for as long as they serve.

One takes in the rounds that offered any of its models when it is next used, each as a term of the
rank of the models concerned, at the pick rates of that moment. What a step reveals beyond that is
added as a symmetric rank-one secant term. All of it only steers the iteration of
:mod:`cqb.learner.refit`, so single precision will do.
"""

from __future__ import annotations

import numpy as np

from . import kernels
from .history import Assortment, History
from .lazy_inverse import LazyInverse


class Curvature:
    """The approximate inverse Hessian over the joint parameters of `models`, (n d, n d).

    spare : secant terms that one refit may add.
    """

    def __init__(self, models: Assortment, d: int, ridge: float, spare: int) -> None:
        self.models = models
        self._index = np.array(models)
        self._inverse = LazyInverse(len(models) * d, ridge, np.float32, spare + len(models))
        self._taken = tuple(np.zeros(0) for _ in models)

    @property
    def sum(self) -> tuple:
        """Its arrays, with room for a refit's terms."""
        self._inverse.fold_block()
        return self._inverse.sum

    def reset(self, hessian: np.ndarray, history: History) -> None:
        """Start anew from an exact joint Hessian, which knows all of the history."""
        self._inverse.reset(np.linalg.inv(hessian))
        self._taken = tuple(part.serves.copy() for part in history.parts_of(self.models))

    def catch_up(self, history: History) -> bool:
        """Take in the rounds since the last use; False if rounding has spoilt the inverse."""
        parts = history.parts_of(self.models)
        self._taken = tuple(
            taken if taken.size == part.serves.size else _longer(taken, part.serves.size)
            for taken, part in zip(self._taken, parts, strict=True)
        )
        while True:
            end = kernels.absorb(
                self.sum, self._taken, parts, self._index, history.members, history.places
            )
            if end != kernels.FULL:
                return end == kernels.TAKEN


def _longer(counts: np.ndarray, size: int) -> np.ndarray:
    grown = np.zeros(size)
    grown[: counts.size] = counts
    return grown
