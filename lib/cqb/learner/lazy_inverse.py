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
from . import kernels
from .history import History
from .kernels import compiled

BLOCK = 64
TAKEN, FULL, SPOILT = 0, 1, 2

# A floor under the weight of a round, where float64 has rounded a pick rate to 0 or 1.
LEAST = 1e-12


class Sum(NamedTuple):
    """The arrays of an inverse, as :mod:`.kernels` sees them.

    Attributes
    ----------
    base : (d, d), or (0, 0) where it is still ``scale * I``. scale : (1,).
    terms : (room, d). signs : (room,). used : int64 (1,), terms in use.
    """

    base: np.ndarray
    scale: np.ndarray
    terms: np.ndarray
    signs: np.ndarray
    used: np.ndarray


class LazyInverse:
    """``I/ridge`` plus signed rank-one terms ``sign * r r^T``, folded into a dense base by blocks.

    Parameters
    ----------
    d : dimension. ridge : positive; the matrix starts as ``ridge * I`` and its inverse as ``I/ridge``
        (zero for an infinite ridge).
    dtype : float64, or float32 where the inverse only steers an iteration.
    spare : room for terms beyond a block, for kernels that append and cannot fold.
    """

    def __init__(self, d: int, ridge: float, dtype: type = np.float64, spare: int = 0) -> None:
        if not ridge > 0:
            raise ValueError(f"ridge: found {ridge}, expected a positive number")
        room = BLOCK + spare
        self.sum = Sum(
            np.empty((0, 0), dtype),
            np.array([1.0 / ridge], dtype),
            np.empty((room, d), dtype),
            np.empty(room, dtype),
            np.zeros(1, np.int64),
        )
        self._waiting: list[np.ndarray] = []
        self._ridge, self._added = ridge, 0.0

    @property
    def used(self) -> int:
        """Terms since the last fold."""
        return int(self.sum.used[0])

    @property
    def condition(self) -> float:
        """An upper bound of the condition number of a matrix that has only grown."""
        return 1.0 + self._added / self._ridge

    def flushed(self) -> Sum:
        """Its arrays, with every waiting observation X (m, d) added by their joint Woodbury term.

        ``V^{-1}`` falls by ``S^T S``, ``S = L^{-1} X V^{-1}`` with L the Cholesky factor of
        ``I + X V^{-1} X^T``.
        """
        if self._waiting:
            rows = np.array(self._waiting)
            self._waiting.clear()
            seen = self._rows_dot(rows)
            root = np.linalg.cholesky(np.eye(len(rows)) + seen @ rows.T)
            start, stop = self.used, self.used + len(rows)
            self.sum.terms[start:stop] = np.linalg.solve(root, seen)
            self.sum.signs[start:stop] = -1.0
            self.sum.used[0] = stop
            self.fold_block()
        return self.sum

    def reset(self, inverse: np.ndarray) -> None:
        """Restart from a dense symmetric inverse, shape (d, d)."""
        self._waiting.clear()
        self.sum.used[0] = 0
        self.sum = self.sum._replace(base=np.ascontiguousarray(inverse, self.sum.terms.dtype))

    def dot(self, x: np.ndarray) -> np.ndarray:
        """``V^{-1} x``, shape (d,)."""
        return kernels.dot(self.flushed(), x)

    def gram(self, queries: np.ndarray, others: np.ndarray | None = None) -> np.ndarray:
        """``W V^{-1} W'^T`` for queries W (q, d) and others W' (p, d), by default W: shape (q, p)."""
        self.flushed()
        others = queries if others is None else others
        if len(queries) > len(others):
            return queries @ self._rows_dot(others).T
        return self._rows_dot(queries) @ others.T

    def grow(self, x: np.ndarray, weight: float = 1.0) -> None:
        """``V += weight x x^T``; `weight` > 0. `x` must not be modified afterwards."""
        self._waiting.append(x if weight == 1.0 else np.sqrt(weight) * x)
        self._added += weight * float(x @ x)
        if len(self._waiting) + self.used >= BLOCK:
            self.flushed()

    def append(self, term: np.ndarray, sign: float) -> None:
        """``V^{-1} += sign * term term^T``."""
        kernels.append(self.flushed(), term, sign)
        self.fold_block()

    def fold_block(self) -> None:
        """Fold the terms into the base, once a block of them has gathered."""
        if self.used >= BLOCK:
            base, scale, terms, signs, _ = self.sum
            recent = terms[: self.used]
            start = base if base.size else scale * np.eye(recent.shape[1], dtype=recent.dtype)
            self.reset(start + (recent.T * signs[: self.used]) @ recent)

    def _rows_dot(self, rows: np.ndarray) -> np.ndarray:
        """``W V^{-1}`` for rows W of shape (m, d), without waiting observations."""
        base, scale, terms, signs, _ = self.sum
        result = rows @ base if base.size else scale * rows
        if self.used:
            recent = terms[: self.used]
            result += ((rows @ recent.T) * signs[: self.used]) @ recent
        return result


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
        """The arrays of the inverse, with room for the terms of one refit."""
        self._inverse.fold_block()
        return self._inverse.sum

    def reset(self, hessian: np.ndarray, history: History) -> None:
        """Restart from an exact joint Hessian, which covers the whole history."""
        self._inverse.reset(np.linalg.inv(hessian))
        self._taken = tuple(part.serves.copy() for part in history.parts_of(self.models))

    def catch_up(self, history: History) -> bool:
        """Absorb the rounds since the last use; False if rounding has spoilt the inverse."""
        parts = history.parts_of(self.models)
        self._taken = tuple(
            taken
            if taken.size == part.serves.size
            else np.pad(taken, (0, part.serves.size - taken.size))
            for taken, part in zip(self._taken, parts, strict=True)
        )
        while True:
            end = absorb(self.sum, self._taken, parts, self._index, history.members, history.places)
            if end != FULL:
                return end == TAKEN


@compiled
def dot_part(inverse, x, start):
    """``H x`` for an `x` given from coordinate `start` on, and zero elsewhere: shape (n,)."""
    stop = start + x.shape[0]
    if inverse.base.shape[0]:
        result = np.dot(x, inverse.base[start:stop])
    else:
        result = np.zeros(inverse.terms.shape[1], inverse.terms.dtype)
        result[start:stop] = inverse.scale[0] * x
    used = inverse.used[0]
    if used:
        terms = inverse.terms[:used]
        seen = np.empty(used, terms.dtype)
        for i in range(used):
            seen[i] = inverse.signs[i] * np.dot(terms[i, start:stop], x)
        result += np.dot(seen, terms)
    return result


@compiled
def absorb(inverse, taken, parts, models, members, places):
    """Add the rounds since the last use to the inverse over the joint parameters of `models`.

    Parameters
    ----------
    taken : per model, the serves absorbed so far, by entry of its part.
    members, places : (entries, K) the assortment of each entry of the history, and the entry's
        place in the part of each of its models.

    Returns
    -------
    TAKEN, FULL (fold the terms, then go on), or SPOILT: rounding has left no inverse.
    """
    n = models.size
    slots, rates = np.empty(n, np.int64), np.empty(n)
    for k in range(n):
        part = parts[k]
        for place in range(part.size[1]):
            serves = part.serves[place] - taken[k][place]
            if serves == 0.0:
                continue
            if inverse.used[0] + n > inverse.signs.size:
                return FULL
            entry, m = part.entry[place], 0
            for i in range(n):
                for c in range(members.shape[1]):
                    if members[entry, c] == models[i]:
                        its = places[entry, c]
                        taken[i][its] += serves
                        slots[m], rates[m] = i, parts[i].rates[its]
                        m += 1
            x = part.contexts[part.entry_row[place]]
            if not grow(inverse, x, slots[:m], rates[:m], serves):
                return SPOILT
    return TAKEN


@compiled
def grow(inverse, x, slots, rates, serves):
    """Add ``serves (diag(p) - p p^T)`` times ``x x^T``, in the slots of a joint inverse.

    One Sherman-Morrison step for each column of the root L of the weights, so that ``x`` is
    multiplied but once a slot. False, and no more is added, where the inverse is no longer positive
    definite.
    """
    m, d = slots.size, x.size
    seen = np.empty((m, inverse.terms.shape[1]), np.float32)
    gram = np.empty((m, m))
    for i in range(m):
        seen[i] = dot_part(inverse, x, slots[i] * d)
        for j in range(m):
            gram[i, j] = np.dot(x, seen[i, slots[j] * d : (slots[j] + 1) * d])
    root = weight_root(rates, serves)
    for c in range(m):
        along = np.dot(gram, root[:, c].copy())
        square = np.dot(root[:, c].copy(), along)
        if not (square >= 0.0 and gram[c, c] >= 0.0):
            return False
        shrink = 1.0 / math.sqrt(1.0 + square)
        term = np.zeros(seen.shape[1], np.float32)
        for i in range(c, m):
            term += np.float32(shrink * root[i, c]) * seen[i]
        # As kernels.append does: a compiled function calls none of another file.
        inverse.terms[inverse.used[0]] = term
        inverse.signs[inverse.used[0]] = -1.0
        inverse.used[0] += 1
        for i in range(m):
            seen[i] -= np.float32(shrink * along[i]) * term
            for j in range(m):
                gram[i, j] -= shrink * shrink * along[i] * along[j]
    return True


@compiled
def weight_root(rates, serves):
    """Lower Cholesky factor of ``serves (diag(p) - p p^T)``, with a floor under its diagonal."""
    m = rates.size
    root = np.zeros((m, m))
    for j in range(m):
        for i in range(j, m):
            value = -serves * rates[i] * rates[j]
            if i == j:
                value += serves * rates[i] + LEAST
            for c in range(j):
                value -= root[i, c] * root[j, c]
            root[i, j] = math.sqrt(max(value, LEAST)) if i == j else value / root[j, j]
    return root
