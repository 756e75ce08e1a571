"""How ACQB's results depend on its settings and on the load: one factor at a time, K = 1."""

from dataclasses import dataclass, field, replace
from itertools import product

import numpy as np
import pandas as pd

from ..contrastive import RefinementSettings
from ..contrastive.refinement import refine_for, refined
from ..environment import from_table
from ..metrics import REFERENCE
from ..policies import LearnerSettings
from ..routing_table import RoutingTable
from ..runs import Cell, Task, play, rows_of
from ..stats import MEASURES, interval, intervals
from ..study import Study
from ..tables import select, spread, spreads

POOL_SIZE = 1000
COLUMNS = [
    *("dataset", "stand_in", "factor", "value", "lam", "arrival_rate", "seed"),
    *("rate", "capacity", "anchors", "regret", "gap", "queue_mean", "seconds"),
]


@dataclass(frozen=True)
class Factor:
    """A setting that is varied: how it is drawn and what it is by default (None: of the cell).

    `refined` says that it is a setting of the refinement, so that its default is ACQB-CL's.
    """

    label: str
    values: tuple[float, ...]
    default: float | None
    refined: bool = False

    @property
    def log(self) -> bool:
        """Whether its values span more than a factor of ten."""
        return 0 < 10 * min(self.values) < max(self.values)


FACTORS: dict[str, Factor] = {
    "alpha_coef": Factor(
        "alpha_coef: factor on the confidence radius", (1e-4, 1e-3, 3e-3, 1e-2, 3e-2), 1e-4
    ),
    "exploration_rate": Factor(
        "exploration rate: share of rounds with forced exploration", (1e-3, 0.01, 0.03, 0.1), 0.01
    ),
    "lambda0": Factor("lambda0: ridge of the estimate", (1 / 64, 1 / 16, 1 / 4, 1.0, 4.0), 1.0),
    "d_proj": Factor("d_proj: dimensions after refinement", (16, 64, 128, 384), 384, True),
    "tau_pos": Factor(
        "tau_pos: a positive's profile cosine is above it", (0.5, 0.7, 0.8, 0.9), 0.5, True
    ),
    "tau_neg": Factor(
        "tau_neg: a negative's profile cosine is below it", (-0.5, -0.4, -0.1, 0.3), 0.3, True
    ),
    "load": Factor(
        "arrival rate as a share of the oracle's capacity", (0.5, 0.7, 0.8, 0.9, 0.95), None
    ),
}


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
class PointTask:
    """ACQB at one point, in one cell with one seed, for T rounds."""

    cell: Cell
    seed: int
    point: Point
    T: int

    def __str__(self) -> str:
        return f"{self.point.factor} {self.point.value:.4g}, {self.cell}, seed {self.seed}"


def point(factor: str, value: float) -> Point:
    """The paper's settings with one value changed."""
    if factor == "load":
        return Point(factor, value, load=value)
    if factor == "d_proj":  # a hidden layer twice as wide, as in the paper's 384 - 768 - 384
        width = int(value)
        return Point(factor, value, refinement=RefinementSettings(hidden=2 * width, output=width))
    if FACTORS[factor].refined:
        return Point(factor, value, refinement=RefinementSettings().with_(**{factor: value}))
    return Point(factor, value, LearnerSettings().with_(**{factor: value}))


def run(task: PointTask, table: RoutingTable) -> pd.DataFrame:
    """One row after the last round: ACQB at a point, and ORACLE on the same arrivals.

    `arrival_rate` names the cell, `rate` is the one that was run; `capacity` is the largest that the
    oracle can serve, in queries per round; `anchors` the rows that a refinement was trained on.
    """
    raw, change = from_table(table, task.seed, task.cell.lam, POOL_SIZE), task.point
    capacity = raw.capacity(task.cell.K)
    rate = task.cell.arrival_rate if change.load is None else change.load * capacity
    cell = replace(task.cell, arrival_rate=rate)
    world, anchors = table, np.nan
    if change.refinement is not None:
        found = refine_for(table, task.seed, cell.lam, change.refinement, raw.pool_size)
        world, anchors = refined(raw, found), float(found.counts["anchors"])
    ours = Task(cell, "ACQB", task.seed, task.T, POOL_SIZE, change.learner)
    played = play(ours, world)
    oracle = play(replace(ours, policy=REFERENCE, learner=LearnerSettings()), table)
    row = rows_of(ours, played, table, np.array([task.T]))
    return row.assign(
        factor=change.factor,
        value=float(change.value),
        arrival_rate=task.cell.arrival_rate,
        rate=rate,
        capacity=capacity,
        anchors=anchors,
        gap=(row["queue"] - oracle.trajectory.queue[-1]).astype(float),
    )[COLUMNS]


def study(name: str, data: str, cells: tuple[Cell, ...], seeds: tuple[int, ...], T: int) -> Study:
    """Every value of every factor in every cell with every seed."""
    points = [point(factor, value) for factor, of in FACTORS.items() for value in of.values]
    return Study(
        name,
        1,
        data,
        tuple(PointTask(*which, T) for which in product(cells, seeds, points)),
        run,
        stratum=lambda task: task.point.factor,
        cost=lambda task: (3.0 if task.point.refinement else 1.2) * T / 5000,
    )


def means(runs: pd.DataFrame, factor: str) -> pd.DataFrame:
    """Mean regret and gap with 95% t-intervals, a row per cell and value of `factor`.

    The column `service` names the cell; where the load is varied, by its lam alone.
    """
    groups = select(runs, factor=factor).groupby(["lam", "arrival_rate", "value"])
    count = groups["seed"].nunique()
    rows = pd.DataFrame({"seeds": count, **intervals(groups, MEASURES, count)}).reset_index()
    service = "lam = " + rows["lam"].map("{:g}".format)
    if factor != "load":
        service += ", arrival rate " + rows["arrival_rate"].map("{:g}".format)
    return rows.assign(service=service)


def best_table(runs: pd.DataFrame) -> pd.DataFrame:
    """For each factor and service: regret at the paper's value, at the best value, and which that is."""
    columns = ["factor", "service", "paper's", "regret", "best", "its regret", "difference"]
    lines = []
    for name, about in FACTORS.items():
        if about.default is None:
            continue
        for service, rows in means(runs, name).groupby("service", sort=False):
            regret = spreads(rows["regret_mean"], rows["regret_high"])
            rows = rows.assign(regret=regret).set_index("value")
            value = rows["regret_mean"].idxmin()
            best, papers = rows.loc[value], rows.loc[about.default, "regret"]
            cell = (best["lam"], best["arrival_rate"])
            difference = paired_difference(runs, name, cell, value)
            found = (f"{about.default:g}", papers, f"{value:g}", best["regret"], difference)
            lines.append((name, service, *found))
    return pd.DataFrame(lines, columns=columns)


def paired_difference(
    runs: pd.DataFrame, name: str, cell: tuple[float, float], value: float
) -> str:
    """Regret at `value` less that at the paper's value on the same seeds, with half its interval."""
    default = FACTORS[name].default
    if value == default:
        return "-"
    rows = select(runs, factor=name, lam=cell[0], arrival_rate=cell[1])
    table = rows.pivot(index="seed", columns="value", values="regret")
    found = interval(table[value] - table[default])
    return spread(found.mean, found.high - found.mean, sign="+")


CELLS = (Cell(1, 5.0, 0.5), Cell(1, 0.0, 0.7))
# Seeds that no reported experiment uses: a setting may be chosen by what is seen here.
ROUTERBENCH = study("sensitivity-routerbench", "routerbench", CELLS, (62, 63, 64), 5000)
STAND_IN = study("sensitivity-standin", "routerbench-standin", CELLS[:1], (62, 63), 3000)
STUDIES = {study.name: study for study in (ROUTERBENCH, STAND_IN)}
