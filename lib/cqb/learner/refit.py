"""The ridge multinomial-logit estimate after every round.

Same minimum as :func:`cqb.mnl.ridge_mle` on the full history of rounds, reached for less:
quasi-Newton steps on a compressed history (:mod:`.history`), each two matrix-vector products per
offered model, steered by an approximate inverse Hessian (:mod:`.curvature`) that is carried from round
to round. Where steps stop paying, the exact Hessian is formed and inverted anew: the safeguard that
makes convergence unconditional.

With K >= 2 the parameters of an assortment are tied to each other the more tightly the rarer
retrials are. Assortments that make up a good part of their models' rounds keep a joint inverse, others
one per model, sharpened within the refit by a few secant pairs.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ..mnl import hessian, ridge_mle
from .curvature import Curvature
from .history import Assortment, History
from .secants import Secants

# A step after which the gradient is longer than this multiple of what it was is taken back.
OVERSHOOT = 10.0
MEMORY = 5
# The share of the tolerance that rounding in single precision may make up.
BLUR = 0.1
# When an assortment gets a joint inverse: its rounds, and their share of its models' rounds.
JOINT_ROUNDS, JOINT_SHARE = 16, 0.15
MOST_JOINT = 32


@dataclass
class RefitCounts:
    """How hard the refits worked: gradient evaluations, exact Hessians, exact Newton solves."""

    refits: int = 0
    passes: int = 0
    rebuilds: int = 0
    exact: int = 0


class Blocks:
    """One inverse per model, and secant pairs for what ties the models to each other."""

    def __init__(self, parts: list[Curvature]) -> None:
        self.parts = parts
        self._secants = Secants(MEMORY)

    def catch_up(self, history: History) -> bool:
        """Take in the rounds since the last use; False if an inverse is spoilt."""
        return all(part.catch_up(history) for part in self.parts)

    def dot(self, slope: np.ndarray) -> np.ndarray:
        """The sharpened inverse times a joint gradient (K, d)."""

        def base(flat: np.ndarray) -> np.ndarray:
            rows = flat.reshape(slope.shape)
            return np.concatenate([p.dot(r) for p, r in zip(self.parts, rows, strict=True)])

        return self._secants.apply(slope.ravel(), base).reshape(slope.shape)

    def learn(self, before: np.ndarray, after: np.ndarray, step: np.ndarray) -> np.ndarray:
        """Learn from a step between two gradients; the inverse times the second."""
        self._secants.learn(step.ravel(), (after - before).ravel())
        return self.dot(after)


@dataclass
class Estimator:
    """theta of all N models, kept at the ridge maximum likelihood of the offered ones.

    Parameters
    ----------
    n_models : N. d : context dimension. K : assortment size.
    ridge : lambda0 > 0, the penalty is ``ridge/2 |theta_j|^2``.
    tolerance : largest gradient norm at which a refit stops; theta is then within
        ``tolerance / ridge`` of the minimum.
    """

    n_models: int
    d: int
    K: int
    ridge: float
    tolerance: float = 1e-6
    most_passes: int = 40
    counts: RefitCounts = field(default_factory=RefitCounts)

    def __post_init__(self) -> None:
        self._history = History(self.n_models, self.d, self.K, self.ridge)
        self._blocks = [Curvature((j,), self.d, self.ridge) for j in range(self.n_models)]
        self._joint: dict[Assortment, Curvature] = {}
        self._rounds: dict[Assortment, int] = {}

    @property
    def theta(self) -> np.ndarray:
        """The estimates, shape (N, d); not to be written to."""
        return self._history.theta

    def observe(self, context: int, x: np.ndarray, assortment: Assortment, pick: int) -> None:
        """Add one round to the history and move theta of the offered models to the new minimum.

        `context` identifies the vector `x` (d,); `pick` is the model picked, or negative.
        """
        history = self._history
        history.observe(context, x, assortment, pick)
        self._rounds[assortment] = self._rounds.get(assortment, 0) + 1
        if self.K == 1:
            slope = history.models[assortment[0]].slope[None, :].copy()
        else:
            # The other models of their entries have moved since their own last refit.
            self.counts.passes += 1
            slope = history.gradient(assortment)
        # Small single-precision products may raise the flag for lanes that BLAS only pads; what is
        # not finite is noticed by its gradient.
        with np.errstate(invalid="ignore"):
            self._refit(assortment, slope)

    def _refit(self, assortment: Assortment, slope: np.ndarray) -> None:
        """Quasi-Newton steps from the joint gradient `slope` (K, d) until it is within tolerance."""
        self.counts.refits += 1
        history, models = self._history, list(assortment)
        curvature = self._curvature(assortment)
        if not curvature.catch_up(history):
            curvature = self._rebuild(assortment)
        step, exact = -curvature.dot(slope), False
        size = float(np.linalg.norm(slope))
        for _ in range(self.most_passes):
            if size <= self.tolerance:
                if history.blur(assortment) <= BLUR * self.tolerance:
                    return
                history.refresh(assortment)
                slope = history.gradient(assortment)
                size = float(np.linalg.norm(slope))
                step = -curvature.dot(slope)
                continue
            here = history.theta[models]
            states = [history.models[j].state() for j in models]
            history.move(assortment, step)
            self.counts.passes += 1
            new_slope = history.gradient(assortment)
            new_size = float(np.linalg.norm(new_slope))
            if new_size <= OVERSHOOT * size:
                step = -curvature.learn(slope, new_slope, step)
                slope, size = new_slope, new_size
                continue
            history.restore(assortment, here, states)
            if exact:
                break
            curvature = self._rebuild(assortment)
            step, exact = -curvature.dot(slope), True
        if size > self.tolerance:
            self._exact(assortment)

    def _curvature(self, assortment: Assortment) -> Curvature | Blocks:
        """What steers the steps: the models' blocks, or the joint inverse if there is one."""
        if self.K == 1:
            return self._blocks[assortment[0]]
        if assortment in self._joint:
            self._joint[assortment] = self._joint.pop(assortment)  # the latest used comes last
            return self._joint[assortment]
        own = self._rounds[assortment]
        of_models = max(float(self._history.models[j].serves.view.sum()) for j in assortment)
        if own >= max(JOINT_ROUNDS, JOINT_SHARE * of_models):
            self._joint[assortment] = Curvature(assortment, self.d, self.ridge)
            if len(self._joint) > MOST_JOINT:
                del self._joint[next(iter(self._joint))]
            return self._joint[assortment]
        return Blocks([self._blocks[j] for j in assortment])

    def _rebuild(self, assortment: Assortment) -> Curvature | Blocks:
        """The exact inverse Hessian in place of what steered the steps."""
        self.counts.rebuilds += 1
        block = self._history.block(assortment)
        joint = hessian(self.theta[list(assortment)], block, self.ridge)
        if assortment in self._joint:
            self._joint[assortment].reset(joint, self._history)
            return self._joint[assortment]
        for k, j in enumerate(assortment):
            mine = slice(k * self.d, (k + 1) * self.d)
            self._blocks[j].reset(joint[mine, mine], self._history)
        return self._curvature(assortment)

    def _exact(self, assortment: Assortment) -> None:
        """Damped Newton to the minimum, where quasi-Newton steps fail."""
        self.counts.exact += 1
        models = list(assortment)
        block = self._history.block(assortment)
        self.theta[models] = ridge_mle(
            self.theta[models], block, self.ridge, tolerance=0.1 * self.tolerance
        )
        self._history.refresh(assortment)
        self._rebuild(assortment)
