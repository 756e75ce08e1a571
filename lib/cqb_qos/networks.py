"""The networks that can be trained, by name: the graph encoder, and two controls without it.

"flat" reads the same observation as one vector and learns nothing from one expert about another; it too
corrects the priced rollout. "arrived" decides from the published readout alone, so that it cannot tell
which expert is busy.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from array_api_compat import array_namespace

from . import encoder
from .encoder import WIDTH, Array, Weights

FLAT_WIDTH = 128


class Network(NamedTuple):
    """Inputs and outputs of its linear layers, for N experts, and its values of packed observations."""

    layers: Callable[[int], dict[str, tuple[int, int]]]
    values: Callable[[Weights, Array], Array]


def initial(network: str, N: int, random: np.random.Generator) -> dict[str, np.ndarray]:
    """Weights to start from, float32: He-uniform, zeros for biases and the layers that end a network."""
    weights = {}
    for name, shape in NETWORKS[network].layers(N).items():
        bound = 0.0 if name.endswith("out") and shape[1] <= N + 2 else math.sqrt(3.0 / shape[0])
        weights[f"{name}.w"] = random.uniform(-bound, bound, shape).astype(np.float32)
        weights[f"{name}.b"] = np.zeros(shape[1], np.float32)
    return weights


def check(network: str, N: int, weights: dict[str, Any]) -> None:
    """ValueError if these are not that network's weights; the message names the first that is not."""
    if network not in NETWORKS:
        raise ValueError(f"network: found {network!r}, expected one of {', '.join(NETWORKS)}")
    wanted = {}
    for name, shape in NETWORKS[network].layers(N).items():
        wanted |= {f"{name}.w": shape, f"{name}.b": shape[1:]}
    if odd := sorted(set(wanted) ^ set(weights)):
        raise ValueError(f"weights of {network!r}: {odd[0]} is missing or unknown")
    for name, shape in wanted.items():
        if (found := tuple(weights[name].shape)) != shape:
            raise ValueError(f"weights of {network!r}: {name}: found {found}, expected {shape}")
        if not np.isfinite(np.asarray(weights[name])).all():
            raise ValueError(f"weights of {network!r}: {name}: found a number that is not finite")


def _flat_layers(N: int) -> dict[str, tuple[int, int]]:
    return {
        "hidden.0": (encoder.size(N), FLAT_WIDTH),
        "hidden.1": (FLAT_WIDTH, FLAT_WIDTH),
        "flat.out": (FLAT_WIDTH, N + 2),
    }


def _flat_values(weights: Weights, packed: Array) -> Array:
    xp = array_namespace(packed)
    ends = encoder.linear(weights, "flat.out", encoder.mlp(weights, "hidden", packed))
    expert = ends[:, :-2] + encoder.rollout(encoder.unpack(packed))
    return encoder.dueling(xp.concat((expert, ends[:, -2:-1]), axis=1), ends[:, -1:])


def _arrived_layers(N: int) -> dict[str, tuple[int, int]]:
    heads = {"context.0": (WIDTH, WIDTH), "context.1": (WIDTH, WIDTH)}
    return encoder.embedding_layers() | heads | {"actions.out": (WIDTH, N + 2)}


def _arrived_values(weights: Weights, packed: Array) -> Array:
    readout = encoder.arrived_readout(weights, encoder.unpack(packed))
    ends = encoder.linear(weights, "actions.out", encoder.mlp(weights, "context", readout))
    return encoder.dueling(ends[:, :-1], ends[:, -1:])


NETWORKS = {
    "graph": Network(encoder.layers, encoder.values),
    "flat": Network(_flat_layers, _flat_values),
    "arrived": Network(_arrived_layers, _arrived_values),
}
