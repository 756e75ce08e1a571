"""The comparison over many cells: resumable, one verified file a run, one tidy table.

As :func:`cqb.experiment.sweep`, with the same store and workers, for a comparison too long to wait for:
what is stored so far can be looked at, and its order keeps it balanced.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import Executor

import pandas as pd

from ..experiment.metrics import COLUMNS, add_gap, checkpoints
from ..experiment.run_store import RunStore, ensure_writable
from ..experiment.settings import YARDSTICK, Settings
from ..experiment.summary import half_width
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


def comparison(dataset: str, **changes: object) -> Settings:
    """The comparison of this notebook on a data set; `changes` as for :class:`.Settings`."""
    plain = Settings(f"beyond-{dataset}", CELLS, POLICIES_COMPARED, tuple(range(42, 52)))
    return plain.with_(**changes)


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
    """Cell by cell as they come, in it seed by seed: wherever time runs out, all policies are done."""
    cells = {task.cell: place for place, task in reversed(list(enumerate(tasks)))}
    return sorted(tasks, key=lambda task: (cells[task.cell], task.seed))


def stored_runs(settings: Settings, store: RunStore) -> Iterable[tuple[Task, Run]]:
    """The runs that are in the store, in the order of the settings."""
    for task in settings.tasks():
        run = store.load(task)
        if run is not None:
            yield task, run


def tidy_table(settings: Settings, world: World, store: RunStore) -> pd.DataFrame:
    """The tidy table of what is in the store (columns :data:`cqb.experiment.metrics.COLUMNS`).

    Raises
    ------
    ValueError
        Nothing is stored, or a cell and seed lack a run of the oracle, which the gap subtracts.
    """
    at = checkpoints(settings.T, settings.checkpoints)
    frames = [rows_of(task, run, world, at) for task, run in stored_runs(settings, store)]
    if not frames:
        raise ValueError(f"{settings.dataset}: no run is stored in {store.folder}")
    return add_gap(pd.concat(frames, ignore_index=True), YARDSTICK)[COLUMNS]


def ratios(tidy: pd.DataFrame, policy: str, against: Iterable[str]) -> pd.DataFrame:
    """Final regret of `policy` as a share of others', averaged over cells, with paired intervals.

    Per seed the mean over cells of the two regrets is divided; the interval is a 95% t-interval over
    seeds. Cells and seeds that either lacks are left out, and the counts are told.

    Returns
    -------
    Columns `policy`, `against`, `cells`, `seeds`, `ratio`, `low`, `high`.
    """
    final = tidy[tidy["t"] == tidy["t"].max()]
    wide = final.pivot_table(
        index=["K", "lam", "arrival_rate", "seed"], columns="policy", values="regret"
    )
    rows = []
    for other in against:
        both = wide[[policy, other]].dropna().groupby("seed").mean()
        share = both[policy] / both[other]
        half = float(half_width(pd.Series([share.std()]), pd.Series([len(share)]))[0])
        cells = wide[[policy, other]].dropna().reset_index().groupby(["K", "lam", "arrival_rate"])
        mean = float(share.mean())
        rows.append((policy, other, cells.ngroups, len(share), mean, mean - half, mean + half))
    names = ["policy", "against", "cells", "seeds", "ratio", "low", "high"]
    return pd.DataFrame(rows, columns=names)
