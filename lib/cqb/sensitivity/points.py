"""What a sensitivity study tries: one setting away from the paper's at a time, in two services."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..contrastive.settings import RefinementSettings
from ..experiment.task import Cell
from ..policies import LearnerSettings


@dataclass(frozen=True)
class Point:
    """One value of one factor.

    Attributes
    ----------
    factor, value : what is changed, and to what.
    learner : settings of ACQB.
    refinement : how its vectors are refined (ACQB-CL); None leaves them raw.
    load : arrival rate as a share of the oracle's capacity; None for the arrival rate of the cell.
    """

    factor: str
    value: float
    learner: LearnerSettings = field(default_factory=LearnerSettings)
    refinement: RefinementSettings | None = None
    load: float | None = None


@dataclass(frozen=True)
class Study:
    """Points in every cell with every seed.

    Attributes
    ----------
    name : of its stored table. dataset : a name that :func:`cqb.experiment.load_table` knows.
    cells : services, all with K = 1. T : rounds. pool_size : queries in a run's job pool.
    """

    name: str
    dataset: str
    cells: tuple[Cell, ...]
    seeds: tuple[int, ...]
    points: tuple[Point, ...]
    T: int = 5000
    pool_size: int = 1000


@dataclass(frozen=True)
class Factor:
    """A setting that is varied: how it is drawn and what it is by default (None: of the cell).

    `refined` says that it is a setting of the refinement, so that its default is ACQB-CL's.
    """

    label: str
    values: tuple[float, ...]
    default: float | None
    log: bool = False
    refined: bool = False


FACTORS: dict[str, Factor] = {
    "alpha_coef": Factor(
        "alpha_coef: factor on the confidence radius",
        (1e-4, 1e-3, 3e-3, 1e-2, 3e-2),
        1e-4,
        True,
    ),
    "exploration_rate": Factor(
        "exploration rate: share of rounds with forced exploration",
        (0.001, 0.01, 0.03, 0.1),
        0.01,
        True,
    ),
    "lambda0": Factor(
        "lambda0: ridge of the estimate", (1 / 64, 1 / 16, 1 / 4, 1.0, 4.0), 1.0, True
    ),
    "d_proj": Factor("d_proj: dimensions after refinement", (16, 64, 128, 384), 384, True, True),
    "tau_pos": Factor(
        "tau_pos: a positive's profile cosine is above it",
        (0.5, 0.7, 0.8, 0.9),
        0.5,
        False,
        True,
    ),
    "tau_neg": Factor(
        "tau_neg: a negative's profile cosine is below it",
        (-0.5, -0.4, -0.1, 0.3),
        0.3,
        False,
        True,
    ),
    "load": Factor(
        "arrival rate as a share of the oracle's capacity", (0.5, 0.7, 0.8, 0.9, 0.95), None
    ),
}


def _point(factor: str, value: float) -> Point:
    """The paper's settings but for one."""
    if factor == "load":
        return Point(factor, value, load=value)
    if factor == "d_proj":  # a hidden layer twice as wide, as in the paper's 384 - 768 - 384
        width = int(value)
        return Point(factor, value, refinement=RefinementSettings(hidden=2 * width, output=width))
    if FACTORS[factor].refined:
        return Point(factor, value, refinement=RefinementSettings().with_(**{factor: value}))
    return Point(factor, value, LearnerSettings().with_(**{factor: value}))


def every_point() -> tuple[Point, ...]:
    """Every value of every factor."""
    return tuple(_point(name, value) for name, of in FACTORS.items() for value in of.values)


# Seeds that no reported experiment uses: a setting may be chosen by what is seen here.
ROUTERBENCH = Study(
    "sensitivity-routerbench",
    "routerbench",
    (Cell(1, 5.0, 0.5), Cell(1, 0.0, 0.7)),
    (62, 63, 64),
    every_point(),
)
STAND_IN = Study(
    "sensitivity-standin",
    "routerbench-standin",
    (Cell(1, 5.0, 0.5),),
    (62, 63),
    every_point(),
    T=3000,
)
STUDIES = {"standin": STAND_IN, "routerbench": ROUTERBENCH}
