"""Generated worlds with a planted answer: which directions decide the scores, and which do not.

A prompt is a signal s in R^k and a nuisance n in R^q, both of mean square length 1. Its vector is the
direction of ``U s + size V n`` with orthonormal U and V: the scores depend on s alone, so the share
``1 / (1 + size^2)`` of a vector's energy is signal. A refinement that drops V and keeps U is perfect.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ..routing_table import RoutingTable
from ..streams import Streams


@dataclass(frozen=True)
class Planted:
    """A planted world.

    Attributes
    ----------
    signal : k, directions that decide the scores. nuisance : q, directions that do not.
    size : length of the nuisance relative to that of the signal; 0 leaves the signal alone.
    strength : standard deviation of a model's logit score over prompts.
    dimension : d, at least k + q. models, rows : N and the number of prompts. seed : of the world.

    Raises
    ------
    ValueError
        The directions do not fit into the dimension, or a number is out of range.
    """

    signal: int = 6
    nuisance: int = 6
    size: float = 2.0
    strength: float = 2.0
    dimension: int = 64
    models: int = 5
    rows: int = 2600
    seed: int = 7

    def __post_init__(self) -> None:
        for name in ("signal", "nuisance", "models", "rows"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: found {getattr(self, name)}, expected at least 1")
        for name in ("size", "strength"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name}: found {getattr(self, name)}, expected at least 0")
        if self.signal + self.nuisance > self.dimension:
            raise ValueError(
                f"dimension: found {self.dimension}, expected at least {self.signal + self.nuisance} "
                f"for {self.signal} directions of signal and {self.nuisance} of nuisance"
            )

    @property
    def name(self) -> str:
        """The world's name in tables and titles."""
        return (
            f"Planted world (stand-in), {self.nuisance} nuisance directions of size {self.size:g}"
        )


@lru_cache(maxsize=8)
def planted_table(world: Planted) -> RoutingTable:
    """The routing table of a planted world: scores ``sigmoid(strength <s, theta_j>)``, no costs.

    The same seed gives the same signal, models and scores whatever the nuisance is. A table is made
    once a process.
    """
    streams = Streams(world.seed)
    n, k, q, d = world.rows, world.signal, world.nuisance, world.dimension
    s = streams.generator("signal").standard_normal((n, k)) / np.sqrt(k)
    theta = streams.generator("models").standard_normal((k, world.models))
    theta *= np.sqrt(k) / np.linalg.norm(theta, axis=0)
    noise = streams.generator("nuisance").standard_normal((n, q)) / np.sqrt(q)
    axes, _ = np.linalg.qr(streams.generator("axes").standard_normal((d, d)))
    vectors = s @ axes[:k] + world.size * noise @ axes[k : k + q]
    rows = tuple(f"planted {row}" for row in range(n))
    return RoutingTable(
        name=world.name,
        stand_in=True,
        ids=rows,
        prompts=rows,
        families=("planted",) * n,
        models=tuple(f"model {j}" for j in range(world.models)),
        scores=1.0 / (1.0 + np.exp(-world.strength * s @ theta)),
        costs=np.zeros((n, world.models)),
        embeddings=vectors / np.linalg.norm(vectors, axis=1, keepdims=True),
    )
