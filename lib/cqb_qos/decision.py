"""What a router sees when a request arrives, and the form of its answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .simulator import Experts


@dataclass(frozen=True, eq=False)
class Decision:
    """What is known when request `index` arrives in each of B environments.

    Attributes
    ----------
    index : the request's number. time : (B,) seconds. prompt : (B,) tokens.
    scores, lengths : (B, N), predicted score and length of each expert's answer.
    experts : the state of all experts; a policy to be deployed reads predictions from it, not truth.
    """

    index: int
    time: np.ndarray
    prompt: np.ndarray
    scores: np.ndarray
    lengths: np.ndarray
    experts: Experts

    def per_expert(self, values: np.ndarray) -> np.ndarray:
        """Values of the rows (R,) as (B, N)."""
        return values.reshape(self.scores.shape)


Policy = Callable[[Decision], np.ndarray]
"""A router: from a decision to actions (B,), an expert's number, or N to drop the request."""
