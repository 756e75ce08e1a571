"""The projection B, with its gradient by hand, and its training on the pairs of one refinement set.

``B(x) = gain * (h - mean h) / sqrt(var h + 1e-5) + shift`` with ``h = W2' relu(W1' x + b1) + b2`` or,
where there is no hidden layer, ``h = W' x + b`` (arXiv 2602.02061, contrastive refinement; layer norm:
Ba, Kiros and Hinton, arXiv 1607.06450).

AdamW is that of Loshchilov and Hutter (arXiv 1711.05101): Adam (Kingma and Ba, arXiv 1412.6980; decay
rates .9 and .999) with the weight decay outside the adaptive step. The gradient's norm is bounded first.
"""

import itertools
import math
from dataclasses import dataclass

import numpy as np

from . import RefinementSettings
from .profiles import Pairs, loss_and_gradient, unit

# A projection: weight (inputs, outputs) and bias (outputs,) of each layer in turn, then gain and shift
# of the layer norm, each (output,). Its arrays are never changed in place.
Arrays = tuple[np.ndarray, ...]
# Of a forward pass: inputs of each layer (m, inputs), standardized output of the last one (m, output),
# and its standard deviation by row (m, 1).
Trace = tuple[list[np.ndarray], np.ndarray, np.ndarray]
VARIANCE = 1e-5  # added by the layer norm
FIRST, SECOND, EPSILON = 0.9, 0.999, 1e-8  # Adam's decay rates, and a guard against dividing by 0


def initial(widths: tuple[int, ...], dtype: np.dtype, rng: np.random.Generator) -> Arrays:
    """A fresh projection of the given widths, from input to output.

    Weights and biases are uniform within ``1 / sqrt(inputs)``, gains 1 and shifts 0, as torch draws
    them.
    """
    arrays = []
    for inputs, outputs in itertools.pairwise(widths):
        bound = 1.0 / math.sqrt(inputs)
        arrays += [rng.uniform(-bound, bound, shape) for shape in ((inputs, outputs), outputs)]
    arrays += [np.ones(widths[-1]), np.zeros(widths[-1])]
    return tuple(array.astype(dtype) for array in arrays)


def forward(projection: Arrays, x: np.ndarray) -> tuple[np.ndarray, Trace]:
    """``B(x)`` for rows x (m, d), shape (m, output), and the trace for :func:`backward`."""
    *layers, gain, shift = projection
    inputs, h = [], x
    for weight, bias in zip(layers[::2], layers[1::2], strict=True):
        inputs.append(np.maximum(h, 0.0) if inputs else h)
        h = inputs[-1] @ weight + bias
    centred = h - h.mean(axis=1, keepdims=True)
    deviation = np.sqrt((centred * centred).mean(axis=1, keepdims=True) + VARIANCE)
    standard = centred / deviation
    return gain * standard + shift, (inputs, standard, deviation)


def backward(projection: Arrays, trace: Trace, slope: np.ndarray) -> Arrays:
    """Gradients of the loss by the parameters, in their order.

    `slope` is the loss's gradient by ``B(x)``, (m, output); `trace` is that of :func:`forward`.
    """
    *layers, gain, _ = projection
    inputs, standard, deviation = trace
    gradients = [(slope * standard).sum(axis=0), slope.sum(axis=0)]
    inner = slope * gain
    along = (inner * standard).mean(axis=1, keepdims=True) * standard
    h = (inner - inner.mean(axis=1, keepdims=True) - along) / deviation
    for layer in reversed(range(len(inputs))):
        below = inputs[layer]
        gradients = [below.T @ h, h.sum(axis=0), *gradients]
        if layer:
            h = np.where(below > 0, h @ layers[2 * layer].T, 0.0)
    return tuple(gradients)


@dataclass(frozen=True, eq=False)
class Refinement:
    """A frozen projection and how its training went.

    Attributes
    ----------
    settings : of the training, and of how the projection is used.
    projection : its parameters.
    counts : of the rows trained on (:attr:`.profiles.Pairs.counts`).
    losses : (steps,) float64, the loss of each step's batch before the step.
    watched : (epochs done,) float64, the loss that early stopping watches, after each epoch.
    epoch : the epoch (from 1) that the parameters are of.
    """

    settings: RefinementSettings
    projection: Arrays
    counts: dict[str, int]
    losses: np.ndarray
    watched: np.ndarray
    epoch: int

    def apply(self, vectors: np.ndarray) -> np.ndarray:
        """Refined vectors (n, output) of raw ones (n, d), in the dtype of `vectors`.

        Their length is `settings.scale`; where that is None, it is that of the layer norm's result.
        """
        scale, blend = self.settings.scale, self.settings.blend
        own = vectors.astype(self.settings.precision)
        refined = forward(self.projection, own)[0].astype(vectors.dtype)
        if scale is None:
            return refined
        refined = unit(refined)
        if blend < 1:
            refined = unit(blend * refined + (1.0 - blend) * unit(vectors))
        return scale * refined


def train(
    vectors: np.ndarray,
    pairs: Pairs,
    settings: RefinementSettings,
    *,
    rng: np.random.Generator,
    held: tuple[np.ndarray, Pairs] | None = None,
) -> Refinement:
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
    watch = held or (vectors, pairs)
    for each in (pairs, watch[1]):
        _require_anchors(each)
    hidden = () if settings.hidden is None else (settings.hidden,)
    projection = initial((vectors.shape[1], *hidden, settings.output), vectors.dtype, rng)
    optimiser = AdamW(settings, projection)
    anchors = np.flatnonzero(pairs.anchor)
    losses, watched, best = [], [], (1, projection)
    for epoch in range(1, settings.epochs + 1):
        order = rng.permutation(anchors)
        for first in range(0, order.size, settings.batch):
            weights = _weights(order[first : first + settings.batch], vectors)
            loss, gradients = objective(projection, vectors, pairs, weights, settings.temperature)
            projection = optimiser.step(projection, clipped(gradients, settings.clip))
            losses.append(loss)
        if settings.patience is None:
            best = (epoch, projection)
            continue
        watched.append(mean_loss(projection, *watch, settings.temperature))
        if watched[-1] <= min(watched):
            best = (epoch, projection)
        elif epoch - best[0] >= settings.patience:
            break
    epoch, projection = best
    return Refinement(
        settings, projection, pairs.counts, np.array(losses), np.array(watched), epoch
    )


def objective(
    projection: Arrays, vectors: np.ndarray, pairs: Pairs, weights: np.ndarray, temperature: float
) -> tuple[float, Arrays]:
    """The loss of a batch and its gradients by the projection's arrays, in their order."""
    y, trace = forward(projection, vectors)
    loss, slope = loss_and_gradient(y, pairs, weights, temperature)
    return loss, backward(projection, trace, slope)


def mean_loss(projection: Arrays, vectors: np.ndarray, pairs: Pairs, temperature: float) -> float:
    """The mean loss over all anchors."""
    weights = _weights(np.flatnonzero(pairs.anchor), vectors)
    return loss_and_gradient(forward(projection, vectors)[0], pairs, weights, temperature)[0]


def _require_anchors(pairs: Pairs) -> None:
    """Raise ValueError, with the counts, if no prompt has both a positive and a negative."""
    if not pairs.counts["anchors"]:
        counts = ", ".join(f"{name} {count}" for name, count in pairs.counts.items())
        raise ValueError(
            f"refinement set: no prompt has both a positive and a negative ({counts}); expected at "
            "least one anchor: take more rows or other thresholds"
        )


def _weights(batch: np.ndarray, like: np.ndarray) -> np.ndarray:
    """(m,) weights: 1 / batch at the anchors of the batch, 0 elsewhere."""
    weights = np.zeros(len(like), like.dtype)
    weights[batch] = 1.0 / batch.size
    return weights


def clipped(gradients: Arrays, most: float) -> Arrays:
    """The gradients, shrunk together where their joint norm exceeds `most`."""
    norm = math.sqrt(sum(float(np.sum(g * g)) for g in gradients))
    return gradients if norm <= most else tuple(g * (most / norm) for g in gradients)


class AdamW:
    """The optimiser's state: decaying means of each array's gradient and of its square."""

    def __init__(self, settings: RefinementSettings, arrays: Arrays) -> None:
        self._rate, self._decay = settings.learning_rate, settings.weight_decay
        self._means, self._squares = ([np.zeros_like(array) for array in arrays] for _ in range(2))
        self._steps = 0

    def step(self, arrays: Arrays, gradients: Arrays) -> Arrays:
        """The arrays after one step."""
        self._steps += 1
        rate = self._rate / (1.0 - FIRST**self._steps)
        widen = 1.0 / math.sqrt(1.0 - SECOND**self._steps)
        moved = []
        for place, (array, g) in enumerate(zip(arrays, gradients, strict=True)):
            mean = FIRST * self._means[place] + (1.0 - FIRST) * g
            square = SECOND * self._squares[place] + (1.0 - SECOND) * (g * g)
            decayed = (1.0 - self._rate * self._decay) * array
            moved.append(decayed - rate * mean / (widen * np.sqrt(square) + EPSILON))
            self._means[place], self._squares[place] = mean, square
        return tuple(moved)
