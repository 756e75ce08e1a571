"""The inner loops of a choice, compiled by Numba: bounds of sampled scores, and the draws themselves.

No function here calls a compiled function of another module, see :mod:`.kernels`.
"""

from __future__ import annotations

import math

import numpy as np

from .kernels import compiled

# Contexts whose scores are one matrix product.
ROWS = 256


@compiled
def prospects(contexts, ranked, theta, information):
    """Mean scores of the waiting contexts, and bounds of their deviations: two of (q, N).

    Parameters
    ----------
    contexts : (C, d). ranked : (q,) the waiting ones. theta : (N, d).
    information : (C, N), 1 / (an upper bound of the posterior variance of each score at alpha = 1).
    """
    q, N = ranked.size, theta.shape[0]
    mean, deviation = np.empty((q, N)), np.empty((q, N))
    for start in range(0, q, ROWS):
        stop = min(start + ROWS, q)
        mean[start:stop] = np.dot(contexts[ranked[start:stop]], theta.T)
        for i in range(start, stop):
            for j in range(N):
                deviation[i, j] = 1.0 / math.sqrt(information[ranked[i], j])
    return mean, deviation


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
    lower, upper = np.empty((q, N)), np.empty((q, N))
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
            lower[i, j] = mean[i, j] - reach * math.sqrt(least)
            upper[i, j] = mean[i, j] + reach * math.sqrt(most)
        kth[i], query_lower = best(lower[i], K)
        query_upper[i] = best(upper[i], K)[1]
        floor = max(floor, query_lower)
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
def draws(inverse, rows, normals, mine, dependent):
    """``L z`` at the queries `mine`, with ``L L^T = W V^{-1} W^T`` over all rows W.

    Parameters
    ----------
    inverse : of V. rows : W (m, d). normals : (m, M). mine : (n,) int64, ascending, up to m - 1.
    dependent : a pivot below this share of its diagonal is not trusted.

    Returns
    -------
    (whether every pivot could be trusted, (n, M))
    """
    m, M = normals.shape
    factor = gram(inverse, rows)
    drawn = np.zeros((mine.size, M))
    for j in range(m):
        diagonal = factor[j, j]
        for c in range(j):
            factor[j, j] -= factor[j, c] ** 2
        if not factor[j, j] > dependent * diagonal:
            return False, drawn
        factor[j, j] = math.sqrt(factor[j, j])
        for i in range(j + 1, m):
            for c in range(j):
                factor[i, j] -= factor[i, c] * factor[j, c]
            factor[i, j] /= factor[j, j]
    for n in range(mine.size):
        for i in range(mine[n] + 1):
            drawn[n] += factor[mine[n], i] * normals[i]
    return True, drawn


@compiled
def gram(inverse, rows):
    """``W V^{-1} W^T`` for rows W (m, d): shape (m, m)."""
    seen = np.dot(rows, inverse.base) if inverse.base.shape[0] else inverse.scale[0] * rows
    result = np.dot(seen, rows.T)
    used = inverse.used[0]
    if used:
        along = np.dot(rows, inverse.terms[:used].T)
        result += np.dot(along * inverse.signs[:used], along.T)
    return result


@compiled
def best(scores, K):
    """The K-th largest of some scores, and the log of the summed odds of the K largest."""
    largest = np.sort(scores)[scores.size - K :]
    if K == 1:
        return largest[0], largest[0]
    peak = largest[K - 1]
    return largest[0], peak + math.log(np.sum(np.exp(largest - peak)))
