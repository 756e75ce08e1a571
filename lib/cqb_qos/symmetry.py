"""What the order of the experts does to a network's answer: nothing, if it sees them as a set."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from . import encoder
from .encoder import Weights
from .episodes import Episodes
from .evaluate import batch_of
from .observe import observe
from .policies import feasible
from .synthetic import Load
from .system import System


def states(load: Load, seeds: Sequence[int], decisions: int, system: System) -> np.ndarray:
    """Packed observations, (seeds, D), after some decisions of the rule Feasible."""
    episodes = Episodes(batch_of([load], seeds, decisions + 1, system), system)
    for _ in range(decisions):
        episodes.step(feasible(episodes.decision))
    return encoder.pack(observe(episodes.decision))


def reordered(packed: np.ndarray, order: Sequence[int]) -> np.ndarray:
    """The same states with the experts, and all that is at them, in another order."""
    graph = encoder.unpack(packed)
    parts = [part[:, list(order)].reshape(len(packed), -1) for part in graph[:-1]]
    return np.concatenate([*parts, graph.rate], axis=1)


def order_effects(weights: Weights, packed: np.ndarray, order: Sequence[int]) -> dict[str, float]:
    """Largest change under another order of the experts.

    Returns
    -------
    `values` : of an action's value, where an action goes with its expert. `experts` : of an expert's
    value at a place, so by how much experts differ. `readout` : of the published readout.
    """
    other = reordered(packed, order)
    before, after = encoder.values(weights, packed), encoder.values(weights, other)
    moved = np.append(before[:, list(order)], before[:, -1:], axis=1)
    readouts = [encoder.arrived_readout(weights, encoder.unpack(p)) for p in (packed, other)]
    return {
        "values": float(abs(after - moved).max()),
        "experts": float(abs(after - before).max()),
        "readout": float(abs(readouts[1] - readouts[0]).max()),
    }
