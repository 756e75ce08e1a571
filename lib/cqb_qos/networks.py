"""Networks from an observation to the value of every action: the graph encoder and two controls.

The graph encoder embeds four relations of each expert: the expert itself, the arriving request as this
expert would serve it, and the requests that run and that wait there, pooled by attention. Attention over
the four gives the expert's embedding; the mean over experts is the context. An expert's value is made
from both, that of a drop from the context alone: permuting the experts permutes the values, and any
number of experts will do. (arXiv 2508.00234 compresses the same graph by a HAN and reads it out at the
arriving request, which cannot tell the experts apart: :func:`arrived_readout` is that form.)

Controls: "flat" reads the same observation as one vector and learns nothing from one expert about
another; "arrived" decides from the published readout alone. The values of "graph" and "flat" are
corrections to those of the priced rollout, so an untrained network is that rule. All are written once on
the array namespace of their inputs: NumPy to decide, PyTorch to learn.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from array_api_compat import array_namespace

from .observe import SHOWN, Observation

Array = Any
Weights = Mapping[str, Array]

ARRIVED, EXPERT, RUNNING, WAITING, RATE = 9, 4, 8, 6, 2  # features
GAIN, TOLL = 7, 8  # of the arriving request's features, those that the priced rollout weighs
PRICE = 0.5  # of the priced rollout, as chosen on the training seeds
QUEUED = 2  # waiting requests that are read: more are rare, and the experts' features count them
WIDTH, INNER, HEADS = 64, 32, 4
FLAT_WIDTH = 128


def size(N: int) -> int:
    """Numbers in a packed observation of N experts."""
    return N * (ARRIVED + EXPERT + SHOWN * (RUNNING + 1) + QUEUED * (WAITING + 1)) + RATE


def pack(seen: Observation) -> np.ndarray:
    """An observation as one vector per environment, (B, size(N)) float32."""
    read = seen._replace(
        waiting=seen.waiting[:, :, :QUEUED], waiting_mask=seen.waiting_mask[:, :, :QUEUED]
    )
    flat = [part.reshape(len(seen.rate), -1) for part in read]
    return np.concatenate(flat, axis=1, dtype=np.float32)


def unpack(packed: Array) -> Observation:
    """A packed observation as float32 arrays, with :data:`QUEUED` waiting requests; masks are 0 or 1."""
    B, total = packed.shape
    N = (total - RATE) // (size(1) - RATE)
    running, waiting = (N, SHOWN, RUNNING), (N, QUEUED, WAITING)
    shapes = (N, ARRIVED), (N, EXPERT), running, running[:2], waiting, waiting[:2], (RATE,)
    xp, start, parts = array_namespace(packed), 0, []
    for shape in shapes:
        end = start + math.prod(shape)
        parts.append(xp.reshape(packed[:, start:end], (B, *shape)))
        start = end
    return Observation(*parts)


Layers = dict[str, tuple[int, int]]
"""Inputs and outputs of linear layers, by name."""


def _two(name: str, inputs: int, width: int) -> Layers:
    """The layers of :func:`mlp`."""
    return {f"{name}.0": (inputs, width), f"{name}.1": (width, width)}


def _embedding_layers() -> Layers:
    layers = _two("self", EXPERT + RATE, WIDTH) | _two("arrived", ARRIVED, WIDTH)
    for name, inputs in (("running", RUNNING), ("waiting", WAITING)):
        heads = {f"{name}.source": (INNER, HEADS), f"{name}.target": (WIDTH, HEADS)}
        layers |= _two(name, inputs, INNER) | heads | {f"{name}.out": (2 * INNER, WIDTH)}
    return layers | {"relation": (WIDTH, INNER), "relation.score": (INNER, HEADS)}


def _graph_layers(N: int) -> Layers:
    """The layers of the graph encoder, which do not depend on N."""
    expert = _two("expert", 2 * WIDTH, WIDTH) | {"expert.out": (WIDTH, 1)}
    # The context gives the advantage of a drop, and the state's value.
    context = _two("context", WIDTH, WIDTH) | {"context.out": (WIDTH, 2)}
    return _embedding_layers() | expert | context


def graph_values(weights: Weights, packed: Array) -> Array:
    """The value of every action, (B, N + 1), of a packed observation: experts in order, then the drop.

    A state's value and the actions' advantages, which average to 0, have outputs of their own.
    """
    graph = unpack(packed)
    xp = array_namespace(packed)
    nodes, context = embed(weights, graph)
    wide = xp.broadcast_to(context[:, None, :], nodes.shape)
    each = mlp(weights, "expert", xp.concat((nodes, wide), axis=-1))
    both = linear(weights, "context.out", mlp(weights, "context", context))
    return dueling(linear(weights, "expert.out", each)[..., 0] + rollout(graph), both)


def dueling(expert: Array, rest: Array) -> Array:
    """Values (B, N + 1) from the experts' advantages (B, N), a drop's and the state's value (B, 2)."""
    xp = array_namespace(expert)
    advantage = xp.concat((expert, rest[:, :1]), axis=1)
    return rest[:, 1:] + advantage - xp.mean(advantage, axis=1, keepdims=True)


def rollout(graph: Observation) -> Array:
    """The priced rollout's value of each expert, (B, N); that of a drop is 0."""
    return graph.arrived[..., GAIN] - PRICE * graph.arrived[..., TOLL]


def embed(weights: Weights, graph: Observation) -> tuple[Array, Array]:
    """The experts' embeddings (B, N, WIDTH) and their mean (B, WIDTH)."""
    xp = array_namespace(graph.arrived)
    B, N, _ = graph.arrived.shape
    rate = xp.broadcast_to(graph.rate[:, None, :], (B, N, RATE))
    own = mlp(weights, "self", xp.concat((graph.experts, rate), axis=-1))
    arrived = mlp(weights, "arrived", graph.arrived)
    target = own + arrived
    running = _pooled(weights, "running", graph.running, graph.running_mask, target)
    waiting = _pooled(weights, "waiting", graph.waiting, graph.waiting_mask, target)
    nodes = _attended(weights, xp.stack((own, arrived, running, waiting), axis=2), axis=2)
    return nodes, xp.mean(nodes, axis=1)


def arrived_readout(weights: Weights, graph: Observation) -> Array:
    """The published readout, (B, WIDTH): the arriving request's node, which attends to the experts.

    Without a term of each expert's own, attention is a sum over a set: it is blind to which is which.
    """
    return _attended(weights, embed(weights, graph)[0], axis=1)


def _pooled(weights: Weights, name: str, requests: Array, mask: Array, target: Array) -> Array:
    """A set of requests as one embedding per expert, (B, N, WIDTH): attention by heads, and a sum.

    Scores are LeakyReLU(a source + b target), as in a graph attention layer; a softmax loses the number
    of requests, hence the sum (in tens).
    """
    xp, each = array_namespace(requests), mlp(weights, name, requests)
    target = linear(weights, f"{name}.target", target)[:, :, None, :]
    score = linear(weights, f"{name}.source", each) + target
    score = xp.where(score > 0.0, score, 0.2 * score) - 1e4 * (1.0 - mask[..., None])
    mean = _weighted(score, each, axis=2, mask=mask)
    total = xp.sum(each * mask[..., None], axis=2) / 10.0
    return relu(linear(weights, f"{name}.out", xp.concat((mean, total), axis=-1)))


def _attended(weights: Weights, nodes: Array, axis: int) -> Array:
    """Attention over an axis of nodes (..., WIDTH)."""
    xp = array_namespace(nodes)
    score = linear(weights, "relation.score", xp.tanh(linear(weights, "relation", nodes)))
    return _weighted(score, nodes, axis)


def _weighted(score: Array, each: Array, axis: int, mask: Array | None = None) -> Array:
    """Softmax-weighted sum over an axis; scores (..., HEADS), a head for each share of the width."""
    xp = array_namespace(score)
    score = xp.exp(score - xp.max(score, axis=axis, keepdims=True))
    if mask is not None:
        score = score * mask[..., None]
    share = score / (xp.sum(score, axis=axis, keepdims=True) + 1e-9)
    split = xp.reshape(each, (*each.shape[:-1], HEADS, each.shape[-1] // HEADS))
    pooled = xp.sum(split * share[..., None], axis=axis)
    return xp.reshape(pooled, (*pooled.shape[:-2], each.shape[-1]))


def mlp(weights: Weights, name: str, x: Array) -> Array:
    """Two layers with ReLU after each."""
    return relu(linear(weights, f"{name}.1", relu(linear(weights, f"{name}.0", x))))


def linear(weights: Weights, name: str, x: Array) -> Array:
    """The layer `name` of the last axis."""
    return x @ weights[f"{name}.w"] + weights[f"{name}.b"]


def relu(x: Array) -> Array:
    """The positive part, in a form that every namespace has."""
    return 0.5 * (x + abs(x))


class Network(NamedTuple):
    """Inputs and outputs of its linear layers, for N experts, and its values of packed observations."""

    layers: Callable[[int], Layers]
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
    """ValueError if these are not that network's weights; the message names the first wrong one."""
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


def _flat_layers(N: int) -> Layers:
    return _two("hidden", size(N), FLAT_WIDTH) | {"flat.out": (FLAT_WIDTH, N + 2)}


def _flat_values(weights: Weights, packed: Array) -> Array:
    ends = linear(weights, "flat.out", mlp(weights, "hidden", packed))
    return dueling(ends[:, :-2] + rollout(unpack(packed)), ends[:, -2:])


def _arrived_layers(N: int) -> Layers:
    return _embedding_layers() | _two("context", WIDTH, WIDTH) | {"actions.out": (WIDTH, N + 2)}


def _arrived_values(weights: Weights, packed: Array) -> Array:
    readout = arrived_readout(weights, unpack(packed))
    ends = linear(weights, "actions.out", mlp(weights, "context", readout))
    return dueling(ends[:, :-2], ends[:, -2:])


NETWORKS = {
    "graph": Network(_graph_layers, graph_values),
    "flat": Network(_flat_layers, _flat_values),
    "arrived": Network(_arrived_layers, _arrived_values),
}
