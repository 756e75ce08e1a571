"""Experiments: policies on a table or an environment, to one tidy table of results."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from concurrent.futures import Executor

import numpy as np
import pandas as pd
from tqdm import tqdm

from .. import datasets, encoder, paths
from ..environment import Environment
from ..policies import POLICIES, LearnerSettings
from ..routing_table import RoutingTable, split_rows
from .metrics import COLUMNS, add_gap, checkpoints, measure
from .provenance import cores
from .run_store import RunStore, ensure_writable
from .settings import ROUTERBENCH, YARDSTICK, Settings, longest_first, weight
from .task import Cell, Run, Task, World, pool_costs
from .workers import play_all

BAR = "{desc}: {percentage:3.0f}%|{bar}| {elapsed} gone, {remaining} left{postfix}"


def run(
    world: World,
    policies: Iterable[str] | None = None,
    *,
    K: int = 1,
    lam: float = 0.0,
    arrival_rate: float = 0.5,
    T: int = 5000,
    seeds: Iterable[int] = range(42, 52),
    learner: LearnerSettings | None = None,
    pool_size: int = 1000,
    checkpoints: int = 50,
    workers: int = 1,
    executor: Executor | None = None,
    progress: bool | None = None,
) -> pd.DataFrame:
    """Run policies in one setting of the service and tell how they fared.

    Parameters
    ----------
    world : an encoded routing table (each seed draws a job pool of `pool_size` rows from it) or an
        environment (used as it is, for every seed).
    policies : printed names in :data:`cqb.POLICIES`; by default the paper's, those that this K and this
        world allow for.
    K : models offered at once. arrival_rate : chance of an arrival in a round. T : rounds.
    lam : weight of a dollar against a point of score; has no meaning for an environment.
    seeds : one run per policy and seed.
    learner : settings of the ACQB family.
    checkpoints : after how many of the rounds to report.
    workers : processes side by side (1: all in this process; with more, a script needs the usual
        ``if __name__ == "__main__"``). executor : takes their place, for instance Dask's.
    progress : show a progress bar; by default where stderr is a terminal.

    Returns
    -------
    A row per policy, seed and checkpoint t, with the columns :data:`.metrics.COLUMNS`; what they
    mean stands in :func:`.metrics.measure`, and `gap` is the queue less that of the oracle.

    Raises
    ------
    ValueError
        A setting is out of range, a policy is unknown or not defined for this K, the table is not
        encoded or too small.
    """
    if isinstance(world, Environment) and lam != 0:
        raise ValueError(f"lam: found {lam}, but an environment has no costs to weigh")
    cell = Cell(K, float(lam), float(arrival_rate))
    if policies is None:
        policies = [
            name
            for name in ROUTERBENCH.policies_in(cell)
            if isinstance(world, RoutingTable) or not POLICIES[name].needs_table
        ]
    settings = Settings(
        world.name,
        (cell,),
        tuple(policies),
        tuple(seeds),
        T,
        pool_size,
        learner or LearnerSettings(),
        checkpoints,
    )
    if left_out := set(settings.policies) - set(settings.policies_in(cell)):
        raise ValueError(
            f"policy: {', '.join(sorted(left_out))} is defined for K = 1 only, found K = {K}"
        )
    return _gather(settings, world, None, workers, executor, progress)


def sweep(
    settings: Settings,
    world: World,
    *,
    store: RunStore | None = None,
    workers: int | None = None,
    executor: Executor | None = None,
    progress: bool | None = None,
) -> pd.DataFrame:
    """Run a whole experiment, keeping every finished run, and return its tidy table.

    Interrupted, it goes on with the next call: runs in the store are verified and not run again.

    Parameters
    ----------
    store : where runs are kept; by default in the folder of sweeps (:func:`cqb.paths.runs_dir`).
    workers : processes side by side; by default one for each core.
    executor, progress, and the table returned : as for :func:`run`.

    Raises
    ------
    ValueError
        As for :func:`run`.
    OSError
        The store cannot be written to.
    """
    store = store or RunStore(paths.runs_dir(), world)
    workers = cores() if workers is None else workers
    return _gather(settings, world, store, workers, executor, progress)


def load_table(name: str) -> RoutingTable:
    """The table of an experiment, encoded.

    A real set is read from the folder that CQB_ROUTERBENCH_DIR (or CQB_SPROUT_DIR, CQB_EMBEDLLM_DIR)
    names, or else from the download.
    Raises what :func:`cqb.datasets.load` and :func:`cqb.encoder.encode_table` raise.
    """
    folder = paths.routerbench_dir() if name == "routerbench" else None
    table = datasets.load(name, folder)
    return table if table.embeddings is not None else encoder.encode_table(table)


def _gather(
    settings: Settings,
    world: World,
    store: RunStore | None,
    workers: int,
    executor: Executor | None,
    progress: bool | None,
) -> pd.DataFrame:
    _check_world(settings, world)
    if store:
        ensure_writable(store.folder)
    at = checkpoints(settings.T, settings.checkpoints)
    frames: dict[Task, pd.DataFrame] = {}
    missing = []
    for task in longest_first(settings.tasks()):
        stored = store.load(task) if store else None
        if stored is None:
            missing.append(task)
        else:
            frames[task] = rows_of(task, stored, world, at)
    with _bar(frames, missing, progress) as bar:
        for task, finished in play_all(missing, world, workers=workers, executor=executor):
            if store:
                store.save(task, finished)
            frames[task] = rows_of(task, finished, world, at)
            bar.set_postfix_str(f"{len(frames)} runs done", refresh=False)
            bar.update(weight(task))
    return _tidy(settings, frames)


def _check_world(settings: Settings, world: World) -> None:
    """Raise before any work what would stop every run."""
    settings.check_models(world.n_models if isinstance(world, Environment) else len(world.models))
    if isinstance(world, RoutingTable):
        if world.embeddings is None:
            raise ValueError(f"{world.name}: no embeddings; encode the table first")
        split_rows(world, settings.seeds[0], pool_size=settings.pool_size)


def rows_of(task: Task, finished: Run, world: World, at: np.ndarray) -> pd.DataFrame:
    """A run's rows of the tidy table, but for the gap: one for each round in `at`, int (n,)."""
    cell = task.cell
    costs = pool_costs(world, task.seed, task.pool_size)
    keys = {
        "dataset": world.name,
        "stand_in": world.stand_in,
        "K": cell.K,
        "lam": cell.lam,
        "arrival_rate": cell.arrival_rate,
        "policy": task.policy,
        "seed": task.seed,
        "t": at,
    }
    return pd.DataFrame(
        {**keys, **measure(finished.trajectory, at, costs), "seconds": finished.seconds}
    )


def _tidy(settings: Settings, frames: dict[Task, pd.DataFrame]) -> pd.DataFrame:
    """All runs in one table, in the order of the settings, whatever the order they ended in."""
    everything = pd.concat([frames[task] for task in settings.tasks()], ignore_index=True)
    tidy = add_gap(everything, YARDSTICK)
    return tidy.loc[tidy["policy"].isin(settings.policies), COLUMNS].reset_index(drop=True)


def _bar(done: Iterable[Task], missing: Iterable[Task], progress: bool | None) -> tqdm:
    """A bar whose time left counts a long run as more than a short one."""
    shown = sys.stderr.isatty() if progress is None else progress
    before, left = sum(map(weight, done)), sum(map(weight, missing))
    return tqdm(total=before + left, initial=before, desc="runs", bar_format=BAR, disable=not shown)
