"""Contrastive refinement: a projection of the embeddings, trained offline and then frozen.

This is what ACQB-CL adds to ACQB (Bae, Son and Lee, arXiv 2602.02061). Training draws prompts together
on which the models do alike, and pushes others apart, on rows that are never served.

This module has the settings. The others, in order: :mod:`.profiles` (which prompts belong together, and
the loss), :mod:`.training` (of the projection), :mod:`.refinement` (rows and refined vectors),
:mod:`.diagnostics` (the geometry before and after), :mod:`.planted` (worlds with a known answer).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

COUNTS = ("hidden", "output", "negatives", "batch", "epochs", "patience", "rows", "quota")
POSITIVE = ("temperature", "learning_rate", "clip", "scale")
OPTIONAL = ("hidden", "patience", "quota", "scale")  # may be None
ALLOWED = {
    **dict.fromkeys(COUNTS, ("at least 1", lambda count: count >= 1)),
    **dict.fromkeys(POSITIVE, ("a positive number", lambda number: 0 < number < math.inf)),
    **dict.fromkeys(("tau_pos", "tau_neg"), ("a cosine in [-1, 1]", lambda c: -1 <= c <= 1)),
    "weight_decay": ("a finite number, at least 0", lambda number: 0 <= number < math.inf),
    "holdout": ("a share in [0, 1)", lambda share: 0 <= share < 1),
    "blend": ("a weight in (0, 1]", lambda weight: 0 < weight <= 1),
    "precision": ("float32 or float64", lambda name: name in ("float32", "float64")),
}


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
        A setting is out of range, `tau_pos` is below `tau_neg`, or a blend has no scale; the message
        names the setting.
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
        for name, (expected, accepts) in ALLOWED.items():
            value = getattr(self, name)
            if not (name in OPTIONAL if value is None else accepts(value)):
                raise ValueError(f"{name}: found {value!r}, expected {expected}")
        if self.tau_pos < self.tau_neg:
            raise ValueError(f"tau_pos: found {self.tau_pos}, below tau_neg = {self.tau_neg}")
        if self.blend < 1 and self.scale is None:
            raise ValueError(f"blend: found {self.blend} without a scale, expected both")

    def with_(self, **changes: Any) -> RefinementSettings:
        """A copy with some settings changed."""
        return replace(self, **changes)
