"""What a training is made of, and what comes out of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from ..learned import LearnedRouter
from ..validation import Validation
from .vector import Episodes


@dataclass(frozen=True)
class Training:
    """A training run; a frame is one decision that is followed, with all actions tried.

    Attributes
    ----------
    network : a name of :data:`..networks.NETWORKS`. seed : of everything random in it.
    rate : of learning, falling to 0 with the root of what is left. batch : states of an update; one
        update a step of all environments. buffer : states. tau : of the target's moving average,
        which is also what is validated and kept. explore : chance of a random action.
    checkpoints : how many; they must fall where episodes begin.
    """

    network: str = "graph"
    seed: int = 0
    frames: int = 96_000
    N: int = 3
    episodes: Episodes = field(default_factory=lambda: Episodes(decisions=250))
    rate: float = 4e-4
    batch: int = 64
    buffer: int = 24_000
    tau: float = 0.005
    explore: float = 0.03
    contrast: float = 5.0
    checkpoints: int = 6
    validation: Validation = field(default_factory=Validation)

    def __post_init__(self) -> None:
        each = self.episodes.environments * self.episodes.decisions
        if self.frames % (each * self.checkpoints):
            raise ValueError(
                f"frames: found {self.frames}, expected a multiple of {each * self.checkpoints}: whole "
                "episodes between checkpoints"
            )

    @property
    def name(self) -> str:
        """What its files are called."""
        return f"{self.network}-beta{self.episodes.beta:g}-seed{self.seed}"

    def with_(self, **changes: Any) -> Training:
        """A copy with some settings changed; `beta` is that of its episodes."""
        if "beta" in changes:
            changes["episodes"] = replace(self.episodes, beta=changes.pop("beta"))
        return replace(self, **changes)


@dataclass(frozen=True, eq=False)
class Trained:
    """The best checkpoint, and a row per checkpoint: frames, seconds, validation QoS by load, errors."""

    router: LearnedRouter
    history: list[dict[str, Any]]
