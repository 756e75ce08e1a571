"""Generated worlds with a planted answer: which directions decide the scores, and which do not.

A prompt is a signal s in R^k and a nuisance n in R^q, both of mean square length 1. Its vector is the
direction of ``U s + size V n`` with orthonormal U and V: the scores depend on s alone, so the share
``1 / (1 + size^2)`` of a vector's energy is signal. A refinement that drops V and keeps U is perfect.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ..routing_table import RoutingTable
from ..streams import Streams

SIGNAL, DIMENSION, MODELS = 6, 64, 5  # k, d and N
STRENGTH = 2.0  # standard deviation of a model's logit score over prompts
SEED = 7


@dataclass(frozen=True)
class Planted:
    """A planted world.

    Attributes
    ----------
    nuisance : q, directions that do not decide the scores, at most d - k.
    size : length of the nuisance relative to that of the signal; 0 leaves the signal alone.
    rows : number of prompts.
    """

    nuisance: int = 6
    size: float = 2.0
    rows: int = 2600

    @property
    def name(self) -> str:
        """The world's name in tables and titles."""
        nuisance = f"{self.nuisance} nuisance directions of size {self.size:g}"
        return f"Planted world (stand-in), {nuisance}"


@lru_cache(maxsize=8)
def planted_table(world: Planted) -> RoutingTable:
    """The routing table of a planted world: scores ``sigmoid(strength <s, theta_j>)``, no costs.

    Signal, models and scores are the same whatever the nuisance is. A table is made once a process.
    """
    streams = Streams(SEED)
    n, k, q = world.rows, SIGNAL, world.nuisance
    s = streams.generator("signal").standard_normal((n, k)) / np.sqrt(k)
    theta = streams.generator("models").standard_normal((k, MODELS))
    theta *= np.sqrt(k) / np.linalg.norm(theta, axis=0)
    noise = streams.generator("nuisance").standard_normal((n, q)) / np.sqrt(q)
    axes, _ = np.linalg.qr(streams.generator("axes").standard_normal((DIMENSION, DIMENSION)))
    vectors = s @ axes[:k] + world.size * noise @ axes[k : k + q]
    rows = tuple(f"planted {row}" for row in range(n))
    return RoutingTable(
        name=world.name,
        stand_in=True,
        ids=rows,
        prompts=rows,
        families=("planted",) * n,
        models=tuple(f"model {j}" for j in range(MODELS)),
        scores=1.0 / (1.0 + np.exp(-STRENGTH * s @ theta)),
        costs=np.zeros((n, MODELS)),
        embeddings=vectors / np.linalg.norm(vectors, axis=1, keepdims=True),
    )
