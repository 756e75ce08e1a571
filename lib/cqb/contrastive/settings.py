"""The settings of a refinement, checked when made."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

PRECISIONS = ("float32", "float64")


@dataclass(frozen=True)
class RefinementSettings:
    """How a projection is built, trained and used (defaults: the paper's RouterBench settings).

    Attributes
    ----------
    hidden : width of the hidden layer; None for a linear map. output : dimension of the result.
    tau_pos : a positive has a profile cosine above it. tau_neg : a negative has one below it.
    negatives : at most this many of the smallest cosines are an anchor's negatives.
    temperature : of the InfoNCE loss.
    learning_rate, weight_decay : of AdamW. clip : largest norm of a gradient. batch : anchors a step.
    epochs : passes over the anchors. patience : epochs without a new lowest loss after which training
        stops and goes back to that lowest; None to train through. holdout : share of the refinement
        rows that are kept from training, for their loss to be the one watched; 0 watches the
        training loss.
    rows : refinement rows. quota : None takes the next `rows` of the seed's permutation; a number
        takes that many rows per model on which this model is the strict best, and `rows` is not read.
    scale : length of a refined vector; None leaves it as the layer norm makes it (about sqrt(output)),
        as published.
    blend : weight of the projection against the raw vector in the result; 1 is the projection alone.
    precision : floating type of the training.

    Raises
    ------
    ValueError
        A setting is out of range, or `tau_pos` is below `tau_neg`; the message names it.
    """

    hidden: int | None = 768
    output: int = 384
    tau_pos: float = 0.5
    tau_neg: float = 0.3
    negatives: int = 64
    temperature: float = 0.07
    learning_rate: float = 3e-4
    weight_decay: float = 1e-4
    clip: float = 1.0
    batch: int = 128
    epochs: int = 50
    patience: int | None = None
    holdout: float = 0.0
    rows: int = 110
    quota: int | None = None
    scale: float | None = 1.0
    blend: float = 1.0
    precision: str = "float32"

    def __post_init__(self) -> None:
        for name in ("output", "negatives", "batch", "epochs", "rows"):
            _at_least_one(name, getattr(self, name))
        for name in ("hidden", "patience", "quota"):
            if getattr(self, name) is not None:
                _at_least_one(name, getattr(self, name))
        for name in ("temperature", "learning_rate", "clip"):
            _positive(name, getattr(self, name))
        if self.scale is not None:
            _positive("scale", self.scale)
        if not (self.weight_decay >= 0 and math.isfinite(self.weight_decay)):
            raise ValueError(f"weight_decay: found {self.weight_decay}, expected at least 0")
        if not 0 <= self.holdout < 1:
            raise ValueError(f"holdout: found {self.holdout}, expected a share in [0, 1)")
        if not 0 < self.blend <= 1:
            raise ValueError(f"blend: found {self.blend}, expected a weight in (0, 1]")
        if self.precision not in PRECISIONS:
            raise ValueError(
                f"precision: found {self.precision!r}, expected one of {', '.join(PRECISIONS)}"
            )
        check_thresholds(self.tau_pos, self.tau_neg)

    def with_(self, **changes: Any) -> RefinementSettings:
        """A copy with some settings changed."""
        return replace(self, **changes)


def check_thresholds(tau_pos: float, tau_neg: float) -> None:
    """Raise ValueError unless -1 <= tau_neg <= tau_pos <= 1."""
    for name, value in (("tau_pos", tau_pos), ("tau_neg", tau_neg)):
        if not -1 <= value <= 1:
            raise ValueError(f"{name}: found {value}, expected a cosine in [-1, 1]")
    if tau_pos < tau_neg:
        raise ValueError(
            f"tau_pos: found {tau_pos}, below tau_neg = {tau_neg}; between the two a prompt would be "
            "positive and negative at once"
        )


def _at_least_one(name: str, value: int) -> None:
    if not value >= 1:
        raise ValueError(f"{name}: found {value}, expected at least 1")


def _positive(name: str, value: float) -> None:
    if not (value > 0 and math.isfinite(value)):
        raise ValueError(f"{name}: found {value}, expected a positive number")
