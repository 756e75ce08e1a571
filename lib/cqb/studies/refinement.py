"""Does contrastive refinement help ACQB? Raw and refined vectors at equal length (notebook 02).

A :class:`Variant` is what the learner is given: raw vectors, or refined ones, of a stated length. Pool,
arrivals, outcomes and the learner's own draws are the same for all variants of a seed. So a refined
variant is compared with raw vectors of its own length, seed by seed (:mod:`.refinement_comparison`).

Length matters by itself: the ridge and the prior draws act on the vector as it comes, so longer vectors
are a weaker ridge. The published form leaves refined vectors at length 19.6 and compares them with raw
ones of length 1.
"""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from ..contrastive import RefinementSettings
from ..contrastive.diagnostics import MEASURES, measures
from ..contrastive.planted import Planted, planted_table
from ..contrastive.refinement import refine_for, refined, refinement_rows, scaled
from ..contrastive.training import Refinement
from ..environment import Environment, from_table
from ..metrics import CELL, COLUMNS, KEYS, REFERENCE, add_gap, checkpoints
from ..policies import LearnerSettings
from ..routing_table import RoutingTable
from ..runs import Cell, play, rows_of
from ..runs import Task as RunTask
from ..study import Study

POOL_SIZE = 1000
CHECKPOINTS = 25
FIRST_SEED = 42
PAPER = RefinementSettings()
LAYER_NORM = PAPER.output**0.5  # length of a vector as the final layer norm leaves it: 19.6
# Of the training, next to the geometry.
TRAINED = ("steps", "first_loss", "last_loss", "anchors", "blank")
GEOMETRY = [*CELL, "policy", "seed", *MEASURES, *TRAINED]
COUNTS = ("t", "queue", "gap", "served")  # stored as floats, for they are empty in the geometry


@dataclass(frozen=True)
class Variant:
    """The vectors that ACQB is given.

    Attributes
    ----------
    name : in the column `policy` of the table. The variant "ORACLE" is the reference, not ACQB.
    refinement : None leaves the vectors raw.
    length : of the vectors; None leaves refined ones at the length of the layer norm's result.
    informed : the projection is trained on the pool itself. It shows what refinement could do; it is
        no policy, since it has seen the scores it is judged by.
    """

    name: str
    refinement: RefinementSettings | None = None
    length: float | None = 1.0
    informed: bool = False

    @property
    def against(self) -> str:
        """The name of the variant with raw vectors of the same length."""
        return raw(self.length or LAYER_NORM).name

    @property
    def has_geometry(self) -> bool:
        """Whether its geometry is measured: other lengths only repeat that of length 1."""
        return self.length == 1.0 and self.name != REFERENCE


def raw(length: float = 1.0) -> Variant:
    """Raw vectors of a length: "raw", "raw x4", "raw x19.6"."""
    return Variant("raw" if length == 1.0 else f"raw x{length:.3g}", length=length)


@dataclass(frozen=True)
class Task:
    """One variant in one cell with one seed, on a planted world or (None) on the study's data."""

    cell: Cell
    seed: int
    variant: Variant
    T: int
    world: Planted | None = None

    def __str__(self) -> str:
        where = f"{self.world.name}, " if self.world else ""
        return f"{where}{self.variant.name}, {self.cell}, seed {self.seed}"


def run(task: Task, data: RoutingTable | None) -> pd.DataFrame:
    """The rows of a run, `t` a round, and below them one of the vectors' geometry, `t` empty."""
    table = planted_table(task.world) if task.world else data
    world = from_table(table, task.seed, task.cell.lam, POOL_SIZE)
    environment, refinement = given(task.variant, table, task.cell.lam, task.seed, world)
    policy = REFERENCE if task.variant.name == REFERENCE else "ACQB"
    ours = RunTask(task.cell, policy, task.seed, task.T, POOL_SIZE, LearnerSettings())
    rows = rows_of(ours, play(ours, environment), table, checkpoints(task.T, CHECKPOINTS))
    rows = rows.assign(policy=task.variant.name)
    if not task.variant.has_geometry:
        return rows
    shape = _geometry(task, table, world, refinement)
    return pd.concat([rows, rows.loc[:0, KEYS[:-1]].assign(**shape)], ignore_index=True)


def given(
    variant: Variant, table: RoutingTable, lam: float, seed: int, world: Environment
) -> tuple[Environment, Refinement | None]:
    """The environment of a seed with the variant's vectors, and their refinement (None: raw).

    `world` is the environment with the table's own vectors.
    """
    if variant.refinement is None:
        return scaled(world, variant.length), None
    settings = variant.refinement.with_(scale=variant.length)
    rows = world.rows if variant.informed else None
    found = refine_for(table, seed, lam, settings, world.pool_size, rows)
    return refined(world, found), found


def _geometry(
    task: Task, table: RoutingTable, world: Environment, refinement: Refinement | None
) -> dict[str, float]:
    """The measures of :mod:`cqb.contrastive.diagnostics` on the pool, and counts of the training."""
    lam, settings, trained = task.cell.lam, task.variant.refinement or PAPER, world.rows
    if not task.variant.informed:
        trained = refinement_rows(table, task.seed, lam, settings, POOL_SIZE)
    if refinement is None:
        return measures(table, lam, world.rows, trained)
    losses, counts = refinement.losses, refinement.counts
    values = (losses.size, losses[0], losses[-1], counts["anchors"], counts["blank"])
    shape = measures(table, lam, world.rows, trained, refinement.apply)
    return shape | dict(zip(TRAINED, map(float, values), strict=True))


def derive(rows: pd.DataFrame) -> pd.DataFrame:
    """All rows but the oracle's, with the gap to its queue."""
    of_run = rows["t"].notna()
    table = pd.concat([add_gap(rows[of_run]), rows[~of_run]])
    return table[table["policy"] != REFERENCE].reset_index(drop=True)


def runs(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of runs in a study's table, columns :data:`cqb.metrics.COLUMNS`."""
    rows = table.loc[table["t"].notna(), COLUMNS]
    return rows.astype(dict.fromkeys(COUNTS, "int64")).reset_index(drop=True)


def geometry(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of the geometry in a study's table, columns :data:`GEOMETRY`.

    There is one for each variant of length 1, cell and seed: the measures of
    :mod:`cqb.contrastive.diagnostics` on the pool, `agreement_trained` on the rows trained on, and for
    refined variants the steps of the training, the first and last loss, anchors and blank prompts.
    """
    return table.loc[table["t"].isna(), GEOMETRY].reset_index(drop=True)


def kind(task: Task) -> Hashable:
    """The stratum of a task: its variant, and the kind of planted world."""
    return task.variant.name, task.world and task.world.nuisance


def cost(task: Task) -> float:
    """Roughly the CPU seconds of a task: the run, the training and the geometry."""
    variant, settings = task.variant, task.variant.refinement
    if variant.name == REFERENCE:
        return 0.2
    # Updates take more steps where vectors are long, or nearly coincide (training stopped early).
    hard = variant.length not in (1.0, 4.0) or bool(settings and settings.patience)
    seconds = (0.4 if task.world else 1.4) * (1.8 if hard else 1.0) * task.T / 5000
    if settings is not None:
        m = POOL_SIZE if variant.informed else settings.rows
        steps = settings.epochs * math.ceil(m / settings.batch)
        seconds += 1e-7 * steps * m * (settings.hidden or 256)
    return seconds + 0.3 * variant.has_geometry


def shortened(study: Study, seeds: int, T: int) -> Study:
    """The study on at most so many of its seeds, with runs of T rounds."""
    last = FIRST_SEED + seeds
    tasks = tuple(replace(task, T=T) for task in study.tasks if task.seed < last)
    return replace(study, tasks=tasks)


# Variants with how many seeds each runs on.
PLAIN = {
    Variant(REFERENCE): 6,
    raw(): 6,
    Variant("refined", PAPER): 6,
    raw(4.0): 6,
    Variant("refined x4", PAPER, length=4.0): 6,
}
MORE = {
    raw(LAYER_NORM): 5,
    Variant("refined as published", PAPER, length=None): 5,
    Variant("linear map", PAPER.with_(hidden=None)): 5,
    Variant("stratified, 10 a model", PAPER.with_(quota=10)): 5,
    Variant("stopped early on held-out rows", PAPER.with_(holdout=0.2, patience=3)): 5,
    Variant("blend, 30% refined", PAPER.with_(blend=0.3)): 5,
    Variant("all 650 rows beside the pool", PAPER.with_(rows=650, epochs=10)): 5,
    Variant("trained on the pool (no policy)", PAPER.with_(epochs=8), informed=True): 3,
}
SMALL = RefinementSettings(hidden=128, output=64)
PLANTED = {
    Variant(REFERENCE): 8,
    raw(): 8,
    Variant("110 rows, 50 steps", SMALL): 8,
    Variant("110 rows, 300 steps", SMALL.with_(epochs=300)): 8,
    Variant("440 rows, 200 steps", SMALL.with_(rows=440)): 8,
}
WORLDS = tuple(
    Planted(nuisance=nuisance, size=size) for nuisance in (4, 56) for size in (0.5, 1.0, 2.0, 4.0)
)


def tasks(
    variants: Mapping[Variant, int],
    cells: Sequence[Cell],
    T: int,
    worlds: Sequence[Planted | None] = (None,),
) -> tuple[Task, ...]:
    """Every variant on its first seeds, in every world and cell."""
    return tuple(
        Task(cell, seed, variant, T, world)
        for world in worlds
        for cell in cells
        for seed in range(FIRST_SEED, FIRST_SEED + max(variants.values()))
        for variant, count in variants.items()
        if seed < FIRST_SEED + count
    )


def study(name: str, data: str | None, of: tuple[Task, ...]) -> Study:
    """The tasks `of` this module as a study whose table is stored."""
    return Study(name, 1, data, of, run, derive=derive, stratum=kind, cost=cost)


REAL, ONE = (Cell(1, 5.0, 0.5), Cell(1, 0.0, 0.7)), (Cell(1, 5.0, 0.5),)
STAND_IN = dict.fromkeys(PLAIN, 5)
STUDIES = {
    one.name: one
    for one in (
        study("refinement-routerbench", "routerbench", tasks({**PLAIN, **MORE}, REAL, 5000)),
        study("refinement-standin", "routerbench-standin", tasks(STAND_IN, ONE, 5000)),
        study("refinement-planted", None, tasks(PLANTED, (Cell(1, 0.0, 0.5),), 2000, WORLDS)),
    )
}
