"""Approximate inverse Hessians over the parameters of some models, carried from refit to refit.

When one is next used, it absorbs the rounds since then that offered any of its models: each is a term
whose rank is the number of these models, weighted by the pick rates of that moment. Each step of a
refit adds a symmetric rank-one secant term. The inverses only steer the iteration of
:mod:`cqb.learner.refit`, so single precision is enough.
"""

from __future__ import annotations

import math

import numpy as np

from ..mnl import Assortment
from .history import History
from .kernels import compiled
from .lazy_inverse import LazyInverse

TAKEN, FULL, SPOILT = 0, 1, 2

# A floor under the weight of a round, where float64 has rounded a pick rate to 0 or 1.
LEAST = 1e-12


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
