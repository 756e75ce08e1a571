"""Which prompts belong together: utility profiles, and each anchor's positive and negatives.

A prompt's profile is the direction of its centred utilities over the models (arXiv 2602.02061,
contrastive refinement). The agreement of two prompts is the cosine of their profiles: what they share
in preferring some models to others, whatever their difficulty. A prompt to which all models are
equally useful is blank: its profile is zero.
"""

from __future__ import annotations

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
