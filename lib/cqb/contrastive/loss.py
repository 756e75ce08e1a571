"""The InfoNCE loss on unit-length projections, and its gradient.

For an anchor a with positive p and candidates C (p and the negatives), at temperature s,
``loss_a = logsumexp_{j in C} <z_a, z_j> / s - <z_a, z_p> / s`` (van den Oord, Li and Vinyals, arXiv
1807.03748; arXiv 2602.02061). The loss is a weighted sum over anchors. All prompts of the set are in
one m by m matrix, so a batch is a vector of weights and no row is gathered or scattered.
"""

from __future__ import annotations

from typing import Any

from ..arrays import namespace
from .profiles import Pairs

Array = Any


def unit(y: Array) -> tuple[Array, Array]:
    """Rows of `y` (m, d) scaled to length 1, and their lengths (m, 1); a zero row stays zero."""
    xp = namespace(y)
    length = xp.sqrt(xp.sum(y * y, axis=1, keepdims=True))
    return y / xp.where(length > 0, length, 1.0 + 0.0 * length), length


def loss_and_gradient(
    y: Array, pairs: Pairs, weights: Array, temperature: float
) -> tuple[Array, Array]:
    """The weighted loss of projections `y` (m, d), a scalar array, and its gradient by `y` (m, d).

    `weights` is (m,): 1 / batch for the anchors of the batch and 0 elsewhere.
    """
    xp = namespace(y)
    z, length = unit(y)
    logits = (z @ xp.matrix_transpose(z)) / temperature
    masked = xp.where(pairs.candidates, logits, -xp.inf + 0.0 * logits)
    peak = xp.max(masked, axis=1, keepdims=True)
    odds = xp.exp(masked - peak)
    total = xp.sum(odds, axis=1, keepdims=True)
    chosen = _one_hot(pairs.positive, y)
    picked = xp.sum(xp.where(chosen, logits, 0.0 * logits), axis=1)
    loss = xp.sum(weights * (xp.squeeze(peak + xp.log(total), axis=1) - picked))
    pull = odds / total - xp.astype(chosen, y.dtype)
    by_logit = weights[:, None] * pull / temperature
    slope = (by_logit + xp.matrix_transpose(by_logit)) @ z
    along = xp.sum(slope * z, axis=1, keepdims=True) * z
    return loss, (slope - along) / xp.where(length > 0, length, 1.0 + 0.0 * length)


def _one_hot(numbers: Array, like: Array) -> Array:
    """(m, m) bool, True at (a, numbers[a])."""
    xp = namespace(numbers)
    return xp.arange(like.shape[0], device=numbers.device)[None, :] == numbers[:, None]
