"""A few remembered secant pairs that sharpen an approximate inverse Hessian (L-BFGS)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np


class Secants:
    """The last `most` pairs (step, change of gradient), newest last.

    The product below is positive definite whenever the base inverse is, however old the pairs:
    they are true secants of a Hessian that has only grown since.
    """

    def __init__(self, most: int) -> None:
        self._pairs: deque[tuple[np.ndarray, np.ndarray, float]] = deque(maxlen=most)

    def learn(self, step: np.ndarray, change: np.ndarray) -> None:
        """Remember a pair of flat vectors, unless it shows no curvature."""
        curve = float(step @ change)
        if curve > 1e-10 * float(np.linalg.norm(step) * np.linalg.norm(change)):
            self._pairs.append((step, change, 1.0 / curve))

    def apply(self, slope: np.ndarray, base: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """The sharpened inverse times `slope` (two-loop recursion around `base`)."""
        slope = slope.copy()
        weights = []
        for step, change, inverse_curve in reversed(self._pairs):
            weight = inverse_curve * float(step @ slope)
            slope -= weight * change
            weights.append(weight)
        result = base(slope)
        for (step, change, inverse_curve), weight in zip(
            self._pairs, reversed(weights), strict=True
        ):
            result += (weight - inverse_curve * float(change @ result)) * step
        return result
