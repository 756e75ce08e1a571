"""The contexts' part: a Gaussian posterior of every model's parameters, one observation at a time.

The utility of model j is ``<phi(x), theta_j + w>``: phi adds an intercept to the context, and all models
share the part w, so that an observation of one model informs the others. Each posterior moves by moment
matching (:mod:`.evidence`), with d^2 operations a round whatever the history; the correlation between
theta_j and w that a round creates is dropped.
"""

from __future__ import annotations

import numpy as np

from ..learner.lazy_inverse import LazyInverse

# The variance that one round may take from a utility, at most: rounding must never take it all.
MOST = 0.999


class Utilities:
    """Posterior means and covariances of theta (N, D) and w (D,).

    Parameters
    ----------
    n_models : N. D : dimension of the features.
    shared : prior variance of w's coordinates; theta's is 1. 0 leaves w out.
    """

    def __init__(self, n_models: int, D: int, shared: float) -> None:
        self.theta = np.zeros((n_models, D))
        self.w = np.zeros(D)
        self._spread = [LazyInverse(D, 1.0) for _ in range(n_models)]
        self._spread_w = LazyInverse(D, 1.0 / shared) if shared > 0 else None

    def of(self, phi: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        """Means (N,), variances of the models' own parts (N,), and of the shared part, at `phi`."""
        own = np.array([phi @ spread.dot(phi) for spread in self._spread])
        common = float(phi @ self._spread_w.dot(phi)) if self._spread_w else 0.0
        return self.theta @ phi + self.w @ phi, own, common

    def observe(
        self, j: int, phi: np.ndarray, slope: float, curvature: float
    ) -> tuple[np.ndarray, np.ndarray | None, float]:
        """Move theta_j and w; returns their covariances with the utility at `phi`, and the curvature
        that was used (0 where the observation would widen the posterior)."""
        own = self._spread[j].dot(phi)
        common = self._spread_w.dot(phi) if self._spread_w else None
        total = float(phi @ own) + (float(phi @ common) if common is not None else 0.0)
        curvature = min(max(curvature, 0.0), MOST / total)
        self.theta[j] += slope * own
        if common is not None:
            self.w += slope * common
        if curvature > 0.0:
            self._spread[j].append(np.sqrt(curvature) * own, -1.0)
            if common is not None:
                self._spread_w.append(np.sqrt(curvature) * common, -1.0)
        return own, common, curvature
