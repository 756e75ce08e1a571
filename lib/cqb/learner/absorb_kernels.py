"""The inner loops that add rounds to an inverse, compiled by Numba.

No function here calls a compiled function of another module, see :mod:`.kernels`.
"""

import math

import numpy as np

from .compiling import compiled, inlined

TAKEN, FULL, SPOILT = 0, 1, 2

# A floor under the weight of a round, where float64 has rounded a pick rate to 0 or 1.
LEAST = 1e-12


@inlined
def dot_part(inverse, x, start, result):
    """``H x`` for an `x` given from coordinate `start` on, and zero elsewhere, into `result` (n,)."""
    base, scale, terms, signs, in_use = inverse
    used, stop = in_use[0], start + x.size
    if in_use[1]:
        np.dot(x, base[start:stop], result)
    else:
        for i in range(result.size):
            result[i] = scale * x[i - start] if start <= i < stop else 0.0
    if used:
        seen, added = np.empty(used, np.float32), np.empty(result.size, np.float32)
        for i in range(used):
            seen[i] = signs[i] * np.dot(terms[i, start:stop], x)
        np.dot(seen, terms[:used], added)
        for i in range(result.size):
            result[i] += added[i]


@compiled
def grow_all(rows, base, scale, terms, signs, used):
    """Add the ``x x^T`` of all rows (m, d) to the matrix of an inverse of one model.

    One product of matrices with the base, then a Sherman-Morrison step for each row.
    """
    seen, added, d = np.empty(rows.shape), np.empty(rows.shape[1]), rows.shape[1]
    if used[1]:
        np.dot(rows, base, seen)
    for i in range(rows.shape[0]):
        n, square, weights = used[0], 1.0, np.empty(used[0])
        if n:
            np.dot(terms[:n], rows[i], weights)
            for t in range(n):
                weights[t] *= signs[t]
            np.dot(weights, terms[:n], added)
        for a in range(d):
            start = seen[i, a] if used[1] else scale * rows[i, a]
            terms[n, a] = start + added[a] if n else start
            square += rows[i, a] * terms[n, a]
        shrink = math.sqrt(square)
        for a in range(d):
            terms[n, a] /= shrink
        signs[n] = -1.0
        used[0] += 1


@compiled
def absorb(models, taken, members, places, row_spans, contexts, spans, links, counts, *inverse):
    """Add the rounds since the last use to the inverse over the joint parameters of `models`.

    Parameters
    ----------
    taken : (n, room) the serves absorbed so far, by model and place among its cells.
    members, places : (entries, K) the assortment of each entry of the history, and the entry's
        place among the cells of each of its models.
    row_spans, contexts, spans (of cells), links, counts : as in :meth:`.history.History.tables`.
    inverse : the arrays of :class:`.lazy_inverse.Inverses`, of a single one.

    Returns
    -------
    TAKEN, FULL (fold the terms, then go on), or SPOILT: rounding has left no inverse.
    """
    n = models.size
    slots, rates = np.empty(n, np.int64), np.empty(n)
    for k in range(n):
        for place in range(spans[models[k], 1]):
            cell = spans[models[k], 0] + place
            serves = counts[cell, 0] - taken[k, place]
            if serves == 0.0:
                continue
            if inverse[4][0] + n > inverse[3].size:
                return FULL
            entry, m = links[cell, 0], np.int64(0)
            for i in range(n):
                for c in range(members.shape[1]):
                    if members[entry, c] == models[i]:
                        its = places[entry, c]
                        taken[i, its] += serves
                        slots[m], rates[m] = i, counts[spans[models[i], 0] + its, 2]
                        m += 1
            x = contexts[row_spans[models[k], 0] + links[cell, 1]]
            if not grow(inverse, x, m, slots, rates, serves):
                return SPOILT
    return TAKEN


@inlined
def grow(inverse, x, m, slots, rates, serves):
    """Add ``serves (diag(p) - p p^T)`` times ``x x^T``, in the first m slots of a joint inverse.

    One Sherman-Morrison step for each column of the root L of the weights, so that ``x`` is
    multiplied but once a slot. False, and no more is added, where the inverse is no longer positive
    definite.
    """
    _, _, terms, signs, used = inverse
    d, n = x.size, terms.shape[1]
    seen, gram, along = np.empty((m, n), np.float32), np.empty((m, m)), np.empty(m)
    for i in range(m):
        dot_part(inverse, x, slots[i] * d, seen[i])
        for j in range(m):
            gram[i, j] = np.dot(x, seen[i, slots[j] * d : (slots[j] + 1) * d])
    root = weight_root(rates[:m], serves)
    for c in range(m):
        square = 0.0
        for i in range(m):
            along[i] = 0.0
            for j in range(m):
                along[i] += gram[i, j] * root[j, c]
            square += root[i, c] * along[i]
        if not (square >= 0.0 and gram[c, c] >= 0.0):
            return False
        shrink = 1.0 / math.sqrt(1.0 + square)
        term = terms[used[0]]
        for i in range(c, m):
            weight = np.float32(shrink * root[i, c])
            for a in range(n):
                term[a] = (term[a] if i > c else np.float32(0.0)) + weight * seen[i, a]
        signs[used[0]] = -1.0
        used[0] += 1
        for i in range(m):
            weight = np.float32(shrink * along[i])
            for a in range(n):
                seen[i, a] -= weight * term[a]
            for j in range(m):
                gram[i, j] -= shrink * shrink * along[i] * along[j]
    return True


@inlined
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
