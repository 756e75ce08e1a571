"""Which prompts belong together: utility profiles, and each anchor's positive and negatives.

A prompt's profile is the direction of its centred utilities over the models (arXiv 2602.02061,
contrastive refinement). The agreement of two prompts is the cosine of their profiles: what they share
in preferring some models to others, whatever their difficulty.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..arrays import namespace
from .settings import check_thresholds

Array = Any
BLANK = 1e-9  # a centred profile shorter than this has no direction
TIES = (
    1e9  # cosines are rounded to 1 / TIES before they are compared, so equal profiles tie exactly
)


@dataclass(frozen=True, eq=False)
class Profiles:
    """Profiles of m prompts over N models.

    Attributes
    ----------
    directions : (m, N), each row centred and of unit length, or zero where the prompt is blank.
    blank : (m,) bool, prompts to which all models are equally useful.
    """

    directions: Array
    blank: Array

    def __len__(self) -> int:
        return self.directions.shape[0]

    def at(self, rows: Array) -> Profiles:
        """The profiles of some prompts, by their numbers (int, same namespace)."""
        xp = namespace(self.directions)
        return Profiles(xp.take(self.directions, rows, axis=0), xp.take(self.blank, rows, axis=0))


def utility_profiles(utility: Array) -> Profiles:
    """The profiles of utilities (m, N): centred over the models, then of unit length.

    Raises
    ------
    ValueError
        Not two axes, or a utility is not finite.
    """
    xp = namespace(utility)
    if utility.ndim != 2:
        raise ValueError(f"utility: found shape {utility.shape}, expected (prompts, models)")
    if not bool(xp.all(xp.isfinite(utility))):
        raise ValueError("utility: found a value that is not finite")
    centred = utility - xp.mean(utility, axis=1, keepdims=True)
    norm = xp.sqrt(xp.sum(centred * centred, axis=1, keepdims=True))
    blank = norm < BLANK
    directions = xp.where(blank, 0.0 * centred, centred / xp.where(blank, 1.0 + 0.0 * norm, norm))
    return Profiles(directions, xp.squeeze(blank, axis=1))


def agreement(profiles: Profiles) -> Array:
    """Cosines of all pairs of profiles, (m, m); 0 with a blank one."""
    xp = namespace(profiles.directions)
    cosines = profiles.directions @ xp.matrix_transpose(profiles.directions)
    return xp.round(cosines * TIES) / TIES


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

    anchor: Array
    positive: Array
    candidates: Array
    counts: dict[str, int]


def select_pairs(profiles: Profiles, tau_pos: float, tau_neg: float, negatives: int) -> Pairs:
    """The best positive of each prompt and its hardest negatives, from the whole set.

    The positive is the prompt of largest agreement, if that is above `tau_pos`; the negatives are the
    `negatives` prompts of smallest agreement, among those below `tau_neg`. A prompt is never its own
    partner, ties go to the lowest number, and blank prompts are neither anchor nor partner.

    Raises
    ------
    ValueError
        `tau_pos` lies below `tau_neg`.
    """
    check_thresholds(tau_pos, tau_neg)
    xp = namespace(profiles.directions)
    m = len(profiles)
    cosines = agreement(profiles)
    numbers = xp.arange(m, **_device(cosines))
    itself = numbers[:, None] == numbers[None, :]
    allowed = ~(profiles.blank[:, None] | profiles.blank[None, :] | itself)
    best = xp.where(allowed, cosines, -2.0 + 0.0 * cosines)
    positive = xp.argmax(best, axis=1)
    has_positive = xp.max(best, axis=1) > tau_pos
    contrast = _smallest(xp.where(allowed & (cosines < tau_neg), cosines, 2.0), negatives)
    has_negative = xp.any(contrast, axis=1)
    anchor = has_positive & has_negative
    positive = xp.where(anchor, positive, xp.astype(numbers, positive.dtype))
    chosen = numbers[None, :] == positive[:, None]
    candidates = xp.where(anchor[:, None], contrast | chosen, itself)
    seen = ~profiles.blank
    counts = {
        "prompts": m,
        "blank": int(xp.sum(xp.astype(profiles.blank, xp.int64))),
        "no_positive": int(xp.sum(xp.astype(seen & ~has_positive, xp.int64))),
        "no_negative": int(xp.sum(xp.astype(seen & has_positive & ~has_negative, xp.int64))),
        "anchors": int(xp.sum(xp.astype(anchor, xp.int64))),
    }
    return Pairs(anchor, positive, candidates, counts)


def _smallest(values: Array, count: int) -> Array:
    """Mask (m, m) of the `count` smallest values in each row; a value of 2 is never among them."""
    xp = namespace(values)
    order = xp.argsort(values, axis=1, stable=True)
    rank = xp.argsort(order, axis=1, stable=True)
    return (rank < count) & (values < 2.0)


def _device(array: Array) -> dict[str, Any]:
    return {"device": array.device} if hasattr(array, "device") else {}
