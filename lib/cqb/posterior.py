"""Per-model precision and Thompson draws in score space, in plain dense form.

The posterior of model j is ``N(theta_j, alpha^2 V_j^{-1})`` with ``V_j = lambda0 I + sum x x^T`` over
the rounds that offered j (arXiv 2602.02061, section 3). A round needs the sampled utilities of
the waiting queries only, so their joint law ``N(W theta_j, alpha^2 W V_j^{-1} W^T)`` is sampled
directly from one normal per waiting query. Functions take any leading axes and work in the array
namespace of their inputs; :mod:`cqb.learner.thompson` is the form that skips work.
"""

import math

from .arrays import Array, namespace

# A Cholesky pivot below this share of its diagonal belongs to a query whose vector is a
# combination of earlier ones: its score is then determined by theirs.
DEPENDENT = 1e-11


def optimistic_draws(K: int) -> int:
    """Draws M that keep all K offered models optimistic (theory: 1/(4 sqrt(e pi)) per draw).

    ``M = max(1, ceil(1 - log K / log(1 - p)))`` with ``p = 1/(4 sqrt(e pi))``: 1, 9, 14, 17, 25 for
    K = 1, 2, 3, 4, 8 (arXiv 2602.02061, section 3).
    """
    if K < 1:
        raise ValueError(f"K: found {K}, expected at least 1")
    p = 1.0 / (4.0 * math.sqrt(math.e * math.pi))
    return 1 if K == 1 else max(1, math.ceil(1.0 - math.log(K) / math.log(1.0 - p)))


def confidence_radius(
    t: int, d: int, K: int, lambda0: float, kappa: float, alpha_coef: float
) -> float:
    """The radius alpha of the posterior draws at round t (arXiv 2602.02061, section 3).

    ``alpha_coef * (kappa/2 * sqrt(d log(1 + tK/(d lambda0)) + 4 log t) + kappa sqrt(lambda0))``;
    `alpha_coef` = 1 is the theoretical radius, the authors' experiments use 1e-4 and 1e-3.
    """
    spread = d * math.log1p(t * K / (d * lambda0)) + 4.0 * math.log(t)
    return alpha_coef * (0.5 * kappa * math.sqrt(spread) + kappa * math.sqrt(lambda0))


def add_observation(covariance: Array, x: Array) -> Array:
    """``(V + x x^T)^{-1}`` from ``V^{-1}``: (..., d, d) and (..., d) -> (..., d, d).

    Sherman-Morrison. A zero x leaves the matrix unchanged: so a batched run masks a model that was
    not offered.
    """
    xp = namespace(covariance)
    k = xp.squeeze(covariance @ x[..., None], axis=-1)
    scale = 1.0 + xp.sum(x * k, axis=-1)
    return covariance - k[..., :, None] * k[..., None, :] / scale[..., None, None]


def score_covariance(covariance: Array, queries: Array) -> Array:
    """``W V^{-1} W^T``: (..., d, d) and (..., q, d) -> (..., q, q)."""
    xp = namespace(covariance)
    return queries @ covariance @ xp.matrix_transpose(queries)


def dependent_cholesky(matrix: Array) -> Array:
    """Lower factor L of a positive semi-definite matrix, ``L L^T = matrix``: (..., q, q).

    Rows keep their order. A row that depends on earlier ones gets a zero pivot, so two equal
    queries get one score, and more queries than dimensions are no special case.
    """
    xp = namespace(matrix)
    q = matrix.shape[-1]
    diagonal = xp.linalg.diagonal(matrix)
    columns: list[Array] = []
    rest = matrix
    for i in range(q):
        pivot = rest[..., i, i]
        free = pivot > DEPENDENT * diagonal[..., i]
        root = xp.sqrt(xp.where(free, pivot, xp.ones_like(pivot)))
        column = xp.where(free[..., None], rest[..., :, i] / root[..., None], 0.0 * rest[..., :, i])
        rest = rest - column[..., :, None] * column[..., None, :]
        columns.append(column)
    lower = xp.stack(columns, axis=-1)
    return xp.tril(lower)


def sampled_scores(mean: Array, covariance: Array, normals: Array, alpha: float) -> Array:
    """Optimistic sampled utilities: the largest of M joint draws per query and model.

    Parameters
    ----------
    mean : (..., N, q) ``<x, theta_j>`` of the waiting queries.
    covariance : (..., N, q, q) ``W V_j^{-1} W^T``.
    normals : (..., q, N, M) standard normals, one per query, model and draw.
    alpha : the confidence radius.

    Returns
    -------
    (..., q, N) ``max_m <x, theta~_j^(m)>``.
    """
    xp = namespace(mean)
    lower = dependent_cholesky(covariance)
    drawn = lower @ xp.moveaxis(normals, -3, -2)
    best = mean + alpha * xp.max(drawn, axis=-1)
    return xp.matrix_transpose(best)
