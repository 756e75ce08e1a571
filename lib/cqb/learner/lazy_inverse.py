"""Inverse of a matrix that grows by rank-one terms, at the cost of the terms since the last fold.

``V^{-1}`` of a model with a handful of observations is ``I/lambda0`` minus a handful of rank-one terms:
nothing d x d is stored or touched until a block of terms has gathered, and then one matrix
product folds the whole block in.
"""

from __future__ import annotations

import numpy as np

BLOCK = 64


class LazyInverse:
    """``I/ridge`` plus signed rank-one terms ``sign * r r^T``, folded into a dense base by blocks.

    Parameters
    ----------
    d : dimension. ridge : positive; the matrix starts as ``ridge * I`` and its inverse as ``I/ridge``
        (zero for an infinite ridge).
    dtype : float64, or float32 where the inverse only steers an iteration.
    """

    def __init__(self, d: int, ridge: float, dtype: type = np.float64) -> None:
        if not ridge > 0:
            raise ValueError(f"ridge: found {ridge}, expected a positive number")
        self._scale = dtype(1.0 / ridge)
        self._base: np.ndarray | None = None
        self._terms = np.empty((BLOCK, d), dtype)
        self._signs = np.empty(BLOCK, dtype)
        self.used = 0

    @classmethod
    def of(cls, inverse: np.ndarray) -> LazyInverse:
        """Start from a dense symmetric inverse, shape (d, d)."""
        lazy = cls(inverse.shape[0], 1.0, inverse.dtype.type)
        lazy._base = inverse.copy()
        return lazy

    def dot(self, x: np.ndarray) -> np.ndarray:
        """``V^{-1} x``, shape (d,)."""
        result = self._scale * x if self._base is None else self._base @ x
        if self.used:
            terms = self._terms[: self.used]
            result += (self._signs[: self.used] * (terms @ x)) @ terms
        return result

    def dot_part(self, x: np.ndarray, start: int) -> np.ndarray:
        """``V^{-1} x`` for an `x` given from coordinate `start` on, and zero elsewhere: shape (d,)."""
        stop = start + x.shape[0]
        if self._base is None:
            result = np.zeros(self._terms.shape[1], self._terms.dtype)
            result[start:stop] = self._scale * x
        else:
            result = x @ self._base[start:stop]
        if self.used:
            terms = self._terms[: self.used]
            result += (self._signs[: self.used] * (terms[:, start:stop] @ x)) @ terms
        return result

    def gram(self, queries: np.ndarray) -> np.ndarray:
        """``W V^{-1} W^T`` for queries W of shape (q, d): shape (q, q)."""
        base = self._scale * queries if self._base is None else queries @ self._base
        result = base @ queries.T
        if self.used:
            seen = queries @ self._terms[: self.used].T
            result += (seen * self._signs[: self.used]) @ seen.T
        return result

    def grow(self, x: np.ndarray, weight: float = 1.0) -> None:
        """``V += weight x x^T`` (Sherman-Morrison on the inverse); `weight` > 0."""
        k = self.dot(x)
        self.append(k / np.sqrt(1.0 / weight + x @ k), -1.0)

    def append(self, term: np.ndarray, sign: float) -> None:
        """``V^{-1} += sign * term term^T``."""
        self._terms[self.used] = term
        self._signs[self.used] = sign
        self.used += 1
        if self.used == BLOCK:
            self._fold()

    def dense(self) -> np.ndarray:
        """The inverse as a (d, d) array."""
        d = self._terms.shape[1]
        base = self._scale * np.eye(d) if self._base is None else self._base
        terms = self._terms[: self.used]
        return base + (terms.T * self._signs[: self.used]) @ terms

    def _fold(self) -> None:
        self._base = self.dense()
        self.used = 0
