"""The comparison over many cells: resumable, one verified file a run, one tidy table.

As :func:`cqb.experiment.sweep`, with the same store and workers, for a comparison too long to wait for:
what is stored so far can be looked at, and its order keeps it balanced.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import Executor
from pathlib import Path

import pandas as pd

from .. import paths
from ..experiment import results
from ..experiment.metrics import COLUMNS, add_gap, checkpoints
from ..experiment.run_store import RunStore, ensure_writable
from ..experiment.settings import YARDSTICK, Settings
from ..experiment.sweeps import rows_of
from ..experiment.task import Cell, Run, Task, World
from ..experiment.workers import play_all

POLICIES_COMPARED = (
    "ORACLE",
    "ACQB",
    "ACQB-tuned",
    "ACQB-P",
    "ACQB-P-tuned",
    "ACQB-M",
    "ACQB-W",
    "ACQB-MW",
    "ACQB-M-query",
    "ACQB-MW-query",
    "ACQB-M-aged",
    "TS-memory",
    "CYCLE",
    "INFORMED",
    "RANDOM",
)
CELLS = tuple(
    Cell(K, lam, rate)
    for K, rates in ((1, (0.5, 0.6, 0.7)), (2, (0.65, 0.75, 0.85)))
    for rate in rates
    for lam in (0.0, 1.0, 5.0)
)
STAND_IN_CELLS = (Cell(1, 0.0, 0.6), Cell(2, 0.0, 0.75))


def comparison(dataset: str, **changes: object) -> Settings:
    """The comparison on a data set: all cells and 10 seeds; a stand-in's, two cells and 1,500 rounds.

    `changes` are settings to change (:class:`.Settings`).
    """
    settings = Settings(f"beyond-{dataset}", CELLS, POLICIES_COMPARED, tuple(range(42, 52)))
    if dataset.endswith("-standin"):
        settings = settings.with_(cells=STAND_IN_CELLS, T=1500)
    return settings.with_(**changes)


def results_of(settings: Settings, world: World, folder: Path | None = None) -> pd.DataFrame:
    """The stored table if it is of these settings and data, else that of a new sweep in this process.

    One printed line says which it is, and whether the code behind a stored one is the present. A
    damaged table is a ValueError that names its file.
    """
    name = settings.dataset
    try:
        tidy, record = results.load(name, folder)
    except FileNotFoundError:
        reason = "no table is stored"
    else:
        now = results.key(settings, world)
        if all(record["key"][part] == now[part] for part in ("settings", "data")):
            held = "same code" if record["key"]["code"] == now["code"] else "made with other code"
            print(f"{name}: {record['runs']} runs, from the stored table ({held})")
            return tidy
        reason = "the stored table is of other settings or data"
    print(f"{name}: running {len(settings.tasks())} runs ({reason})", flush=True)
    store = RunStore(paths.runs_dir(), world)
    make_runs(settings, world, store)
    return results.as_stored(tidy_table(settings, world, store))


def make_runs(
    settings: Settings,
    world: World,
    store: RunStore,
    *,
    workers: int = 1,
    executor: Executor | None = None,
) -> int:
    """Make and keep the runs that are not in the store yet; returns how many were made.

    `workers` and `executor` are those of :func:`cqb.experiment.workers.play_all`.
    """
    ensure_writable(store.folder)
    missing = [task for task in balanced(settings.tasks()) if store.load(task) is None]
    for task, run in play_all(missing, world, workers=workers, executor=executor):
        store.save(task, run)
    return len(missing)


def balanced(tasks: Sequence[Task]) -> list[Task]:
    """K by K, in it seed by seed: wherever time runs out, all cells and policies have as many seeds."""
    return sorted(tasks, key=lambda task: (task.cell.K, task.seed))


def stored_runs(settings: Settings, store: RunStore) -> Iterable[tuple[Task, Run]]:
    """The runs that are in the store, in the order of the settings.

    Cells and seeds whose oracle is not there yet are left out: the gap subtracts its queue.
    """
    tasks = settings.tasks()
    oracle = {
        (task.cell, task.seed)
        for task in tasks
        if task.policy == YARDSTICK and store.path(task).exists()
    }
    for task in tasks:
        run = store.load(task) if (task.cell, task.seed) in oracle else None
        if run is not None:
            yield task, run


def tidy_table(settings: Settings, world: World, store: RunStore) -> pd.DataFrame:
    """The tidy table of what is in the store (columns :data:`cqb.experiment.metrics.COLUMNS`).

    Raises
    ------
    ValueError
        Nothing is stored.
    """
    at = checkpoints(settings.T, settings.checkpoints)
    frames = [rows_of(task, run, world, at) for task, run in stored_runs(settings, store)]
    if not frames:
        raise ValueError(f"{settings.dataset}: no run is stored in {store.folder}")
    return add_gap(pd.concat(frames, ignore_index=True), YARDSTICK)[COLUMNS]
