"""The projection B and its InfoNCE loss, with their gradients by hand.

``B(x) = gain * (h - mean h) / sqrt(var h + 1e-5) + shift`` with ``h = W2' relu(W1' x + b1) + b2`` or,
where there is no hidden layer, ``h = W' x + b`` (arXiv 2602.02061, contrastive refinement; layer norm:
Ba, Kiros and Hinton, arXiv 1607.06450).

For an anchor a with positive p and candidates C (p and the negatives), at temperature s,
``loss_a = logsumexp_{j in C} <z_a, z_j> / s - <z_a, z_p> / s`` on projections z of unit length (van den
Oord, Li and Vinyals, arXiv 1807.03748). The loss is a weighted sum over anchors. All prompts of the set
are in one m by m matrix, so a batch is a vector of weights, and no row is gathered or scattered.
"""

from __future__ import annotations

import itertools
import math

import numpy as np

from .profiles import Pairs

# A projection: weight (inputs, outputs) and bias (outputs,) of each layer in turn, then gain and shift
# of the layer norm, each (output,). Its arrays are never changed in place.
Arrays = tuple[np.ndarray, ...]
# Of a forward pass: inputs of each layer (m, inputs), standardized output of the last one (m, output),
# and its standard deviation by row (m, 1).
Trace = tuple[list[np.ndarray], np.ndarray, np.ndarray]
EPSILON = 1e-5  # of the layer norm


def initial(
    widths: tuple[int, ...], dtype: np.typing.DTypeLike, rng: np.random.Generator
) -> Arrays:
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
    deviation = np.sqrt((centred * centred).mean(axis=1, keepdims=True) + EPSILON)
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


def unit(y: np.ndarray) -> np.ndarray:
    """Rows of `y` (m, d) scaled to length 1; a zero row stays zero."""
    return y / _lengths(y)


def _lengths(y: np.ndarray) -> np.ndarray:
    """Lengths of rows, (m, 1), and 1 for a row that is zero."""
    length = np.linalg.norm(y, axis=1, keepdims=True)
    return np.where(length > 0, length, 1.0)


def loss_and_gradient(
    y: np.ndarray, pairs: Pairs, weights: np.ndarray, temperature: float
) -> tuple[float, np.ndarray]:
    """The weighted loss of projections `y` (m, d), and its gradient by `y` (m, d).

    `weights` is (m,): 1 / batch for the anchors of the batch and 0 elsewhere.
    """
    length = _lengths(y)
    z = y / length
    logits = z @ z.T / temperature
    own = np.arange(len(y)), pairs.positive
    masked = np.where(pairs.candidates, logits, -np.inf)
    peak = masked.max(axis=1, keepdims=True)
    odds = np.exp(masked - peak)
    total = odds.sum(axis=1, keepdims=True)
    loss = (weights * ((peak + np.log(total))[:, 0] - logits[own])).sum()
    pull = odds / total
    pull[own] -= 1.0
    by_logit = weights[:, None] * pull / temperature
    slope = (by_logit + by_logit.T) @ z
    along = (slope * z).sum(axis=1, keepdims=True) * z
    return float(loss), (slope - along) / length
