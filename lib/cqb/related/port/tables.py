"""Tables of results that are kept with the code, and used only as long as they hold.

A table is a Parquet file of tidy rows with a JSON record beside it: the key (hashes of the tasks, the
data and the code that decide the rows), the sha256 of the file, and where it was made.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ... import paths
from ...experiment.code_hash import code_hash
from ...experiment.provenance import digest, stamp
from ...files import sha256_file, write_bytes, write_text
from ...routing_table import RoutingTable

FORMAT = "cqb port table 1"
COMMAND = "python -m cqb.related.port"


class StaleTableError(ValueError):
    """A stored table is missing, damaged, or was made by other tasks, data or code."""


def key(tasks: Sequence[Any], table: RoutingTable, module: str) -> dict[str, str]:
    """What decides a table: hashes of the tasks, the data, and a module with all it imports."""
    return {"tasks": digest(list(tasks)), "data": table.data_hash(), "code": code_hash(module)}


def store(
    frame: pd.DataFrame,
    name: str,
    key: dict[str, str],
    table: RoutingTable,
    folder: Path | None = None,
    **about: Any,
) -> Path:
    """Write a table and its record, each whole or not at all; OSError if that cannot be done."""
    path = _path(name, folder)
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False, compression="zstd")
    record = stamp(
        format=FORMAT,
        key=key,
        sha256=hashlib.sha256(buffer.getvalue()).hexdigest(),
        rows=len(frame),
        dataset=table.name,
        stand_in=table.stand_in,
        **about,
    )
    # Should the second write fail, hash and file disagree and the table is refused, not trusted.
    write_text(path.with_suffix(".json"), json.dumps(record, indent=2) + "\n")
    write_bytes(path, buffer.getvalue())
    return path


def stored(name: str, key: dict[str, str], folder: Path | None = None) -> pd.DataFrame:
    """A stored table, if it is whole and its key is the one asked for; one line is printed.

    Raises
    ------
    StaleTableError
        It is not; the message says what differs and which command makes it anew.
    """
    path = _path(name, folder)
    try:
        record = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError) as error:
        raise StaleTableError(
            f"{path.name}: no readable record ({error}); run {COMMAND}"
        ) from error
    if record.get("format") != FORMAT:
        raise StaleTableError(f"{path.name}: not of format {FORMAT!r}; run {COMMAND}")
    if differs := [part for part, value in key.items() if record["key"].get(part) != value]:
        raise StaleTableError(f"{path.name}: made with other {', '.join(differs)}; run {COMMAND}")
    if not path.exists() or sha256_file(path) != record["sha256"]:
        raise StaleTableError(f"{path.name}: does not match its sha256; run {COMMAND}")
    print(f"{name}: {record['rows']} rows, from the stored table")
    return pd.read_parquet(path)


def _path(name: str, folder: Path | None) -> Path:
    return (folder or paths.data_dir() / "results") / f"{name}.parquet"
