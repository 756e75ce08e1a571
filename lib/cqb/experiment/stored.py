"""Tables kept with the code: Parquet files, and a JSON record that holds their sha256.

Each file is written whole or not at all. Should only some of them be written, hash and file
disagree, and the table is refused, not trusted.
"""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import pandas as pd

from .. import paths
from ..files import sha256_file, write_bytes, write_text
from .provenance import stamp

Record = dict[str, Any]


class StaleResultsWarning(UserWarning):
    """A stored table is damaged, and its runs are made again."""


def place(name: str, folder: Path | None = None) -> Path:
    """Where the table `name` is kept: in `folder`, by default `results` in the data folder."""
    return (folder or paths.data_dir() / "results") / f"{name}.parquet"


def write_table(path: Path, frame: pd.DataFrame) -> str:
    """Write a table without its index; returns the file's sha256 (hex). OSError if it cannot be."""
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False, compression="zstd")
    write_bytes(path, buffer.getvalue())
    return hashlib.sha256(buffer.getvalue()).hexdigest()


def write_record(path: Path, **about: Any) -> None:
    """Write `about`, stamped with where and when it was made; OSError if it cannot be."""
    write_text(path, json.dumps(stamp(**about), indent=2) + "\n")


def read_record(path: Path, kind: str) -> Record:
    """A record of the format `kind`.

    Raises
    ------
    FileNotFoundError
        There is none.
    ValueError
        It is not JSON or not of that format; the message names the file.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not readable as JSON ({error})") from error
    if record.get("format") != kind:
        raise ValueError(f"{path}: not of format {kind!r}")
    return record


def read_table(path: Path, sha256: str) -> pd.DataFrame:
    """A table, verified.

    Raises
    ------
    FileNotFoundError
        There is none.
    ValueError
        Its content has another sha256; the message names the file.
    """
    if sha256_file(path) != sha256:
        raise ValueError(f"{path}: the content does not match its sha256; the file is damaged")
    return pd.read_parquet(path)


def read_stored(path: Path, kind: str) -> tuple[pd.DataFrame, Record]:
    """The table at `path`, verified, and the record of the format `kind` beside it.

    Raises
    ------
    FileNotFoundError
        One of the two is missing.
    ValueError
        One of the two is damaged; the message names the file.
    """
    record = read_record(path.with_suffix(".json"), kind)
    return read_table(path, record["sha256"]), record


def write_csv(path: Path, table: pd.DataFrame, **about: Any) -> None:
    """Write a table as CSV, numbers to six significant digits, and its record beside it.

    OSError if they cannot be written.
    """
    write_text(path, table.to_csv(index=False, float_format="%.6g", lineterminator="\n"))
    write_record(path.with_suffix(".json"), rows=len(table), **about)
