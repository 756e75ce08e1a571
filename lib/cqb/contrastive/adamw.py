"""AdamW with a bound on the gradient's norm, as pure functions of its state.

Loshchilov and Hutter, arXiv 1711.05101: Adam (Kingma and Ba, arXiv 1412.6980; decay rates .9 and .999)
with the weight decay outside the adaptive step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ..arrays import namespace

Array = Any
Arrays = tuple[Array, ...]
FIRST, SECOND, EPSILON = 0.9, 0.999, 1e-8


@dataclass(frozen=True, eq=False)
class AdamState:
    """Decaying means of the gradient and of its square, for each array, after `step` steps."""

    step: int
    mean: Arrays
    square: Arrays


def start(arrays: Arrays) -> AdamState:
    """The state before the first step."""
    zeros = tuple(namespace(array).zeros_like(array) for array in arrays)
    return AdamState(0, zeros, zeros)


def clipped(gradients: Arrays, most: float) -> tuple[Arrays, float]:
    """The gradients, shrunk together where their joint norm exceeds `most`, and that norm."""
    norm = math.sqrt(sum(float(namespace(g).sum(g * g)) for g in gradients))
    if norm <= most:
        return gradients, norm
    return tuple(g * (most / norm) for g in gradients), norm


def step(
    arrays: Arrays, gradients: Arrays, state: AdamState, learning_rate: float, weight_decay: float
) -> tuple[Arrays, AdamState]:
    """The arrays after one step, and the state after it."""
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
        kept = (1.0 - learning_rate * weight_decay) * array
        moved.append(kept - rate * mean / (widen * xp.sqrt(square) + EPSILON))
        means.append(mean)
        squares.append(square)
    return tuple(moved), AdamState(count, tuple(means), tuple(squares))
