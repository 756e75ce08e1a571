"""Training a projection on the pairs of one refinement set: epochs, early stopping and AdamW.

AdamW is that of Loshchilov and Hutter (arXiv 1711.05101): Adam (Kingma and Ba, arXiv 1412.6980; decay
rates .9 and .999) with the weight decay outside the adaptive step. The gradient's norm is bounded first.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays import asarray, namespace, to_numpy
from .loss import loss_and_gradient
from .profiles import Pairs
from .projection import Projection, backward, forward, initial
from .settings import RefinementSettings

Array = Any
Arrays = tuple[Array, ...]
FIRST, SECOND, EPSILON = 0.9, 0.999, 1e-8  # Adam's decay rates, and a guard against dividing by 0


@dataclass(frozen=True, eq=False)
class Training:
    """A trained projection and how its training went.

    Attributes
    ----------
    projection : the parameters, frozen from here on.
    losses : (steps,) float64, the loss of each step's batch before the step.
    norms : (steps,) float64, the gradient's norm before clipping.
    watched : (epochs done,) float64, the loss that early stopping watches, after each epoch.
    epoch : the epoch (from 1) that the parameters are of. stopped : whether training stopped early.
    """

    projection: Projection
    losses: np.ndarray
    norms: np.ndarray
    watched: np.ndarray
    epoch: int
    stopped: bool

    @property
    def steps(self) -> int:
        """Steps of the optimiser."""
        return self.losses.size


def train(
    vectors: Array,
    pairs: Pairs,
    settings: RefinementSettings,
    *,
    rng: np.random.Generator,
    held: tuple[Array, Pairs] | None = None,
) -> Training:
    """Train a fresh projection on `vectors` (m, d) and their pairs.

    Every epoch goes once through the anchors, in an order drawn from `rng`, `settings.batch` at a time.

    Parameters
    ----------
    held : vectors and pairs that are not trained on, whose loss early stopping watches instead of the
        training loss.

    Raises
    ------
    ValueError
        No prompt has both a positive and a negative.
    """
    require_anchors(pairs)
    hidden = () if settings.hidden is None else (settings.hidden,)
    projection = initial((vectors.shape[1], *hidden, settings.output), vectors, rng)
    state = adam_start(projection.arrays)
    anchors = np.flatnonzero(to_numpy(pairs.anchor))
    steps: list[tuple[float, float]] = []  # loss and gradient's norm
    watched: list[float] = []
    best = (1, projection)
    for epoch in range(1, settings.epochs + 1):
        order = rng.permutation(anchors)
        for first in range(0, order.size, settings.batch):
            batch = order[first : first + settings.batch]
            projection, state, step = _step(projection, state, vectors, pairs, batch, settings)
            steps.append(step)
        if settings.patience is None:
            best = (epoch, projection)
            continue
        watched.append(mean_loss(projection, *(held or (vectors, pairs)), settings.temperature))
        if watched[-1] <= min(watched):
            best = (epoch, projection)
        elif epoch - best[0] >= settings.patience:
            break
    losses, norms = np.array(steps).T
    return Training(best[1], losses, norms, np.array(watched), best[0], epoch < settings.epochs)


def _step(
    projection: Projection,
    state: AdamState,
    vectors: Array,
    pairs: Pairs,
    batch: np.ndarray,
    settings: RefinementSettings,
) -> tuple[Projection, AdamState, tuple[float, float]]:
    """One step on a batch of anchors, with the loss and the gradient's norm before it."""
    weights = _weights(batch, vectors)
    loss, gradients = objective(projection, vectors, pairs, weights, settings.temperature)
    gradients, norm = clipped(gradients, settings.clip)
    arrays, state = adam_step(
        projection.arrays, gradients, state, settings.learning_rate, settings.weight_decay
    )
    return Projection(arrays), state, (float(loss), norm)


def objective(
    projection: Projection, vectors: Array, pairs: Pairs, weights: Array, temperature: float
) -> tuple[Array, Arrays]:
    """The loss of a batch and its gradients by the projection's arrays, in their order."""
    y, trace = forward(projection, vectors)
    loss, slope = loss_and_gradient(y, pairs, weights, temperature)
    return loss, backward(projection, trace, slope)


def mean_loss(projection: Projection, vectors: Array, pairs: Pairs, temperature: float) -> float:
    """The mean loss over all anchors."""
    y, _ = forward(projection, vectors)
    weights = _weights(np.flatnonzero(to_numpy(pairs.anchor)), vectors)
    return float(loss_and_gradient(y, pairs, weights, temperature)[0])


def require_anchors(pairs: Pairs) -> None:
    """Raise ValueError, with the counts, if no prompt has both a positive and a negative."""
    if not pairs.counts["anchors"]:
        counts = ", ".join(f"{name} {count}" for name, count in pairs.counts.items())
        raise ValueError(
            f"refinement set: no prompt has both a positive and a negative ({counts}); expected at "
            "least one anchor: take more rows or other thresholds"
        )


def _weights(batch: np.ndarray, like: Array) -> Array:
    """(m,) weights: 1 / batch at the anchors of the batch, 0 elsewhere."""
    weights = np.zeros(like.shape[0])
    weights[batch] = 1.0 / batch.size
    return namespace(like).astype(asarray(weights, like), like.dtype)


@dataclass(frozen=True, eq=False)
class AdamState:
    """Decaying means of the gradient and of its square, for each array, after `step` steps."""

    step: int
    mean: Arrays
    square: Arrays


def adam_start(arrays: Arrays) -> AdamState:
    """The state before the first step."""
    zeros = tuple(namespace(array).zeros_like(array) for array in arrays)
    return AdamState(0, zeros, zeros)


def clipped(gradients: Arrays, most: float) -> tuple[Arrays, float]:
    """The gradients, shrunk together where their joint norm exceeds `most`, and that norm."""
    norm = math.sqrt(sum(float(namespace(g).sum(g * g)) for g in gradients))
    if norm <= most:
        return gradients, norm
    return tuple(g * (most / norm) for g in gradients), norm


def adam_step(
    arrays: Arrays, gradients: Arrays, state: AdamState, learning_rate: float, weight_decay: float
) -> tuple[Arrays, AdamState]:
    """The arrays and the state after one step of AdamW."""
    count = state.step + 1
    rate = learning_rate / (1.0 - FIRST**count)
    widen = 1.0 / math.sqrt(1.0 - SECOND**count)
    moved, means, squares = [], [], []
    for array, g, old_mean, old_square in zip(
        arrays, gradients, state.mean, state.square, strict=True
    ):
        xp = namespace(array)
        mean = FIRST * old_mean + (1.0 - FIRST) * g
        square = SECOND * old_square + (1.0 - SECOND) * (g * g)
        decayed = (1.0 - learning_rate * weight_decay) * array
        moved.append(decayed - rate * mean / (widen * xp.sqrt(square) + EPSILON))
        means.append(mean)
        squares.append(square)
    return tuple(moved), AdamState(count, tuple(means), tuple(squares))
