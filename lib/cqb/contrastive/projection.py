"""The projection B: one or two layers and a final layer norm, with its gradient by hand.

``B(x) = gain * (h - mean h) / sqrt(var h + 1e-5) + shift`` with ``h = W2' relu(W1' x + b1) + b2`` or,
where there is no hidden layer, ``h = W' x + b`` (arXiv 2602.02061, contrastive refinement; layer norm:
Ba, Kiros and Hinton, arXiv 1607.06450).
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..arrays import asarray, namespace

Array = Any
EPSILON = 1e-5  # of the layer norm


@dataclass(frozen=True, eq=False)
class Projection:
    """The parameters of B; they are never changed in place.

    Attributes
    ----------
    arrays : weight (d_in, d_out) and bias (d_out,) of each layer in turn, then gain and shift of the
        layer norm, each (output,).
    """

    arrays: tuple[Array, ...]

    @property
    def dimensions(self) -> tuple[int, ...]:
        """Widths from input to output."""
        weights = self.arrays[:-2:2]
        return (weights[0].shape[0], *(weight.shape[1] for weight in weights))


class Trace(NamedTuple):
    """Values of a forward pass that the backward pass needs.

    `inputs` of each layer (m, inputs), `standard`: standardized output of the last layer (m, output),
    `deviation`: its standard deviation by row (m, 1).
    """

    inputs: list[Array]
    standard: Array
    deviation: Array


def initial(dimensions: tuple[int, ...], like: Array, rng: np.random.Generator) -> Projection:
    """A fresh projection of the given widths, in the namespace, device and dtype of `like`.

    Weights and biases are uniform within ``1 / sqrt(inputs)``, gains 1 and shifts 0, as torch draws
    them. Draws are made on the host, so that every backend starts from the same numbers.
    """
    arrays = []
    for inputs, outputs in itertools.pairwise(dimensions):
        bound = 1.0 / math.sqrt(inputs)
        arrays += [
            rng.uniform(-bound, bound, (inputs, outputs)),
            rng.uniform(-bound, bound, outputs),
        ]
    arrays += [np.ones(dimensions[-1]), np.zeros(dimensions[-1])]
    xp = namespace(like)
    return Projection(tuple(xp.astype(asarray(array, like), like.dtype) for array in arrays))


def forward(projection: Projection, x: Array) -> tuple[Array, Trace]:
    """``B(x)`` for rows x (m, d_in), shape (m, output), and the trace for :func:`backward`."""
    xp = namespace(x)
    *layers, gain, shift = projection.arrays
    inputs, h = [x], x
    for layer in range(0, len(layers), 2):
        if layer:
            h = xp.where(h > 0, h, 0.0 * h)
            inputs.append(h)
        h = h @ layers[layer] + layers[layer + 1]
    centred = h - xp.mean(h, axis=1, keepdims=True)
    deviation = xp.sqrt(xp.mean(centred * centred, axis=1, keepdims=True) + EPSILON)
    standard = centred / deviation
    return gain * standard + shift, Trace(inputs, standard, deviation)


def backward(projection: Projection, trace: Trace, slope: Array) -> tuple[Array, ...]:
    """Gradients of the loss by the parameters, in their order.

    `slope` is the loss's gradient by ``B(x)``, (m, output); `trace` is that of :func:`forward`.
    """
    xp = namespace(slope)
    *layers, gain, _ = projection.arrays
    of_norm = (xp.sum(slope * trace.standard, axis=0), xp.sum(slope, axis=0))
    inner = slope * gain
    along = xp.mean(inner * trace.standard, axis=1, keepdims=True) * trace.standard
    h = (inner - xp.mean(inner, axis=1, keepdims=True) - along) / trace.deviation
    of_layers: tuple[Array, ...] = ()
    for layer in range(len(layers) - 2, -1, -2):
        below = trace.inputs[layer // 2]
        of_layers = (xp.matrix_transpose(below) @ h, xp.sum(h, axis=0), *of_layers)
        if layer:
            h = xp.where(below > 0, h @ xp.matrix_transpose(layers[layer]), 0.0 * below)
    return (*of_layers, *of_norm)
