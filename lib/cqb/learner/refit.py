"""The learner's estimates: ridge maximum likelihood after every round, or one step a round.

:class:`Estimator` finds the minimum of :func:`cqb.mnl.ridge_mle` on the full history of rounds, at lower
cost: quasi-Newton steps on a compressed history (:mod:`.history`), each two matrix-vector products per
offered model, steered by an approximate inverse Hessian (:class:`.lazy_inverse.Curvature`) that is
carried from round to round. If steps stop paying, the exact Hessian is formed and inverted; this
safeguard makes convergence unconditional.

With K >= 2 the parameters of an assortment are coupled, the more strongly the rarer retrials are.
Assortments that make up a large part of their models' rounds have a joint inverse, others one per
model, sharpened within the refit by a few secant pairs.

With K = 1 no model's minimum depends on another's, so a refit may stop early with a known error bound.
Most choices are clear long before the last digits of theta; :meth:`Estimator.refine` computes these
digits when a choice depends on them.
"""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ..mnl import Assortment, hessian, ridge_mle
from . import kernels
from .history import History
from .lazy_inverse import BLOCK, Curvature, Inverses, LazyInverse, empty_inverses

# A step is undone if it makes the gradient longer than this multiple of its length before.
OVERSHOOT = 10.0
# Largest share of the tolerance that float32 rounding may account for.
BLUR = 0.1
# When an assortment gets a joint inverse: its rounds, and their share of its models' rounds.
JOINT_ROUNDS, JOINT_SHARE = 16, 0.15
MOST_JOINT = 32
# Gradient evaluations that one refit may spend.
MOST_PASSES = 100


@dataclass
class Estimator:
    """theta of all N models; after each round, the offered ones are at their ridge maximum likelihood.

    Parameters
    ----------
    n_models : N. d : context dimension. K : assortment size.
    ridge : lambda0 > 0, the penalty is ``ridge/2 |theta_j|^2``.
    tolerance : largest gradient norm at which a refit stops; theta is then within
        ``tolerance / ridge`` of the minimum.
    initial_tolerance : how far off the utility of the observed context may be left at first (K = 1).

    Attributes
    ----------
    counts : work so far: refits, gradient evaluations (passes), exact Hessians (rebuilds), exact Newton
        solves (exact).

    Raises
    ------
    ValueError
        `initial_tolerance` > 0 with K > 1, where one model's minimum depends on the others' thetas.
    """

    n_models: int
    d: int
    K: int
    ridge: float
    tolerance: float = 1e-6
    initial_tolerance: float = 0.0

    def __post_init__(self) -> None:
        if self.initial_tolerance and self.K > 1:
            raise ValueError(
                f"initial_tolerance: found {self.initial_tolerance} with K = {self.K}, expected 0"
            )
        self.counts: Counter[str] = Counter()
        self._history = History(self.n_models, self.d, self.K, self.ridge)
        blocks = self._inverses(self.n_models, 1)
        self._blocks = [Curvature((j,), blocks, j) for j in range(self.n_models)]
        self._joint: dict[Assortment, Curvature] = {}
        self._rounds: dict[Assortment, int] = {}
        self._serves = [0] * self.n_models
        self._left: dict[int, float] = {}  # gradient norms beyond the tolerance

    @property
    def theta(self) -> np.ndarray:
        """The estimates, shape (N, d), each within `error_bound` of its minimum; read-only."""
        return self._history.theta

    @property
    def error_bound(self) -> float:
        """Largest Euclidean distance of a model's theta from its minimum; 0 if all are within tolerance.

        The objective is ``ridge``-strongly convex: at gradient g the minimum is within ``|g| / ridge``.
        """
        return max(self._left.values(), default=0.0) / self.ridge

    def refine(self, models: Iterable[int]) -> None:
        """Move theta of these models to within tolerance."""
        for j in self._left.keys() & set(models):
            self._descend((j,), [self._blocks[j]], self.tolerance)
            del self._left[j]

    def observe(self, context: int, x: np.ndarray, assortment: Assortment, pick: int) -> None:
        """Add one round to the history and move theta of the offered models to the new minimum,
        or as near to it as `initial_tolerance` asks.

        `context` identifies the vector `x` (d,); `pick` is the model picked, or negative.
        """
        self._history.observe(context, x, assortment, pick)
        self._rounds[assortment] = self._rounds.get(assortment, 0) + 1
        for j in assortment:
            self._serves[j] += 1
        steering = self._steering(assortment)
        exact = not all(part.catch_up(self._history) for part in steering)
        if exact:
            self._rebuild(assortment, steering)
        near = self.initial_tolerance * self.ridge / max(math.sqrt(x @ x), 1e-300)
        self._descend(assortment, steering, max(near, self.tolerance), exact)
        if self.initial_tolerance:
            (j,) = assortment
            self._left.pop(j, None)
            if (left := self._history.gradient_norm(j)) > self.tolerance:
                self._left[j] = left

    def _descend(
        self,
        assortment: Assortment,
        steering: list[Curvature],
        tolerance: float,
        exact: bool = False,
    ) -> None:
        """Quasi-Newton steps from the current theta until the joint gradient is within tolerance.

        exact : whether the exact inverse Hessian steers them already.
        """
        self.counts["refits"] += 1
        history, index = self._history, np.array(assortment)
        which = np.array([part.which for part in steering])
        left = MOST_PASSES
        while True:
            for part in steering:
                part.inverse.fold_block()
            arrays = (*history.tables(), *steering[0].inverses)
            limits = self.ridge, tolerance, OVERSHOOT, left
            end, passes = kernels.descend(index, which, *limits, *arrays)
            self.counts["passes"] += passes
            left -= passes
            if end == kernels.CONVERGED and history.blur(assortment) <= BLUR * tolerance:
                return
            history.refresh(assortment)
            if end == kernels.STALLED or (end == kernels.OVERSHOT and exact):
                self._exact(assortment, steering)
                return
            if end == kernels.OVERSHOT:
                self._rebuild(assortment, steering)
                exact = True

    def _steering(self, assortment: Assortment) -> list[Curvature]:
        """The inverses that steer the steps: the joint one if there is one, else the models' own."""
        if self.K == 1:
            return [self._blocks[assortment[0]]]
        if assortment in self._joint:
            self._joint[assortment] = self._joint.pop(assortment)  # the latest used comes last
            return [self._joint[assortment]]
        of_models = max(self._serves[j] for j in assortment)
        if self._rounds[assortment] >= max(JOINT_ROUNDS, JOINT_SHARE * of_models):
            self._joint[assortment] = self.new_joint(assortment)
            if len(self._joint) > MOST_JOINT:
                del self._joint[next(iter(self._joint))]
            return [self._joint[assortment]]
        return [self._blocks[j] for j in assortment]

    def new_joint(self, assortment: Assortment) -> Curvature:
        """A joint inverse of an assortment's models, which has absorbed no round."""
        return Curvature(assortment, self._inverses(1, self.K))

    def _inverses(self, count: int, n: int) -> Inverses:
        """Inverse Hessians over n models' parameters each, with room for the terms of one refit."""
        return empty_inverses(count, n * self.d, self.ridge, BLOCK + MOST_PASSES + n)

    def _rebuild(self, assortment: Assortment, steering: list[Curvature]) -> None:
        """Replace the steering inverses by the exact inverse Hessian."""
        self.counts["rebuilds"] += 1
        block = self._history.block(assortment)
        joint = hessian(self.theta[list(assortment)], block, self.ridge)
        size = joint.shape[0] // len(steering)
        for k, part in enumerate(steering):
            mine = slice(k * size, (k + 1) * size)
            part.reset(joint[mine, mine], self._history)

    def _exact(self, assortment: Assortment, steering: list[Curvature]) -> None:
        """Damped Newton steps to the minimum, if quasi-Newton steps fail."""
        self.counts["exact"] += 1
        models = list(assortment)
        block = self._history.block(assortment)
        self.theta[models] = ridge_mle(
            self.theta[models], block, self.ridge, tolerance=0.1 * self.tolerance
        )
        self._history.refresh(assortment)
        self._rebuild(assortment, steering)


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
    """Constant-time estimates: one mirror-descent step a round, no history (Lee and Oh, 2024).

    With ``g`` the gradient and ``H`` the Hessian of the round's own loss in the offered models'
    parameters, the next estimate minimises ``<g(theta_t), theta> + |theta - theta_t|^2 / (2 eta)`` in
    the norm of ``H_sum + eta H(theta_t)``; then ``H_sum`` grows by ``H(theta_{t+1})``. It starts at
    ``lambda0 I`` and is stored per model (diagonal blocks, K d^2 a round); with K = 1 these are all of
    it. The estimates are not projected onto a ball, since a service does not know how long its
    parameters are. As theta follows the rule exactly, the error bound is 0 and nothing is to refine.

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
