"""The views of an experiment's runs, kept beside its table of results under a key of their own."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from .. import experiment, paths
from ..routing_table import RoutingTable
from . import results
from .code_hash import code_hash
from .provenance import digest
from .run_store import RunStore
from .settings import Settings
from .stored import place, read_record, read_table, write_record, write_table
from .views import over_seeds, shares

FORMAT = "cqb views 1"
SHARES = ("share_mean", "share_low", "share_high")


def views(settings: Settings, table: RoutingTable, *, folder: Path | None = None) -> pd.DataFrame:
    """The views of an experiment (:func:`.views.over_seeds`): the stored ones if they still hold.

    Else they are taken from the store of runs, where runs that are missing are made first. One printed
    line says which of the two it is.

    Parameters
    ----------
    folder : of stored tables, by default `results` in the data folder.
    """
    name = _name(settings)
    try:
        path = place(name, folder)
        record = read_record(path.with_suffix(".json"), FORMAT)
        if record["key"] == key(settings, table):
            stored = _widened(read_table(path, record["sha256"]))
            print(f"{name}: {record['runs']} runs, from the stored table")
            return stored
        reason = "the stored table is of other settings, data or code"
    except FileNotFoundError:
        reason = "no table is stored"
    except ValueError:
        reason = "the stored table is damaged"
    print(f"{name}: taken from the runs ({reason})", flush=True)
    store = RunStore(paths.runs_dir(), table)
    experiment.sweep(settings, table, store=store)
    return _widened(_narrowed(collect(settings, table, store)))


def collect(settings: Settings, table: RoutingTable, store: RunStore) -> pd.DataFrame:
    """The views of all runs of an experiment that is in `store`, in the order of its settings.

    Raises
    ------
    ValueError
        A run is not in the store; the message names it.
    """
    frames = []
    for task in settings.tasks():
        if task.policy not in settings.policies:
            continue
        run = store.load(task)
        if run is None:
            raise ValueError(f"no run of {task} in {store.folder}; sweep the experiment first")
        cell = {"K": task.cell.K, "lam": task.cell.lam, "arrival_rate": task.cell.arrival_rate}
        frames.append(
            shares(run.trajectory, table.models).assign(
                dataset=table.name, stand_in=table.stand_in, **cell, policy=task.policy
            )
        )
    return over_seeds(pd.concat(frames, ignore_index=True))


def store(
    settings: Settings, table: RoutingTable, runs: RunStore, *, folder: Path | None = None
) -> Path:
    """Write the views of finished runs and their record, each whole or not at all.

    Raises OSError if the folder cannot be written to, and what :func:`collect` raises.
    """
    found = collect(settings, table, runs)
    path = place(_name(settings), folder)
    write_record(
        path.with_suffix(".json"),
        format=FORMAT,
        key=key(settings, table),
        sha256=write_table(path, _narrowed(found)),
        rows=len(found),
        runs=sum(task.policy in settings.policies for task in settings.tasks()),
        dataset=table.name,
        stand_in=table.stand_in,
    )
    return path


def key(settings: Settings, table: RoutingTable) -> dict[str, str]:
    """What decides the views: what decides the runs, and how they are looked at."""
    runs = results.key(settings, table)
    return {**runs, "code": digest([runs["code"], code_hash("experiment.views")])}


def _name(settings: Settings) -> str:
    return f"{settings.dataset}-views"


def _narrowed(table: pd.DataFrame) -> pd.DataFrame:
    return table.astype(dict.fromkeys(SHARES, "float32"))


def _widened(table: pd.DataFrame) -> pd.DataFrame:
    return table.astype(dict.fromkeys(SHARES, "float64"))
