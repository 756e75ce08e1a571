"""Result tables that are kept with the code, and used only as long as they hold.

A stored table is a Parquet file of tidy rows with a JSON record beside it. The record holds the key
(settings, data and code that decide the rows), the sha256 of the file, and where it was made. A
table is used only where its key is the one asked for, so a stored result never outlives its code.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pandas as pd

from .. import experiment
from .code_hash import code_hash
from .metrics import CELL, COLUMNS
from .provenance import data_hash, digest
from .run_store import policy_code
from .settings import YARDSTICK, Settings
from .stored import (
    Record,
    StaleResultsWarning,
    place,
    read_stored,
    write_record,
    write_table,
)
from .summary import paired, summarise
from .task import World

__all__ = ["Record", "as_stored", "key", "load", "paired", "results", "store", "summarise"]

FORMAT = "cqb results 1"
# What is stored for a column; everything else stays as it is. 24 bits are more than any plot shows.
STORED_AS = {
    **dict.fromkeys(("regret", "queue_mean", "repeat_share", "dollars"), "float32"),
    **dict.fromkeys(("wait_over_100", "seconds"), "float32"),
    **dict.fromkeys(("K", "seed", "t", "queue", "gap", "served"), "int32"),
}
WIDE = {"float32": "float64", "int32": "int64"}


def results(
    settings: Settings, world: World, *, folder: Path | None = None, **how: Any
) -> pd.DataFrame:
    """The tidy table of an experiment: the stored one if it still holds, else a new sweep.

    One printed line says which of the two it is. Numbers are as stored (:func:`as_stored`) either
    way. A new table is not stored: only :mod:`cqb.artifact.reproduce` does that.

    Parameters
    ----------
    folder : of stored tables, by default `results` in the data folder.
    how : passed on to :func:`cqb.experiment.sweep`.
    """
    name = settings.dataset
    try:
        tidy, record = load(name, folder)
    except FileNotFoundError:
        reason = "no table is stored"
    except ValueError as error:
        warnings.warn(f"{error}; its runs are made again", StaleResultsWarning, stacklevel=2)
        reason = "the stored table is damaged"
    else:
        if record["key"] == key(settings, world):
            print(f"{name}: {record['runs']} runs, from the stored table")
            return tidy
        reason = "the stored table is of other settings, data or code"
    print(f"{name}: running {len(settings.tasks())} runs ({reason})", flush=True)
    return as_stored(experiment.sweep(settings, world, **how))


def store(
    tidy: pd.DataFrame,
    settings: Settings,
    world: World,
    *,
    folder: Path | None = None,
    **about: Any,
) -> Path:
    """Write a table and its record (with `about` added), each whole or not at all.

    Raises OSError if the folder cannot be written to.
    """
    path = place(settings.dataset, folder)
    write_record(
        path.with_suffix(".json"),
        format=FORMAT,
        key=key(settings, world),
        sha256=write_table(path, tidy.astype(STORED_AS)),
        rows=len(tidy),
        runs=int(tidy.groupby([*CELL, "policy"])["seed"].nunique().sum()),
        dataset=world.name,
        stand_in=world.stand_in,
        settings=settings,
        **about,
    )
    return path


def load(name: str, folder: Path | None = None) -> tuple[pd.DataFrame, Record]:
    """A stored table, verified, and its record.

    Raises
    ------
    FileNotFoundError
        There is none.
    ValueError
        It is damaged; the message names the file.
    """
    table, record = read_stored(place(name, folder), FORMAT)
    return _widened(table[COLUMNS]), record


def key(settings: Settings, world: World) -> dict[str, str]:
    """What decides a table: hashes of the settings, the data and the code."""
    policies = sorted({*settings.policies, YARDSTICK})
    code = [code_hash("experiment.metrics"), {name: policy_code(name) for name in policies}]
    return {"settings": digest(settings), "data": data_hash(world), "code": digest(code)}


def as_stored(tidy: pd.DataFrame) -> pd.DataFrame:
    """`tidy` with every number as it comes back from a stored table (float32, then widened)."""
    return _widened(tidy.astype(STORED_AS))


def _widened(tidy: pd.DataFrame) -> pd.DataFrame:
    return tidy.astype({column: WIDE[narrow] for column, narrow in STORED_AS.items()})
