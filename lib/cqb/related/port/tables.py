"""Tables of results that are kept with the code, and used only as long as they hold.

A table is a Parquet file of tidy rows with a JSON record beside it: the key (hashes of the tasks, the
data and the code that decide the rows), the sha256 of the file, and where it was made.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ...experiment.code_hash import code_hash
from ...experiment.provenance import digest
from ...experiment.stored import place, read_record, read_table, write_record, write_table
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
    path = place(name, folder)
    write_record(
        path.with_suffix(".json"),
        format=FORMAT,
        key=key,
        sha256=write_table(path, frame),
        rows=len(frame),
        dataset=table.name,
        stand_in=table.stand_in,
        **about,
    )
    return path


def stored(name: str, key: dict[str, str], folder: Path | None = None) -> pd.DataFrame:
    """A stored table, if it is whole and its key is the one asked for; one line is printed.

    Raises
    ------
    StaleTableError
        It is not; the message says what differs and which command makes it anew.
    """
    path = place(name, folder)
    try:
        record = read_record(path.with_suffix(".json"), FORMAT)
        differs = [part for part, value in key.items() if record["key"].get(part) != value]
        if differs:
            raise ValueError(f"{path}: made with other {', '.join(differs)}")
        frame = read_table(path, record["sha256"])
    except (FileNotFoundError, ValueError) as error:
        raise StaleTableError(f"{error}; run {COMMAND}") from error
    print(f"{name}: {record['rows']} rows, from the stored table")
    return frame
