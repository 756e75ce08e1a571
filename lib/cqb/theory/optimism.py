"""E8: how likely sampled utilities are to exceed the truth (arXiv 2602.02061).

With the theoretical radius the truth lies within one radius of the estimate, so a Gaussian draw
exceeds it with probability at least ``P(Z >= 1)``, which the paper bounds from below by
``1/(4 sqrt(e pi))``. M draws per model keep all K offered models optimistic with that probability.
"""

from __future__ import annotations

import math

BOUND = 1.0 / (4.0 * math.sqrt(math.e * math.pi))


def exceed(distance: float) -> float:
    """``P(Z >= distance)`` of a standard normal: the chance of one draw, truth that far above."""
    return 0.5 * math.erfc(distance / math.sqrt(2.0))


def all_optimistic(M: int, K: int, single: float) -> float:
    """Chance that each of K models has an optimistic one among its own M independent draws."""
    return (1.0 - (1.0 - single) ** M) ** K


def guaranteed(M: int, K: int, single: float) -> float:
    """The union bound on the same chance, which needs no independence between models."""
    return 1.0 - K * (1.0 - single) ** M
