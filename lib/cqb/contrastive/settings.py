"""The settings of a refinement, checked when they are made."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

PRECISIONS = ("float32", "float64")
COUNTS = ("hidden", "output", "negatives", "batch", "epochs", "patience", "rows", "quota")
POSITIVE = ("temperature", "learning_rate", "clip", "scale")
OPTIONAL = ("hidden", "patience", "quota", "scale")  # may be None


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
        stops and returns to the parameters of the lowest; None trains through.
    holdout : share of the refinement rows that training does not use, so that early stopping can
        watch their loss; with 0 it watches the training loss.
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
        for name in COUNTS:
            self._check(name, "at least 1", lambda count: count >= 1)
        for name in POSITIVE:
            self._check(name, "a positive number", lambda number: 0 < number < math.inf)
        self._check("weight_decay", "a finite number, at least 0", lambda x: 0 <= x < math.inf)
        self._check("holdout", "a share in [0, 1)", lambda share: 0 <= share < 1)
        self._check("blend", "a weight in (0, 1]", lambda weight: 0 < weight <= 1)
        self._check("precision", f"one of {', '.join(PRECISIONS)}", PRECISIONS.__contains__)
        check_thresholds(self.tau_pos, self.tau_neg)

    def _check(self, name: str, expected: str, accept: Callable[[Any], bool]) -> None:
        value = getattr(self, name)
        if not (accept(value) if value is not None else name in OPTIONAL):
            raise ValueError(f"{name}: found {value!r}, expected {expected}")

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
