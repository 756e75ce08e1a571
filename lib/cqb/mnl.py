"""The multinomial-logit model of picks and retrials (arXiv 2602.02061, section 2).

Offered the assortment S for a query x, the user picks model j in S with probability
``e_j / (1 + sum_S e_i)``, ``e_j = exp(u_j)``, ``u_j = <x, theta_j>``, and retries with probability
``1 / (1 + sum_S e_i)``. The functions of utilities and probabilities take any leading axes (R runs, say)
and work in the array namespace of their inputs. Those of a :class:`BlockHistory` are of one run.
"""

from dataclasses import dataclass

import numpy as np

from .arrays import Array, namespace

Assortment = tuple[int, ...]  # ascending model indices

# A damped step must lower the loss by this share of the predicted decrease (Armijo's rule).
ENOUGH = 1e-4
MOST_STEPS = 50  # of Newton's method
MOST_TRIALS = 40  # lengths of a step, each half the one before


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
    contexts : (H, d) query vectors, one row per round (or per distinct round).
    offered : (H, K) 1 where the block's k-th model was in the round's assortment, else 0.
    picks : (H, K) how often it was picked.
    serves : (H,) how often the round occurred.
    log_base : (H,) ``log(1 + sum of the odds of the offered models outside the block)``.
    """

    contexts: np.ndarray
    offered: np.ndarray
    picks: np.ndarray
    serves: np.ndarray
    log_base: np.ndarray


def block_probabilities(theta: np.ndarray, history: BlockHistory) -> tuple[np.ndarray, np.ndarray]:
    """Pick probabilities (H, K) and log normalisers (H,) at block parameters (K, d)."""
    # A model that is not offered must not set the scale, or all the others may underflow to 0.
    utilities = np.where(history.offered > 0, history.contexts @ theta.T, -np.inf)
    peak = np.maximum(utilities.max(axis=1), history.log_base)
    odds = np.exp(utilities - peak[:, None])
    total = np.exp(history.log_base - peak) + odds.sum(axis=1)
    return odds / total[:, None], peak + np.log(total)


def penalised_loss(theta: np.ndarray, history: BlockHistory, ridge: float) -> float:
    """Negative log-likelihood plus ``ridge/2 |theta|^2`` at block parameters (K, d)."""
    _, log_total = block_probabilities(theta, history)
    utilities = history.contexts @ theta.T
    loss = (history.serves * log_total).sum() - (history.picks * utilities).sum()
    return loss + 0.5 * ridge * (theta * theta).sum()


def gradient(theta: np.ndarray, history: BlockHistory, ridge: float) -> np.ndarray:
    """Gradient of :func:`penalised_loss`, shape (K, d)."""
    probabilities, _ = block_probabilities(theta, history)
    residual = history.serves[:, None] * probabilities - history.picks
    return residual.T @ history.contexts + ridge * theta


def hessian(theta: np.ndarray, history: BlockHistory, ridge: float) -> np.ndarray:
    """Hessian of :func:`penalised_loss`, shape (K d, K d), the models' blocks in order."""
    (K, d), x = theta.shape, history.contexts
    probabilities, _ = block_probabilities(theta, history)
    weights = -probabilities[:, :, None] * probabilities[:, None, :]
    weights[:, range(K), range(K)] += probabilities
    weights *= history.serves[:, None, None]
    blocks = [[(x.T * weights[:, k, m]) @ x for m in range(K)] for k in range(K)]
    return np.block(blocks) + ridge * np.eye(K * d)


def ridge_mle(
    theta: np.ndarray, history: BlockHistory, ridge: float, tolerance: float = 1e-10
) -> np.ndarray:
    """The block's ridge maximum-likelihood estimate by damped Newton steps, from `theta`.

    The loss is strongly convex, so steps halved until they pay reach the one minimum. A step pays if the
    loss falls by a share :data:`ENOUGH` of the decrease that its slope predicts. No rise is not enough:
    where all rates are saturated, a step can lead to the mirror image of its start, and back.

    Returns
    -------
    (K, d) parameters whose gradient is at most `tolerance` in every coordinate (or as small as
    float64 resolves).

    Raises
    ------
    ValueError
        `ridge` is not positive: the estimate would not be unique.
    """
    if not ridge > 0:
        raise ValueError(f"ridge: found {ridge}, expected a positive number")
    loss = penalised_loss(theta, history, ridge)
    for _ in range(MOST_STEPS):
        slope = gradient(theta, history, ridge)
        if not np.abs(slope).max() > tolerance:
            break
        step = -np.linalg.solve(hessian(theta, history, ridge), slope.ravel()).reshape(theta.shape)
        promised = ENOUGH * (slope * step).sum()
        for _ in range(MOST_TRIALS):
            trial = penalised_loss(theta + step, history, ridge)
            # Near the minimum the loss is flat up to rounding, so a rise within rounding is accepted.
            if trial <= loss + promised + 1e-13 * abs(loss):
                break
            step, promised = 0.5 * step, 0.5 * promised
        else:
            break
        theta, loss = theta + step, trial
    return theta
