"""The inner loops of a choice, compiled by Numba: bounds of sampled scores, and the draws themselves.

No function here calls a compiled function of another module, see :mod:`.kernels`.
"""

from __future__ import annotations

import math

import numpy as np

from .compiling import compiled, part


@compiled
def survivors(mean, deviation, normals, alpha, K, room, rank):
    """The sampled scores that can still be among the K of the best query.

    Score (i, j) lies within ``alpha deviation_ij |z_{<=i,j}|`` of its mean for every draw, and the
    largest of M draws counts. Bounds are compared with a little `room`.

    Parameters
    ----------
    mean, deviation : (q, N). normals : (q, N, M). alpha : confidence radius.
    rank : queries from this one on have no normals of their own; q if that is not certain.

    Returns
    -------
    (bool (q, N), the one remaining query if it has exactly K scores, else -1)
    """
    q, N, M = normals.shape
    squares = np.zeros((N, M))
    lower, upper, largest = np.empty(N), np.empty((q, N)), np.empty(K)
    kth, query_upper = np.empty(q), np.empty(q)
    floor = -np.inf
    for i in range(q):
        for j in range(N):
            least, most = np.inf, 0.0
            for m in range(M):
                if i < rank:
                    squares[j, m] += normals[i, j, m] ** 2
                least, most = min(least, squares[j, m]), max(most, squares[j, m])
            reach = alpha * deviation[i, j]
            lower[j] = mean[i, j] - reach * math.sqrt(least)
            upper[i, j] = mean[i, j] + reach * math.sqrt(most)
        query_upper[i] = best(upper[i], largest)
        floor = max(floor, best(lower, largest))
        kth[i] = largest[0]
    alive = np.zeros((q, N), np.bool_)
    rows, last, count = 0, -1, 0
    for i in range(q):
        if query_upper[i] >= floor - room:
            rows, last, count = rows + 1, i, 0
            for j in range(N):
                alive[i, j] = upper[i, j] >= kth[i] - room
                count += alive[i, j]
    return alive, last if rows == 1 and count == K else -1


@compiled
def draws(covariance, normals, j, mine, dependent):
    """``L z`` for model j at the queries `mine`, with ``L L^T`` the covariance of the first m queries.

    Parameters
    ----------
    covariance, dependent : (m, m), overwritten, and a share, see :func:`factorise`.
    normals : (q, N, M). mine : (n,) int64, ascending, up to m - 1.

    Returns
    -------
    (n, M)
    """
    pivots = factorise(covariance, dependent)
    drawn = np.zeros((mine.size, normals.shape[2]))
    for n in range(mine.size):
        for c in range(pivots.size):
            if pivots[c] <= mine[n]:
                for draw in range(drawn.shape[1]):
                    drawn[n, draw] += covariance[mine[n], c] * normals[pivots[c], j, draw]
    return drawn


@compiled
def factorise(matrix, dependent):
    """The columns of a lower factor that are not zero, in the first columns of `matrix` (m, m).

    A query whose pivot is below the share `dependent` of its diagonal depends on those before it and
    has no column: :func:`cqb.posterior.dependent_cholesky` without its columns of zeros.

    Returns
    -------
    (r,) the queries that have a column, ascending
    """
    m, r = matrix.shape[0], 0
    pivots = np.empty(m, np.int64)
    for i in range(m):
        pivot = matrix[i, i]
        for c in range(r):
            pivot -= matrix[i, c] ** 2
        if not pivot > dependent * matrix[i, i]:
            continue
        root = math.sqrt(pivot)
        for k in range(i + 1, m):
            value = matrix[k, i]
            for c in range(r):
                value -= matrix[k, c] * matrix[i, c]
            matrix[k, r] = value / root
        matrix[:i, r] = 0.0
        matrix[i, r] = root
        pivots[r] = i
        r += 1
    return pivots[:r]


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
