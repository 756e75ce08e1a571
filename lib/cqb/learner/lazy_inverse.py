"""Inverses of matrices that grow by rank-one terms: a model's precision, and the Hessian of a refit.

``V^{-1}`` of a model with few observations is ``I/lambda0`` minus a few rank-one terms. No d x d matrix
exists until a block of terms has gathered; then one matrix product folds the whole block in.
Observations wait until the inverse is needed: added together, they cost one matrix product instead of
many matrix-vector products.

A :class:`Curvature` is an approximate inverse Hessian over the parameters of some models, carried from
refit to refit. When it is next used, it absorbs the rounds since then that offered any of its models:
each is a term whose rank is the number of these models, weighted by the pick rates of that moment. Each
step of a refit adds a symmetric rank-one secant term. The inverse only steers the iteration of
:mod:`cqb.learner.refit`, so single precision is enough.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ..mnl import Assortment
from . import absorb_kernels
from .history import History

BLOCK = 64


class Inverses(NamedTuple):
    """The arrays of S inverses of D x D matrices; those of a single one have no first axis.

    Attributes
    ----------
    base : (S, D, D). scale : (S,). The inverse starts from the base or, while not dense, ``scale * I``.
    terms : (S, room, D). signs : (S, room).
    used : int64 (S, 2), the terms in use, and whether the base is dense.
    """

    base: np.ndarray
    scale: np.ndarray
    terms: np.ndarray
    signs: np.ndarray
    used: np.ndarray

    def at(self, s: int) -> Inverses:
        """The arrays of a single one."""
        return Inverses(*(array[s] for array in self))


def empty_inverses(
    count: int, d: int, ridge: float, room: int = BLOCK, dtype: type = np.float32
) -> Inverses:
    """Inverses ``I/ridge`` with room for some terms each."""
    if not ridge > 0:
        raise ValueError(f"ridge: found {ridge}, expected a positive number")
    return Inverses(
        np.zeros((count, d, d), dtype),
        np.full(count, 1.0 / ridge, dtype),
        np.zeros((count, room, d), dtype),
        np.zeros((count, room), dtype),
        np.zeros((count, 2), np.int64),
    )


class LazyInverse:
    """``I/ridge`` plus signed rank-one terms ``sign * r r^T``, folded into a dense base by blocks.

    Parameters
    ----------
    d : dimension. ridge : positive; the matrix starts as ``ridge * I`` and its inverse as ``I/ridge``
        (zero for an infinite ridge).
    arrays : its place among those that compiled loops work on; its own, in double precision, if None.
    """

    def __init__(self, d: int, ridge: float, arrays: Inverses | None = None) -> None:
        self.sum = arrays or empty_inverses(1, d, ridge, dtype=np.float64).at(0)
        self._waiting: list[np.ndarray] = []
        self._ridge, self._added = ridge, 0.0

    @property
    def condition(self) -> float:
        """An upper bound of the condition number of a matrix that has only grown."""
        return 1.0 + self._added / self._ridge

    def flushed(self) -> Inverses:
        """Its arrays, with every waiting observation added."""
        if self._waiting:
            absorb_kernels.grow_all(np.array(self._waiting), *self.sum)
            self._waiting.clear()
            self.fold_block()
        return self.sum

    def dot(self, x: np.ndarray) -> np.ndarray:
        """``V^{-1} x``, shape (d,)."""
        base, scale, terms, signs, (used, dense) = self.flushed()
        result = base @ x if dense else scale * x
        if used:
            result += ((terms[:used] @ x) * signs[:used]) @ terms[:used]
        return result

    def gram(self, queries: np.ndarray, others: np.ndarray | None = None) -> np.ndarray:
        """``W V^{-1} W'^T`` for queries W (q, d) and others W' (p, d), by default W: shape (q, p)."""
        if others is not None and len(queries) > len(others):
            return self.gram(others, queries).T
        base, scale, terms, signs, (used, dense) = self.flushed()
        seen = queries @ base if dense else scale * queries
        result = seen @ (queries if others is None else others).T
        if used:
            along = queries @ terms[:used].T
            across = along if others is None else others @ terms[:used].T
            result += (along * signs[:used]) @ across.T
        return result

    def grow(self, x: np.ndarray, weight: float = 1.0) -> None:
        """``V += weight x x^T``; `weight` > 0. `x` must not be modified afterwards."""
        self._waiting.append(x if weight == 1.0 else math.sqrt(weight) * x)
        self._added += weight * float(x @ x)
        if len(self._waiting) + self.sum.used.item(0) >= BLOCK:
            self.flushed()

    def append(self, term: np.ndarray, sign: float) -> None:
        """``V^{-1} += sign * term term^T``."""
        inverse = self.flushed()
        used = inverse.used.item(0)
        inverse.terms[used], inverse.signs[used], inverse.used[0] = term, sign, used + 1
        self.fold_block()

    def fold_block(self) -> None:
        """Fold the terms into the base, once a block of them has gathered."""
        if self.sum.used.item(0) >= BLOCK:
            base, scale, terms, signs, (used, dense) = self.sum
            base += (terms[:used].T * signs[:used]) @ terms[:used]
            base.flat[:: len(base) + 1] += 0.0 if dense else scale
            self.sum.used[:] = 0, 1


class Curvature:
    """The approximate inverse Hessian over the joint parameters of `models`, (n d, n d).

    Parameters
    ----------
    inverses, which : its place among others of its size, with spare room for the terms of one refit;
        see :func:`empty_inverses`.
    """

    AS_BUILT = ("inverses",)  # of which `inverse` has the arrays of this one

    def __init__(self, models: Assortment, inverses: Inverses, which: int = 0) -> None:
        self.models, self.inverses, self.which = models, inverses, which
        self._index = np.array(models)
        self.inverse = LazyInverse(0, 1.0, inverses.at(which))
        self._taken = np.zeros((len(models), 0))

    def reset(self, hessian: np.ndarray, history: History) -> None:
        """Restart from an exact joint Hessian, which covers the whole history."""
        self.inverse.sum.base[:] = np.linalg.inv(hessian)
        self.inverse.sum.used[:] = 0, 1
        self._make_room(history)
        for taken, j in zip(self._taken, self.models, strict=True):
            serves = history.cells.of(j, "counts")[:, 0]
            taken[: serves.size] = serves

    def _make_room(self, history: History) -> None:
        """Room for the serves of all cells of the models."""
        if (cells := history.cells.longest) > self._taken.shape[1]:
            self._taken = np.pad(self._taken, ((0, 0), (0, 2 * cells - self._taken.shape[1])))

    def catch_up(self, history: History) -> bool:
        """Absorb the rounds since the last use; False if rounding has spoilt the inverse."""
        self._make_room(history)
        rows, cells = history.rows, history.cells
        where = rows.spans, rows["contexts"], cells.spans, cells["links"], cells["counts"]
        what = self._index, self._taken, history.members, history.places
        while True:
            self.inverse.fold_block()
            end = absorb_kernels.absorb(*what, *where, *self.inverse.sum)
            if end != absorb_kernels.FULL:
                return end == absorb_kernels.TAKEN
