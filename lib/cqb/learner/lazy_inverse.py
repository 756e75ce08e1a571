"""Inverse of a matrix that grows by rank-one terms, at the cost of the terms since the last fold.

``V^{-1}`` of a model with few observations is ``I/lambda0`` minus a few rank-one terms. No d x d matrix
exists until a block of terms has gathered; then one matrix product folds the whole block in.
Observations wait until the inverse is needed: added together, they cost one matrix product instead of
many matrix-vector products.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from . import kernels

BLOCK = 64


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
