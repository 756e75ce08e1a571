"""The inner loops of a choice, compiled by Numba: bounds of sampled scores, and the draws themselves.

No function here calls a compiled function of another module, see :mod:`.kernels`.
"""

import math

import numpy as np

from .compiling import compiled, part


@compiled
def survivors(mean, deviation, normals, alpha, K, room, rank):
    """Upper bounds of the sampled scores that can still be among the K of the best query.

    Score (i, j) lies within ``alpha deviation_ij |z_{<=i,j}|`` of its mean for every draw, and the
    largest of M draws counts. Bounds are compared with a little `room`.

    Parameters
    ----------
    mean, deviation : (q, N). normals : (q, N, M). alpha : confidence radius.
    rank : queries from this one on have no normals of their own; q if that is not certain.

    Returns
    -------
    (float64 (q, N), -inf for all other scores; the one remaining query if it has exactly K scores, else
    -1)
    """
    q, N, M = normals.shape
    squares = np.zeros((N, M))
    lower, upper, largest = np.empty(N), np.empty((q, N)), np.empty(K)
    query_upper, floor = np.empty(q), -np.inf
    for i in range(q):
        for j in range(N):
            least, most = np.inf, 0.0
            for m in range(M):
                if i < rank:
                    squares[j, m] += normals[i, j, m] * normals[i, j, m]
                least, most = min(least, squares[j, m]), max(most, squares[j, m])
            reach = alpha * deviation[i, j]
            lower[j] = mean[i, j] - reach * math.sqrt(least)
            upper[i, j] = mean[i, j] + reach * math.sqrt(most)
        query_upper[i] = best(upper[i], largest)
        floor = max(floor, best(lower, largest))
        for j in range(N):
            if upper[i, j] < largest[0] - room:
                upper[i, j] = -np.inf
    last, count = np.int64(-1), np.int64(0)
    for i in range(q):
        good = query_upper[i] >= floor - room
        last = i if good else last
        for j in range(N):
            upper[i, j] = upper[i, j] if good else -np.inf
            count += upper[i, j] > -np.inf
    return upper, last if count == K else np.int64(-1)


@compiled
def eliminate(column, covariance, i, rest):
    """Turn ``L_i L^T`` (q,) into column i of the factor, and take its squares off the `rest` (q,)."""
    root = math.sqrt(rest[i])
    for k in range(column.size):
        column[k] = (covariance[k] - column[k]) / root if k >= i else 0.0
        rest[k] -= column[k] * column[k]


@compiled
def draws(factor, normals, j, mine, dependent):
    """``L z`` for model j at the queries `mine`, with ``L L^T`` the covariance of the first m queries.

    Parameters
    ----------
    factor : the covariance (m, m), overwritten by L. normals : (q, N, M).
    mine : (n,) int64, ascending, up to m - 1.
    dependent : a pivot below this share of its diagonal is not trusted.

    Returns
    -------
    (whether every pivot could be trusted, (n, M))
    """
    m, M = factor.shape[0], normals.shape[2]
    drawn = np.zeros((mine.size, M))
    for p in range(m):
        diagonal = factor[p, p]
        for c in range(p):
            factor[p, p] -= factor[p, c] * factor[p, c]
        if not factor[p, p] > dependent * diagonal:
            return False, drawn
        factor[p, p] = math.sqrt(factor[p, p])
        for i in range(p + 1, m):
            for c in range(p):
                factor[i, p] -= factor[i, c] * factor[p, c]
            factor[i, p] /= factor[p, p]
    for n in range(mine.size):
        for i in range(mine[n] + 1):
            for draw in range(M):
                drawn[n, draw] += factor[mine[n], i] * normals[i, j, draw]
    return True, drawn


@part
def best(scores, largest):
    """Log of the summed odds of the K largest scores, which are left in `largest` (K,), ascending."""
    K = largest.size
    for c in range(K):
        largest[c] = -np.inf
    for j in range(scores.size):
        if scores[j] > largest[0]:
            c = 1
            while c < K and scores[j] > largest[c]:
                largest[c - 1] = largest[c]
                c += 1
            largest[c - 1] = scores[j]
    peak, total = largest[K - 1], 0.0
    if K == 1:
        return peak
    for c in range(K):
        total += math.exp(largest[c] - peak)
    return peak + math.log(total)
