"""Training a projection on the pairs of one refinement set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays import asarray, namespace, to_numpy
from . import adamw
from .info_nce import loss_and_gradient
from .profiles import Pairs
from .projection import Projection, backward, forward, initial
from .settings import RefinementSettings

Array = Any


@dataclass(frozen=True, eq=False)
class Training:
    """A trained projection and how it came about.

    Attributes
    ----------
    projection : the parameters, frozen from here on.
    losses : (steps,) float64, the loss of each step's batch before the step.
    norms : (steps,) float64, the gradient's norm before clipping.
    watched : (epochs done,) float64, the loss that early stopping watches, after each epoch.
    epoch : the epoch (from 1) whose parameters were kept. stopped : training ended before its time.
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
    held : vectors and pairs kept from training, whose loss early stopping watches instead of the
        training loss.

    Raises
    ------
    ValueError
        No prompt has both a positive and a negative.
    """
    require_anchors(pairs)
    hidden = () if settings.hidden is None else (settings.hidden,)
    projection = initial((vectors.shape[1], *hidden, settings.output), vectors, rng)
    state = adamw.start(projection.arrays)
    anchors = np.flatnonzero(to_numpy(pairs.anchor))
    done: list[tuple[float, float]] = []
    watched: list[float] = []
    best = (1, projection)
    for epoch in range(1, settings.epochs + 1):
        for batch in _batches(rng.permutation(anchors), settings.batch):
            projection, state, told = _step(projection, state, vectors, pairs, batch, settings)
            done.append(told)
        if settings.patience is None:
            best = (epoch, projection)
            continue
        watched.append(mean_loss(projection, *(held or (vectors, pairs)), settings.temperature))
        if watched[-1] <= min(watched):
            best = (epoch, projection)
        elif epoch - best[0] >= settings.patience:
            break
    losses, norms = np.array(done).T
    return Training(best[1], losses, norms, np.array(watched), best[0], epoch < settings.epochs)


def _step(
    projection: Projection,
    state: adamw.AdamState,
    vectors: Array,
    pairs: Pairs,
    batch: np.ndarray,
    settings: RefinementSettings,
) -> tuple[Projection, adamw.AdamState, tuple[float, float]]:
    """One step on a batch of anchors; the last pair is its loss and its gradient's norm, both before."""
    weights = _weights(batch, vectors)
    loss, gradients = objective(projection, vectors, pairs, weights, settings.temperature)
    gradients, norm = adamw.clipped(gradients, settings.clip)
    arrays, state = adamw.step(
        projection.arrays, gradients, state, settings.learning_rate, settings.weight_decay
    )
    return Projection(arrays), state, (float(loss), norm)


def objective(
    projection: Projection, vectors: Array, pairs: Pairs, weights: Array, temperature: float
) -> tuple[Array, tuple[Array, ...]]:
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


def _batches(anchors: np.ndarray, size: int) -> list[np.ndarray]:
    return [anchors[first : first + size] for first in range(0, anchors.size, size)]


def _weights(batch: np.ndarray, like: Array) -> Array:
    """(m,) weights: 1 / batch at the anchors of the batch, 0 elsewhere."""
    weights = np.zeros(like.shape[0])
    weights[batch] = 1.0 / batch.size
    return namespace(like).astype(asarray(weights, like), like.dtype)
