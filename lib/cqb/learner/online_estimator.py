"""Constant-time estimates: one mirror-descent step a round, no history (Lee and Oh, 2024).

With ``g`` the gradient and ``H`` the Hessian of the round's own loss in the offered models'
parameters, the next estimate minimises ``<g(theta_t), theta> + |theta - theta_t|^2 / (2 eta)`` in the
norm of ``H_sum + eta H(theta_t)``; then ``H_sum`` grows by ``H(theta_{t+1})``. The step size is
``eta = log(K + 1)/2 + 2`` and ``H_sum`` starts at ``lambda0 I``. The estimates are not projected onto
a ball, since a service does not know how long its parameters are.

The curvature is stored per model (diagonal blocks, K d^2 a round); with K = 1 these are all of it. The
interface is that of :class:`cqb.learner.refit.Estimator`. As theta follows the rule exactly, the error
bound is 0 and there is nothing to refine.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from ..mnl import Assortment
from .lazy_inverse import LazyInverse


def step_size(K: int) -> float:
    """eta, ``log(K + 1)/2 + 2``."""
    return 0.5 * math.log(K + 1.0) + 2.0


def pick_rates(theta: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Pick probabilities (K,) of the offered models: parameters (K, d), query (d,)."""
    utilities = theta @ x
    peak = max(0.0, float(utilities.max()))
    odds = np.exp(utilities - peak)
    return odds / (math.exp(-peak) + odds.sum())


class OnlineEstimator:
    """theta of all N models, moved by one step a round, with one curvature matrix per model.

    Parameters
    ----------
    n_models : N. d : context dimension. K : assortment size. ridge : lambda0 > 0.
    """

    error_bound = 0.0

    def __init__(self, n_models: int, d: int, K: int, ridge: float) -> None:
        self.theta = np.zeros((n_models, d))
        self._eta = step_size(K)
        self._curvature = [LazyInverse(d, ridge) for _ in range(n_models)]

    def refine(self, models: Iterable[int]) -> None:
        """Nothing is left to do."""

    def observe(self, context: int, x: np.ndarray, assortment: Assortment, pick: int) -> None:
        """Learn from one round; `pick` is the model picked, or negative."""
        models = list(assortment)
        rates = pick_rates(self.theta[models], x)
        weights = rates * (1.0 - rates)
        for j, rate, weight in zip(models, rates, weights, strict=True):
            k = self._curvature[j].dot(x)
            # (H_sum + eta w x x^T)^{-1} x, by Sherman-Morrison.
            direction = k / (1.0 + self._eta * weight * float(x @ k))
            self.theta[j] -= self._eta * (rate - (j == pick)) * direction
        rates = pick_rates(self.theta[models], x)
        for j, weight in zip(models, rates * (1.0 - rates), strict=True):
            self._curvature[j].grow(x, max(float(weight), 1e-12))
