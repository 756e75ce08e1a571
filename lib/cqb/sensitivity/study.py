"""Running a sensitivity study, run by run, and keeping its table under a hash of all behind it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from ..contrastive.refinement import refined
from ..contrastive.rows import refine_for
from ..environment import Environment, from_table
from ..experiment.code_hash import code_hash
from ..experiment.metrics import measure
from ..experiment.provenance import data_hash, digest
from ..experiment.run_store import RunStore
from ..experiment.stored import (
    Record,
    place,
    read_stored,
    write_record,
    write_table,
)
from ..experiment.task import Cell, Run, Task, World, play
from ..policies import LearnerSettings
from ..routing_table import RoutingTable
from .points import Point, Study

FORMAT = "cqb sensitivity 1"
CODE = (
    "contrastive.refinement",
    "contrastive.rows",
    "experiment.metrics",
    "experiment.task",
    "policies.acqb",
)
KEYS = ["dataset", "stand_in", "factor", "value", "lam", "arrival_rate", "seed"]
MEASURES = ["rate", "capacity", "anchors", "regret", "gap", "queue_mean", "seconds"]


class Results(NamedTuple):
    """The table of a study and the record it came with."""

    runs: pd.DataFrame
    record: Record


def run(study: Study, table: RoutingTable, folder: Path) -> pd.DataFrame:
    """Play the study in this process; finished runs are kept in `folder`, so it can go on.

    Returns
    -------
    Columns :data:`KEYS` and :data:`MEASURES`, a row per point, cell and seed, all after the last
    round. `arrival_rate` names the cell, `rate` is the one that was run; `capacity` is the largest
    that the oracle can serve, in queries per round; `anchors` how many a refinement was trained on.
    """
    rows = [
        row
        for cell in study.cells
        for seed in study.seeds
        for row in _rows(study, table, cell, seed, folder)
    ]
    return pd.DataFrame(rows, columns=[*KEYS, *MEASURES])


def _rows(
    study: Study, table: RoutingTable, cell: Cell, seed: int, folder: Path
) -> Iterator[dict[str, object]]:
    """The rows of one cell and seed."""
    raw = from_table(table, seed, cell.lam, study.pool_size)
    capacity = raw.capacity(cell.K)
    for point in study.points:
        rate = cell.arrival_rate if point.load is None else point.load * capacity
        here = dataclasses.replace(cell, arrival_rate=rate)
        task = Task(here, "ACQB", seed, study.T, study.pool_size, point.learner)
        yardstick = dataclasses.replace(task, policy="ORACLE", learner=LearnerSettings())
        world, anchors = _world(point, table, raw, seed, cell.lam)
        found = _played(task, world, folder)
        oracle = _played(yardstick, table, folder)
        at = np.array([study.T])
        measures = {name: value[0] for name, value in measure(found.trajectory, at, None).items()}
        yield {
            "dataset": table.name,
            "stand_in": table.stand_in,
            "factor": point.factor,
            "value": float(point.value),
            "lam": cell.lam,
            "arrival_rate": cell.arrival_rate,
            "seed": seed,
            "rate": rate,
            "capacity": capacity,
            "anchors": anchors,
            "regret": measures["regret"],
            "gap": float(measures["queue"] - oracle.trajectory.queue[-1]),
            "queue_mean": measures["queue_mean"],
            "seconds": found.seconds,
        }


def _world(
    point: Point, table: RoutingTable, raw: Environment, seed: int, lam: float
) -> tuple[World, float]:
    """What ACQB is run on at a point (the table itself, or its environment with refined vectors), and
    how many anchors the refinement was trained on (NaN without one).
    """
    if point.refinement is None:
        return table, np.nan
    found = refine_for(table, seed, lam, point.refinement, raw.pool_size)
    return refined(raw, found), float(found.counts["anchors"])


def _played(task: Task, world: World, folder: Path) -> Run:
    store = RunStore(folder, world)
    found = store.load(task)
    if found is None:
        found = play(task, world)
        store.save(task, found)
    return found


def key(study: Study, table: RoutingTable) -> dict[str, str]:
    """Hashes of all that decides a study's table: settings, data and code."""
    return {"settings": digest(study), "data": data_hash(table), "code": code_hash(*CODE)}


def store(
    study: Study, table: RoutingTable, runs: pd.DataFrame, folder: Path | None = None
) -> Path:
    """Write the table and its record, the record last. OSError if they cannot be written."""
    path = place(study.name, folder)
    write_record(
        path.with_suffix(".json"),
        format=FORMAT,
        key=key(study, table),
        sha256=write_table(path, runs),
        runs=len(runs),
        dataset=table.name,
        stand_in=table.stand_in,
        settings=study,
    )
    return path


def load(study: Study, folder: Path | None = None) -> Results:
    """The stored table of a study, verified, and its record; one printed line says how it stands.

    Raises
    ------
    FileNotFoundError
        There is none.
    ValueError
        It is damaged; the message names the file.
    """
    runs, record = read_stored(place(study.name, folder), FORMAT)
    now = {"settings": digest(study), "code": code_hash(*CODE)}
    changed = [part for part, value in now.items() if record["key"][part] != value]
    held = f"made with other {' and '.join(changed)}" if changed else "settings and code unchanged"
    print(f"{study.name}: {record['runs']} runs, from the stored table ({held})")
    return Results(runs, record)
