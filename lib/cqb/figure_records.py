"""One file with the records of all figures: ``manifest.json`` in the figures folder."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from . import paths
from .files import write_text

NAME = "manifest.json"
VOLATILE = ("created", "git", "machine", "packages", "python", "cqb")  # differ where no number does


def read(figure: str, folder: Path | None = None) -> dict[str, Any]:
    """The record of a figure, named by its path in the figures folder without its ending.

    Raises
    ------
    ValueError
        There is none; the message names the file.
    """
    path = (folder or paths.figures_dir()) / NAME
    records = _records(path)
    if figure not in records:
        raise ValueError(f"{figure}: no stored table and no record in {path}")
    return records[figure]


def write(figure: Path, record: Mapping[str, Any], folder: Path | None = None) -> None:
    """Write the record of the figure at `figure` (a path without ending) into the manifest.

    An old record stays if it differs only in when, where and with which commit it was made. Several
    processes may write at once.

    Parameters
    ----------
    folder : of the manifest; by default the figures folder, or the figure's own outside it.
    """
    home = folder or paths.figures_dir()
    if not figure.is_relative_to(home):
        home = figure.parent
    name = figure.relative_to(home).as_posix()
    path = home / NAME
    with _locked(home):
        records = _records(path)
        if _lasting(records.get(name, {})) != _lasting(record):
            records[name] = dict(record)
            text = json.dumps(dict(sorted(records.items())), indent=1, sort_keys=True)
            write_text(path, text + "\n")


def _records(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}


def _lasting(record: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key not in VOLATILE}


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let one process at a time write in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
