"""The policies that are trained, and what they are called."""

from __future__ import annotations

from typing import NamedTuple


class Trainee(NamedTuple):
    """A policy that was trained: what it is, and the seed of its training."""

    network: str
    beta: float
    seed: int

    @property
    def file(self) -> str:
        """The name that its weights are stored under."""
        return f"{self.network}-beta{self.beta:g}-seed{self.seed}"

    @property
    def policy(self) -> str:
        """What tables call it."""
        return f"{self.kind} #{self.seed}"

    @property
    def kind(self) -> str:
        """What was trained: "DDQN" with the graph encoder and without impact, else what differs."""
        what = {"graph": "", "flat": " flat", "arrived": " arrived"}[self.network]
        impact = f" impact {self.beta:g}" if self.beta else ""
        return f"DDQN{what}{impact}"


WORST = "DDQN (worst of 3)"  # how figures call the main policy of the lowest QoS
MAIN = tuple(Trainee("graph", 0.0, seed) for seed in range(3))
CONTROLS = (
    *(Trainee("graph", 1.0, seed) for seed in range(3)),
    *(Trainee("flat", 0.0, seed) for seed in range(3)),
    Trainee("arrived", 0.0, 0),
)
