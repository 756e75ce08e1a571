"""The Thompson choice, which skips exactly the scores that cannot win.

Law and decisions are those of sampling every score (:func:`cqb.posterior.sampled_scores`). The
normals of a round are drawn first; a joint draw of the scores of model j is ``mean + alpha L z`` with
L the Cholesky factor of their covariance, so query i's score lies within
``alpha * sd_i * |z_{<=i}|`` of its mean whatever L is, and ``sd_i`` is known to be at most
``1/sqrt(lambda0/|x|^2 + n)`` after n observations of the very same vector. Queries and models whose
upper bound stays below a lower bound of the best are out before any covariance is formed.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

import numpy as np

from ..mnl import Assortment, log_departure_odds
from ..posterior import DEPENDENT
from . import draw_kernels
from .lazy_inverse import LazyInverse

# Tolerance of comparisons between bounds, so that rounding never prunes a tie.
ROOM = 1e-9
# If all pivots are above this share of their diagonals, LAPACK's factor equals ours.
TRUSTED = 1e3 * DEPENDENT
# Queries up to which a compiled loop factorises faster than LAPACK is called.
FEW = 48


class Candidates(NamedTuple):
    """The distinct waiting contexts, in the order of their normals.

    contexts : (C, d) all context vectors. ranked : int64 (q,) the waiting ones.
    mean : (q, N) ``<x, theta_j>``. deviation : (q, N) upper bounds of the posterior standard
    deviations at alpha = 1. normals : (q, N, M) standard normals.
    """

    contexts: np.ndarray
    ranked: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray
    normals: np.ndarray

    def rows(self, at: np.ndarray | slice) -> np.ndarray:
        """The vectors of some candidates."""
        return self.contexts[self.ranked[at]]


Choice = tuple[int, Assortment]


def prune(
    candidates: Candidates, inverses: list[LazyInverse], alpha: float, K: int, off: float = 0.0
) -> tuple[np.ndarray, Choice | None]:
    """Upper bounds of the scores that may be of the choice, and the choice if only one is possible.

    Parameters
    ----------
    inverses : ``V_j^{-1}`` of the N models.
    alpha : confidence radius. K : assortment size.
    off : largest error of a mean.

    Returns
    -------
    (float64 (q, N), -inf for all other scores, and what :func:`choose` would return, or None)
    """
    rank = _rank(candidates, inverses)
    # The rate of an assortment moves in its utilities by no more than they do, in log odds.
    upper, sole = draw_kernels.survivors(*candidates[2:], alpha, K, ROOM + 2.0 * off, rank)
    if sole < 0:
        return upper, None
    return upper, (sole, tuple((upper[sole] > -np.inf).nonzero()[0].tolist()))


def choose(candidates: Candidates, inverses: list[LazyInverse], alpha: float, K: int) -> Choice:
    """The query and assortment of largest sampled departure rate.

    Parameters
    ----------
    inverses : ``V_j^{-1}`` of the N models.
    alpha : confidence radius. K : assortment size.

    Returns
    -------
    (position in 0..q-1, ascending model indices)
    """
    upper, choice = prune(candidates, inverses, alpha, K)
    if choice is not None:
        return choice
    mean, best = candidates.mean, np.finfo(float).min  # below every score, above -inf
    scores = np.full(mean.shape, -np.inf)
    # The largest bound first: with K = 1 its draw rules out most other models.
    for j in np.argsort(-upper.max(axis=0), kind="stable").tolist():
        mine = (upper[:, j] >= best - ROOM).nonzero()[0]
        if not mine.size:
            break
        drawn = _draws(candidates, inverses[j], j, mine)
        scores[mine, j] = mean[mine, j] + alpha * drawn.max(axis=1)
        if K == 1:
            best = max(best, float(scores[mine, j].max()))
    return _best(scores, K)


def _rank(candidates: Candidates, inverses: list[LazyInverse]) -> int:
    """The first query from which on none has normals of its own, if that is certain; else q.

    This is the d-th if the vectors before it are so far from dependent that no model's covariance can
    make them look dependent: a pivot's share of its diagonal falls by at most
    the condition of V_j.
    """
    q, d = candidates.ranked.size, candidates.contexts.shape[1]
    if q <= d:
        return q
    leading = candidates.rows(slice(0, d))
    products = leading @ leading.T
    try:
        pivots = np.diagonal(np.linalg.cholesky(products)) ** 2
    except np.linalg.LinAlgError:
        return q
    share = (pivots / np.diagonal(products)).min()
    return d if share > TRUSTED * max(i.condition for i in inverses) else q


def _draws(candidates: Candidates, inverse: LazyInverse, j: int, mine: np.ndarray) -> np.ndarray:
    """(len(mine), M) rows of ``L z`` for model j; L's leading block is all they need.

    Queries beyond the first d depend on earlier ones and have no normals of their own, so a long
    queue costs its own length times d and not its square.
    """
    everyone = np.arange(mine[-1] + 1)
    if everyone.size <= FEW:
        covariance = inverse.gram(candidates.rows(everyone))
        trusted, drawn = draw_kernels.draws(covariance, candidates.normals, j, mine, TRUSTED)
        if trusted:
            return drawn
    normals = candidates.normals[: everyone.size, j]
    rank = candidates.contexts.shape[1]
    leading = candidates.rows(everyone[:rank])
    factor, pivots = cholesky(inverse.gram(leading))
    if everyone.size <= rank:
        return factor[mine] @ normals[pivots]
    if isinstance(pivots, slice):
        back = np.linalg.solve(factor.T, normals[:rank])
        return inverse.gram(candidates.rows(mine), leading) @ back
    rows = candidates.rows(everyone)
    diagonal = np.concatenate(
        [np.diagonal(inverse.gram(rows[at : at + rank])) for at in range(0, len(rows), rank)]
    )
    factor, pivots = _independent_columns(
        diagonal, lambda i: inverse.gram(rows, rows[i : i + 1])[:, 0]
    )
    return factor[mine] @ normals[pivots]


def cholesky(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray | slice]:
    """Columns of the lower factor of a positive semi-definite matrix, and their positions.

    LAPACK's factor where the matrix is safely definite; else only the columns of independent
    queries, (q, r), with their positions: :func:`cqb.posterior.dependent_cholesky` without its
    zero columns.
    """
    with suppress(np.linalg.LinAlgError):
        lower = np.linalg.cholesky(matrix)
        if (np.diagonal(lower) ** 2 > TRUSTED * np.diagonal(matrix)).all():
            return lower, slice(0, matrix.shape[0])
    return _independent_columns(np.diagonal(matrix), lambda i: matrix[:, i])


def _independent_columns(
    diagonal: np.ndarray, column_of: Callable[[int], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Columns (q, r) of the factor, and the positions (r,) of the queries that have one."""
    rest, least = diagonal.copy(), DEPENDENT * diagonal
    columns = np.empty((rest.size, rest.size))
    pivots: list[int] = []
    for i in range(rest.size):
        if rest[i] > least[i]:
            before, column = columns[: len(pivots)], columns[len(pivots)]
            np.matmul(before[:, i], before, out=column)
            draw_kernels.eliminate(column, column_of(i), i, rest)
            pivots.append(i)
    return columns[: len(pivots)].T, np.array(pivots, int)


def _best(scores: np.ndarray, K: int) -> Choice:
    """The query and assortment of largest departure rate; a score of -inf is not for choice."""
    N = scores.shape[1]
    if K == 1:
        row, j = divmod(int(np.argmax(scores)), N)
        return row, (j,)
    top = np.partition(scores, N - K, axis=1)[:, N - K :]
    rows = (top[:, 0] > -np.inf).nonzero()[0]
    row = int(rows[int(np.argmax(log_departure_odds(top[rows])))])
    order = np.argsort(-scores[row], kind="stable")[:K]
    return row, tuple(sorted(order.tolist()))
