"""The one store: a Parquet file and a JSON record a study, and a small file for each finished task.

A stored table holds the rows of all tasks and a column :data:`KEY` that says which task a row is of. A
key is a hash of what a row may depend on, except the code, so rows of another version, other settings or
other data are never found. Whether the code still gives these rows is for :mod:`.replay` to show.
"""

import hashlib
import json
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from .. import paths
from ..files import sha256_file, write_bytes, write_text
from .provenance import source_hash, stamp

KEY = "task"  # the column of a stored table that holds a task's key
Record = dict[str, Any]


class DamagedTableWarning(UserWarning):
    """A stored table or a finished task is damaged; its tasks are run again."""


def place(name: str, folder: Path | None = None) -> Path:
    """Where the table `name` is stored: in `folder`, by default ``results`` in the data folder."""
    return (folder or paths.results_dir()) / f"{name}.parquet"


def read(name: str, folder: Path | None = None) -> tuple[pd.DataFrame, Record | None]:
    """A stored table and its record, verified; no rows and None where there is none, or (with a warning)
    where it is damaged."""
    try:
        return read_verified(name, folder)
    except FileNotFoundError:
        pass
    except ValueError as error:
        warnings.warn(f"{error}; its tasks are run again", DamagedTableWarning, stacklevel=3)
    return pd.DataFrame({KEY: []}), None


def read_verified(name: str, folder: Path | None = None) -> tuple[pd.DataFrame, Record]:
    """A stored table and its record.

    Raises
    ------
    FileNotFoundError
        One of the two files is missing.
    ValueError
        One of the two is damaged; the message names the file.
    """
    path = place(name, folder)
    record = path.with_suffix(".json")
    try:
        about = json.loads(record.read_text(encoding="utf-8"))
        expected, _, _ = about["sha256"], about["version"], about["data"]["hash"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{record}: not the record of a study ({error!r})") from error
    if sha256_file(path) != expected:
        raise ValueError(f"{path}: the content does not match the sha256 in {record.name}")
    rows = pd.read_parquet(path)
    if KEY not in rows:
        raise ValueError(f"{path}: no column {KEY!r}; not the table of a study")
    return rows, about


def write(path: Path, rows: pd.DataFrame, about: Record) -> None:
    """Write a table and then its record, each whole or not at all; OSError if that cannot be done."""
    content = parquet(rows)
    write_bytes(path, content)
    record = stamp(**about, rows=len(rows), sha256=hashlib.sha256(content).hexdigest())
    write_text(path.with_suffix(".json"), json.dumps(record, indent=1) + "\n")


def parquet(rows: pd.DataFrame) -> bytes:
    """A table without its index as the content of a Parquet file."""
    return rows.to_parquet(index=False, compression="zstd")


def artifact_hashes(names: Iterable[str], folder: Path | None = None) -> dict[str, str | None]:
    """The sha256 of files in the results folder, None for one that is missing."""
    files = {name: (folder or paths.results_dir()) / name for name in names}
    return {name: sha256_file(path) if path.exists() else None for name, path in files.items()}


def by_task(stored: pd.DataFrame, keys: Iterable[str]) -> dict[str, pd.DataFrame]:
    """The stored rows of each of `keys` that is there."""
    wanted = stored[stored[KEY].isin(list(keys))]
    return dict(list(wanted.drop(columns=KEY).groupby(wanted[KEY], sort=False)))


def join(known: Mapping[str, pd.DataFrame], keys: Iterable[str]) -> pd.DataFrame:
    """The rows of all tasks in the order of `keys`, with the column :data:`KEY` first."""
    rows = pd.concat({key: known[key] for key in keys}, names=[KEY, "row"])
    return rows.reset_index(level=KEY).reset_index(drop=True)


def select(stored: pd.DataFrame, keys: Iterable[str]) -> pd.DataFrame:
    """The stored rows of `keys` in their order, those that are there."""
    place = stored[KEY].map({key: number for number, key in enumerate(keys)}).dropna()
    return stored.loc[place.sort_values(kind="stable").index].reset_index(drop=True)


class Parts:
    """The finished tasks of a study that is not stored yet, each in a file named by its key.

    They lie in a folder of the code that made them: a task that another version of any module made is
    not found. Files are written whole or not at all, so two processes may fill one folder.
    """

    def __init__(self, name: str) -> None:
        self._study = paths.runs_dir() / name
        self.folder = self._study / source_hash()[:12]

    def read(self, key: str) -> pd.DataFrame | None:
        """The rows of a finished task; None if it is not finished, or (with a warning) damaged."""
        path = self.folder / f"{key}.parquet"
        if not path.exists():
            return None
        try:
            return pd.read_parquet(path)
        except (OSError, ValueError) as error:  # pyarrow's errors are ValueErrors
            warnings.warn(f"{path}: damaged ({error})", DamagedTableWarning, stacklevel=2)
            return None

    def write(self, key: str, rows: pd.DataFrame) -> None:
        """Keep the rows of a finished task; OSError if the folder cannot be written to."""
        write_bytes(self.folder / f"{key}.parquet", parquet(rows))

    def clear(self, keys: Iterable[str]) -> None:
        """Forget the finished tasks of `keys`, whatever code made them.

        Only their own files go: another process may be writing into the same folder.
        """
        for folder in self._study.glob("*/"):
            for key in keys:
                (folder / f"{key}.parquet").unlink(missing_ok=True)
