"""The studies whose results are stored with the code: real rows, the stand-in, planted worlds."""

from __future__ import annotations

from ..experiment.task import Cell
from .arms import Arm
from .planted import Planted
from .settings import RefinementSettings
from .study import Study

PAPER = RefinementSettings()
PUBLISHED = PAPER.with_(scale=None)
LAYER_NORM = 384**0.5  # length of a vector as the final layer norm leaves it

_PLAIN = (
    Arm("raw", "raw", 6),
    Arm("refined", "raw", 6, PAPER),
    Arm("raw x4", "raw x4", 6, length=4.0),
    Arm("refined x4", "raw x4", 6, PAPER.with_(scale=4.0)),
)
_VARIANTS = (
    Arm("raw x19.6", "raw x19.6", 5, length=LAYER_NORM),
    Arm("refined as published", "raw x19.6", 5, PUBLISHED),
    Arm("linear map", "raw", 5, PAPER.with_(hidden=None)),
    Arm("stratified, 10 a model", "raw", 5, PAPER.with_(quota=10)),
    Arm("stopped early on held-out rows", "raw", 5, PAPER.with_(holdout=0.2, patience=3)),
    Arm("blend, 30% refined", "raw", 5, PAPER.with_(blend=0.3)),
    Arm("all 650 rows beside the pool", "raw", 5, PAPER.with_(rows=650, epochs=10)),
    Arm("trained on the pool (no policy)", "raw", 3, PAPER.with_(epochs=8), informed=True),
)
ROUTERBENCH = Study(
    "contrastive-routerbench", (Cell(1, 5.0, 0.5), Cell(1, 0.0, 0.7)), (*_PLAIN, *_VARIANTS)
)
STAND_IN = Study("contrastive-standin", (Cell(1, 5.0, 0.5),), _PLAIN).on_seeds(5)

_SMALL = RefinementSettings(hidden=128, output=64)
PLANTED = Study(
    "contrastive-planted",
    (Cell(1, 0.0, 0.5),),
    (
        Arm("raw", "raw", 8),
        Arm("110 rows, 50 steps", "raw", 8, _SMALL),
        Arm("110 rows, 300 steps", "raw", 8, _SMALL.with_(epochs=300)),
        Arm("440 rows, 200 steps", "raw", 8, _SMALL.with_(rows=440)),
    ),
    T=2000,
)
WORLDS = tuple(
    Planted(nuisance=nuisance, size=size) for nuisance in (4, 56) for size in (0.5, 1.0, 2.0, 4.0)
)
