"""The Thompson choice, skipping exactly what cannot win.

Same law and same decisions as sampling every score (:func:`cqb.posterior.sampled_scores`). The
normals of a round are drawn first; a joint draw of the scores of model j is ``mean + alpha L z`` with
L the Cholesky factor of their covariance, so query i's score lies within
``alpha * sd_i * |z_{<=i}|`` of its mean whatever L is, and ``sd_i`` is known to be at most
``1/sqrt(lambda0/|x|^2 + n)`` after n observations of the very same vector. Queries and models whose
upper bound stays below a lower bound of the best are out before any covariance is formed.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..posterior import DEPENDENT
from . import kernels

Covariance = Callable[[int, np.ndarray, np.ndarray], np.ndarray]

# Bounds are compared with a little room, so that rounding never prunes a tie.
ROOM = 1e-9


def choose(
    mean: np.ndarray,
    deviation: np.ndarray,
    normals: np.ndarray,
    alpha: float,
    K: int,
    covariance: Covariance,
    rank: int,
) -> tuple[int, tuple[int, ...]]:
    """The query and assortment of largest sampled departure rate.

    Parameters
    ----------
    mean : (q, N) ``<x, theta_j>`` of the distinct waiting queries, in the order of their normals.
    deviation : (q, N) upper bounds of the posterior standard deviations at alpha = 1.
    normals : (q, N, M) standard normals.
    alpha : confidence radius. K : assortment size.
    covariance : (model, positions, others) -> ``W V_j^{-1} W'^T`` of those queries.
    rank : the most queries that can be linearly independent, d.

    Returns
    -------
    (position in 0..q-1, ascending model indices)
    """
    alive = kernels.survivors(mean, deviation, normals, alpha, K, ROOM)
    rows = np.flatnonzero(alive.any(axis=1))
    if rows.size == 1 and np.count_nonzero(alive[rows[0]]) == K:
        return int(rows[0]), tuple(np.flatnonzero(alive[rows[0]]).tolist())
    scores = np.full(mean.shape, -np.inf)
    for j in np.flatnonzero(alive.any(axis=0)):
        mine = np.flatnonzero(alive[:, j])
        drawn = _draws(int(j), mine, normals, covariance, rank)
        scores[mine, j] = mean[mine, j] + alpha * drawn.max(axis=1)
    return _best(scores, rows, K)


def _log_odds(scores: np.ndarray, K: int) -> np.ndarray:
    """log of the summed odds of the K largest scores per row."""
    N = scores.shape[1]
    top = np.partition(scores, N - K, axis=1)[:, N - K :]
    peak = top.max(axis=1, keepdims=True)
    return peak[:, 0] + np.log(np.exp(top - peak).sum(axis=1))


def _draws(
    j: int, mine: np.ndarray, normals: np.ndarray, covariance: Covariance, rank: int
) -> np.ndarray:
    """(len(mine), M) rows of ``L z`` for model j; L's leading block is all they need.

    Queries beyond the first `rank` depend on earlier ones and have no normals of their own, so a
    long queue costs its own length times `rank` and not its square.
    """
    everyone = np.arange(mine[-1] + 1)
    leading = everyone[:rank]
    factor, pivots = cholesky(covariance(j, leading, leading))
    if everyone.size <= rank:
        return factor[mine] @ normals[pivots, j]
    if isinstance(pivots, slice):
        return covariance(j, mine, leading) @ np.linalg.solve(factor.T, normals[leading, j])
    diagonal = np.concatenate(
        [np.diagonal(covariance(j, at, at)) for at in _blocks(everyone, rank)]
    )
    factor, pivots = _independent_columns(
        diagonal, lambda i: covariance(j, everyone, everyone[i : i + 1])[:, 0]
    )
    return factor[mine] @ normals[pivots, j]


def _blocks(everyone: np.ndarray, size: int) -> list[np.ndarray]:
    return [everyone[i : i + size] for i in range(0, everyone.size, size)]


def cholesky(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray | slice]:
    """Columns of the lower factor of a positive semi-definite matrix, and which they are.

    LAPACK's factor where the matrix is safely definite; else only the columns of independent
    queries, (q, r), with their positions: :func:`cqb.posterior.dependent_cholesky` without its
    zero columns.
    """
    if matrix.shape[0] == 1:
        return np.sqrt(matrix), slice(0, 1)
    try:
        lower = np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        return _independent_columns(np.diagonal(matrix), lambda i: matrix[:, i])
    pivots = np.diagonal(lower) ** 2
    if (pivots > 1e3 * DEPENDENT * np.diagonal(matrix)).all():
        return lower, slice(0, matrix.shape[0])
    return _independent_columns(np.diagonal(matrix), lambda i: matrix[:, i])


def _independent_columns(
    diagonal: np.ndarray, column_of: Callable[[int], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Columns (q, r) of the factor, and the positions (r,) of the queries that have one."""
    rest = diagonal.copy()
    columns = np.empty((0, rest.size))
    pivots: list[int] = []
    while (free := np.flatnonzero(rest > DEPENDENT * diagonal)).size:
        i = int(free[0])
        column = (column_of(i) - columns[:, i] @ columns) / np.sqrt(rest[i])
        column[:i] = 0.0
        columns = np.vstack([columns, column])
        pivots.append(i)
        rest -= column * column
        rest[: i + 1] = 0.0
    return columns.T, np.array(pivots)


def _best(scores: np.ndarray, rows: np.ndarray, K: int) -> tuple[int, tuple[int, ...]]:
    if K == 1:
        flat = int(np.argmax(scores[rows].max(axis=1)))
        row = int(rows[flat])
        return row, (int(np.argmax(scores[row])),)
    row = int(rows[int(np.argmax(_log_odds(scores[rows], K)))])
    order = np.argsort(-scores[row], kind="stable")[:K]
    return row, tuple(sorted(order.tolist()))
