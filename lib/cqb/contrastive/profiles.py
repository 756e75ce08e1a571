"""Which prompts belong together: utility profiles, each anchor's positive and negatives, and their loss.

A prompt's profile is the direction of its centred utilities over the models (arXiv 2602.02061,
contrastive refinement). The agreement of two prompts is the cosine of their profiles: what they share
in preferring some models to others, whatever their difficulty. A prompt to which all models are
equally useful is blank: its profile is zero.

The loss is InfoNCE (van den Oord, Li and Vinyals, arXiv 1807.03748). For an anchor a with positive p and
candidates C (p and the negatives), at temperature s, it is
``loss_a = logsumexp_{j in C} <z_a, z_j> / s - <z_a, z_p> / s`` on vectors z of unit length, and summed
over anchors with weights. All prompts of the set are in one m by m matrix, so a batch is a vector of
weights, and no row is gathered or scattered.
"""

from dataclasses import dataclass

import numpy as np

BLANK = 1e-9  # a centred profile shorter than this has no direction
DIGITS = 9  # to which cosines are rounded before they are compared, so equal profiles tie exactly


def utility_profiles(utility: np.ndarray) -> np.ndarray:
    """The profiles of utilities (m, N): centred rows of unit length, zero where the prompt is blank.

    Raises
    ------
    ValueError
        Not two axes, or a utility is not finite.
    """
    if utility.ndim != 2:
        raise ValueError(f"utility: found shape {utility.shape}, expected (prompts, models)")
    if not np.isfinite(utility).all():
        raise ValueError("utility: found a value that is not finite")
    centred = utility - utility.mean(axis=1, keepdims=True)
    norm = np.linalg.norm(centred, axis=1, keepdims=True)
    return np.where(norm < BLANK, 0.0, centred / np.maximum(norm, BLANK))


def agreement(profiles: np.ndarray) -> np.ndarray:
    """Cosines of all pairs of profiles, (m, m); 0 with a blank one."""
    return np.round(profiles @ profiles.T, DIGITS)


@dataclass(frozen=True, eq=False)
class Pairs:
    """Each anchor's positive and negatives among the same m prompts.

    Attributes
    ----------
    anchor : (m,) bool, prompts that have both; the others have weight 0 in the loss.
    positive : (m,) int, the prompt each anchor is drawn to; the own number of any other prompt.
    candidates : (m, m) bool, row a: the positive and the negatives of anchor a; else a alone.
    counts : number of prompts, of those blank, without a positive, without a negative, and anchors.
    """

    anchor: np.ndarray
    positive: np.ndarray
    candidates: np.ndarray
    counts: dict[str, int]


def select_pairs(profiles: np.ndarray, tau_pos: float, tau_neg: float, negatives: int) -> Pairs:
    """The best positive of each prompt and its hardest negatives, from the whole set.

    The positive is the prompt of largest agreement, if that is above `tau_pos`; the negatives are the
    `negatives` prompts of smallest agreement, among those below `tau_neg`. A prompt is never its own
    partner, ties go to the lowest number, and blank prompts are neither anchor nor partner.
    """
    cosines, seen = agreement(profiles), profiles.any(axis=1)
    itself = np.eye(len(profiles), dtype=bool)
    allowed = seen[:, None] & seen & ~itself
    best = np.where(allowed, cosines, -2.0)
    has_positive = best.max(axis=1) > tau_pos
    low = np.where(allowed & (cosines < tau_neg), cosines, 2.0)
    rank = low.argsort(axis=1, kind="stable").argsort(axis=1)
    contrast = (rank < negatives) & (low < 2.0)
    has_negative = contrast.any(axis=1)
    anchor = has_positive & has_negative
    positive = np.where(anchor, best.argmax(axis=1), np.arange(len(profiles)))
    counts = {
        "prompts": len(profiles),
        "blank": int((~seen).sum()),
        "no_positive": int((seen & ~has_positive).sum()),
        "no_negative": int((has_positive & ~has_negative).sum()),
        "anchors": int(anchor.sum()),
    }
    candidates = itself[positive] | (contrast & anchor[:, None])
    return Pairs(anchor, positive, candidates, counts)


def unit(y: np.ndarray) -> np.ndarray:
    """Rows of `y` (m, d) scaled to length 1; a zero row stays zero."""
    return y / _lengths(y)


def _lengths(y: np.ndarray) -> np.ndarray:
    """Lengths of rows, (m, 1), and 1 for a row that is zero."""
    length = np.linalg.norm(y, axis=1, keepdims=True)
    return np.where(length > 0, length, 1.0)


def loss_and_gradient(
    y: np.ndarray, pairs: Pairs, weights: np.ndarray, temperature: float
) -> tuple[float, np.ndarray]:
    """The weighted loss of vectors `y` (m, d), of any length, and its gradient by `y` (m, d).

    `weights` is (m,): 1 / batch for the anchors of the batch and 0 elsewhere.
    """
    length = _lengths(y)
    z = y / length
    logits = z @ z.T / temperature
    own = np.arange(len(y)), pairs.positive
    masked = np.where(pairs.candidates, logits, -np.inf)
    peak = masked.max(axis=1, keepdims=True)
    odds = np.exp(masked - peak)
    total = odds.sum(axis=1, keepdims=True)
    loss = (weights * ((peak + np.log(total))[:, 0] - logits[own])).sum()
    pull = odds / total
    pull[own] -= 1.0
    by_logit = weights[:, None] * pull / temperature
    slope = (by_logit + by_logit.T) @ z
    along = (slope * z).sum(axis=1, keepdims=True) * z
    return float(loss), (slope - along) / length
