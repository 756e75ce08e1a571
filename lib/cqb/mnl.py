"""The multinomial-logit model of picks and retrials (arXiv 2602.02061, section 2).

Offered the assortment S for a query x, the user picks model j in S with probability
``e_j / (1 + sum_S e_i)``, ``e_j = exp(u_j)``, ``u_j = <x, theta_j>``, and retries with probability
``1 / (1 + sum_S e_i)``. All functions take any leading axes (R runs, say) and work in the array
namespace of their inputs.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

from array_api_compat import device

from .arrays import Array, namespace

Objective = Callable[[Array], Array]
Assortment = tuple[int, ...]  # ascending model indices

# A damped step must lower the loss by this share of the predicted decrease (Armijo's rule).
ENOUGH = 1e-4
MOST_STEPS = 50  # of Newton's method


def log_departure_odds(utilities: Array) -> Array:
    """``log sum_S exp(u)`` over the last axis: (..., K) -> (...). Monotone in the departure rate."""
    xp = namespace(utilities)
    peak = xp.max(utilities, axis=-1, keepdims=True)
    return xp.squeeze(peak, axis=-1) + xp.log(xp.sum(xp.exp(utilities - peak), axis=-1))


def departure_rate(utilities: Array) -> Array:
    """``mu(x, S) = sigmoid(logsumexp u)``, the probability of a pick: (..., K) -> (...)."""
    xp = namespace(utilities)
    return 1.0 / (1.0 + xp.exp(-log_departure_odds(utilities)))


def sample_choice(probabilities: Array, uniform: Array) -> Array:
    """Inverse-CDF draw: 0 is a retry, k >= 1 a pick of the k-th offered model.

    `probabilities` is (..., K + 1), `uniform` (...,) on [0, 1). The retry comes first in the CDF,
    so that one uniform, shared by all policies, retries wherever the departure rate is small.
    """
    xp = namespace(probabilities)
    edges = xp.cumulative_sum(probabilities, axis=-1)[..., :-1]
    return xp.sum(xp.astype(uniform[..., None] >= edges, xp.int64), axis=-1)


def best_assortment(utilities: Array, K: int) -> Array:
    """The K models of largest utility, ascending by index: (..., N) -> (..., K) integers.

    For one query the best assortment of K models is simply the K largest utilities, since the
    departure rate grows with each odds; equal utilities go to the lowest index.
    """
    xp = namespace(utilities)
    return xp.sort(xp.argsort(-utilities, axis=-1, stable=True)[..., :K], axis=-1)


@dataclass(frozen=True)
class BlockHistory:
    """The rounds that inform a block of K models, the others' parameters held fixed.

    Attributes
    ----------
    contexts : (..., H, d) query vectors, one row per round (or per distinct round).
    offered : (..., H, K) 1 where the block's k-th model was in the round's assortment, else 0.
    picks : (..., H, K) how often it was picked.
    serves : (..., H) how often the round occurred; 0 masks a row out.
    log_base : (..., H) ``log(1 + sum of the odds of the offered models outside the block)``.
    """

    contexts: Array
    offered: Array
    picks: Array
    serves: Array
    log_base: Array


def block_probabilities(theta: Array, history: BlockHistory) -> tuple[Array, Array]:
    """Pick probabilities (..., H, K) and log normalisers (..., H) at block parameters (..., K, d)."""
    xp = namespace(theta)
    utilities = history.contexts @ xp.matrix_transpose(theta)
    # A model that is not offered must not set the scale, or all the others may underflow to 0.
    utilities = xp.where(history.offered > 0, utilities, -xp.inf)
    base = history.log_base[..., None]
    peak = xp.maximum(xp.max(utilities, axis=-1, keepdims=True), base)
    odds = xp.exp(utilities - peak)
    total = xp.exp(base - peak) + xp.sum(odds, axis=-1, keepdims=True)
    return odds / total, xp.squeeze(peak + xp.log(total), axis=-1)


def penalised_loss(theta: Array, history: BlockHistory, ridge: float) -> Array:
    """Negative log-likelihood plus ``ridge/2 |theta|^2``: (..., K, d) -> (...)."""
    xp = namespace(theta)
    _, log_total = block_probabilities(theta, history)
    utilities = history.contexts @ xp.matrix_transpose(theta)
    loss = xp.sum(history.serves * log_total, axis=-1)
    loss = loss - xp.sum(history.picks * utilities, axis=(-2, -1))
    return loss + 0.5 * ridge * xp.sum(theta * theta, axis=(-2, -1))


def gradient(theta: Array, history: BlockHistory, ridge: float) -> Array:
    """Gradient of :func:`penalised_loss`, shape (..., K, d)."""
    xp = namespace(theta)
    probabilities, _ = block_probabilities(theta, history)
    residual = history.serves[..., None] * probabilities - history.picks
    return xp.matrix_transpose(residual) @ history.contexts + ridge * theta


def hessian(theta: Array, history: BlockHistory, ridge: float) -> Array:
    """Hessian of :func:`penalised_loss`, shape (..., K d, K d), the models' blocks in order."""
    xp = namespace(theta)
    K, d = theta.shape[-2:]
    probabilities, _ = block_probabilities(theta, history)
    transposed = xp.matrix_transpose(history.contexts)
    blocks = []
    for k in range(K):
        row = []
        for m in range(K):
            weight = -probabilities[..., k] * probabilities[..., m]
            if k == m:
                weight = weight + probabilities[..., k]
            row.append((transposed * (history.serves * weight)[..., None, :]) @ history.contexts)
        blocks.append(xp.concat(row, axis=-1))
    eye = xp.eye(K * d, dtype=theta.dtype, device=device(theta))
    return xp.concat(blocks, axis=-2) + ridge * eye


def ridge_mle(theta: Array, history: BlockHistory, ridge: float, tolerance: float = 1e-10) -> Array:
    """The block's ridge maximum-likelihood estimate by damped Newton steps, from `theta`.

    All leading axes advance together; a problem that has converged no longer moves. The loss is
    strongly convex, so steps halved until they pay reach the one minimum.

    Returns
    -------
    (..., K, d) parameters whose gradient is at most `tolerance` in every coordinate (or as small
    as float64 resolves).

    Raises
    ------
    ValueError
        `ridge` is not positive: the estimate would not be unique.
    """
    if not ridge > 0:
        raise ValueError(f"ridge: found {ridge}, expected a positive number")
    xp = namespace(theta)
    objective = functools.partial(penalised_loss, history=history, ridge=ridge)
    loss = objective(theta)
    for _ in range(MOST_STEPS):
        slope = gradient(theta, history, ridge)
        active = xp.max(xp.abs(slope), axis=(-2, -1)) > tolerance
        # The one host synchronisation of a step: have all problems converged?
        if not bool(xp.any(active)):
            break
        flat = xp.reshape(slope, (*slope.shape[:-2], -1, 1))
        step = -xp.reshape(xp.linalg.solve(hessian(theta, history, ridge), flat), theta.shape)
        theta, loss, moved = _damped(theta, step, slope, loss, active, objective)
        if not moved:
            break
    return theta


def _damped(
    theta: Array, step: Array, slope: Array, loss: Array, active: Array, objective: Objective
) -> tuple[Array, Array, bool]:
    """Halve `step` per problem until it pays; the bool says whether any problem moved.

    A step pays if the loss falls by a share :data:`ENOUGH` of the decrease that its slope predicts. No
    rise is not enough: where all rates are saturated, a step can lead to the mirror image of its start,
    and back.
    """
    xp = namespace(theta)
    promised = ENOUGH * xp.sum(slope * step, axis=(-2, -1))
    pending, moved = active, False
    for _ in range(40):
        trial = theta + step
        trial_loss = objective(trial)
        # Near the minimum the loss is flat up to rounding, so a rise within rounding is accepted.
        accept = pending & (trial_loss <= loss + promised + 1e-13 * xp.abs(loss))
        theta = xp.where(accept[..., None, None], trial, theta)
        loss = xp.where(accept, trial_loss, loss)
        moved = moved or bool(xp.any(accept))
        pending = pending & ~accept
        if not bool(xp.any(pending)):
            break
        step, promised = 0.5 * step, 0.5 * promised
    return theta, loss, moved
