"""The study behind notebook 02: ACQB on raw and on refined vectors, side by side at equal length.

An arm is what the learner is given; pool, arrivals, outcomes and the learner's own draws are the same
for all arms of a seed. So an arm is compared with raw vectors of its own length, seed by seed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from .. import paths
from ..environment import Environment, from_table
from ..experiment.metrics import COLUMNS, add_gap, checkpoints, measure
from ..experiment.run_store import RunStore
from ..experiment.task import Cell, Run, Task, play, pool_costs
from ..policies.base import LearnerSettings
from ..routing_table import RoutingTable
from .arms import Arm, geometry_of, given
from .refinement import Refinement
from .rows import refinement_rows
from .settings import RefinementSettings

YARDSTICK = "ORACLE"
FOLDER = "contrastive"  # of runs: every arm and seed is a world of its own
TRAINED = ("steps", "first_loss", "last_loss", "anchors", "blank")


@dataclass(frozen=True)
class Study:
    """Arms, cells and sizes; seeds run from `first_seed`."""

    name: str
    cells: tuple[Cell, ...]
    arms: tuple[Arm, ...]
    T: int = 5000
    pool_size: int = 1000
    first_seed: int = 42
    checkpoints: int = 25
    learner: LearnerSettings = field(default_factory=LearnerSettings)

    def __post_init__(self) -> None:
        names = [arm.name for arm in self.arms]
        for arm in self.arms:
            if names.count(arm.name) > 1:
                raise ValueError(f"arm: {arm.name!r} is named twice")
            base = next((other for other in self.arms if other.name == arm.against), None)
            if base is None or base.refinement is not None or base.seeds < arm.seeds:
                raise ValueError(
                    f"arm {arm.name!r}: found against = {arm.against!r}, expected an arm with raw "
                    f"vectors on at least {arm.seeds} seeds"
                )

    def with_(self, **changes: Any) -> Study:
        """A copy with some settings changed."""
        return replace(self, **changes)

    def on_seeds(self, seeds: int) -> Study:
        """A copy in which no arm runs on more seeds."""
        arms = tuple(replace(arm, seeds=min(arm.seeds, seeds)) for arm in self.arms)
        return self.with_(arms=arms)


def run(study: Study, tables: Sequence[RoutingTable]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Every arm on every table, cell and seed; finished runs are kept and found again.

    Returns
    -------
    The tidy table of runs, whose column `policy` holds the arm (:data:`cqb.experiment.metrics.COLUMNS`),
    and the table of the geometry, a row per table, cell, arm of length 1 and seed: the measures of
    :mod:`.diagnostics` on the pool, `agreement_trained` on the rows trained on, and for refined arms
    steps, the first and last step's loss, and anchors and blank prompts among the training rows.
    """
    runs, geometry = [], []
    for table in tables:
        for cell in study.cells:
            for seed in range(
                study.first_seed, study.first_seed + max(a.seeds for a in study.arms)
            ):
                for frame, shape in _seed(study, table, cell, seed):
                    runs.append(frame)
                    geometry += shape
    tidy = add_gap(pd.concat(runs, ignore_index=True), YARDSTICK)
    tidy = tidy[tidy["policy"] != YARDSTICK][COLUMNS].reset_index(drop=True)
    return tidy, pd.DataFrame(geometry)


def _seed(
    study: Study, table: RoutingTable, cell: Cell, seed: int
) -> Iterator[tuple[pd.DataFrame, list[dict[str, Any]]]]:
    """The oracle and all arms of one seed: rows of the tidy table, and of the geometry."""
    world = from_table(table, seed, cell.lam, study.pool_size)
    known: dict[RefinementSettings, Refinement] = {}
    yield _rows(study, table, cell, seed, YARDSTICK, _play(study, cell, seed, YARDSTICK, world)), []
    for arm in study.arms:
        if seed >= study.first_seed + arm.seeds:
            continue
        here, refinement = given(arm, table, cell.lam, seed, world, known)
        frame = _rows(study, table, cell, seed, arm.name, _play(study, cell, seed, "ACQB", here))
        shape = (
            [_shape(study, arm, table, cell, seed, world, refinement)] if arm.unit_length else []
        )
        yield frame, shape


def _play(study: Study, cell: Cell, seed: int, policy: str, world: Environment) -> Run:
    task = Task(cell, policy, seed, study.T, study.pool_size, study.learner)
    store = RunStore(paths.runs_dir() / FOLDER, world)
    stored = store.load(task)
    if stored is None:
        stored = play(task, world)
        store.save(task, stored)
    return stored


def _rows(
    study: Study, table: RoutingTable, cell: Cell, seed: int, name: str, finished: Run
) -> pd.DataFrame:
    at = checkpoints(study.T, study.checkpoints)
    costs = pool_costs(table, seed, study.pool_size)
    keys = {**_cell(table, cell), "policy": name, "seed": seed, "t": at}
    measured = measure(finished.trajectory, at, costs)
    return pd.DataFrame({**keys, **measured, "seconds": finished.seconds})


def _cell(table: RoutingTable, cell: Cell) -> dict[str, Any]:
    return {
        "dataset": table.name,
        "stand_in": table.stand_in,
        "K": cell.K,
        "lam": cell.lam,
        "arrival_rate": cell.arrival_rate,
    }


def _shape(
    study: Study,
    arm: Arm,
    table: RoutingTable,
    cell: Cell,
    seed: int,
    world: Environment,
    refinement: Refinement | None,
) -> dict[str, Any]:
    """One row of the geometry."""
    settings = arm.refinement or RefinementSettings()
    trained = refinement_rows(table, seed, cell.lam, settings, study.pool_size)
    trained = world.rows if arm.informed else trained
    apply = refinement.apply if refinement else np.asarray
    row = {**_cell(table, cell), "policy": arm.name, "seed": seed}
    row |= geometry_of(table, cell.lam, world.rows, trained, apply)
    if refinement:
        losses, counts = refinement.training.losses, refinement.counts
        ends = (losses.size, losses[0], losses[-1], counts["anchors"], counts["blank"])
        row |= dict(zip(TRAINED, map(float, ends), strict=True))
    return row
