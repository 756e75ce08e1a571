"""Tables of results, kept with the code, and used for the tasks and data that they are of.

A table is a Parquet file of tidy rows with a JSON record beside it: the key (hashes of the tasks, the
data and the code that decide the rows), the sha256 of the file, and where it was made.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from cqb.experiment.code_hash import code_hash
from cqb.experiment.provenance import digest
from cqb.experiment.stored import place, read_record, read_table, write_record, write_table
from cqb.routing_table import RoutingTable

FORMAT = "cqb port table 1"
COMMAND = "python -m cqb_port"


class StaleTableError(ValueError):
    """A stored table is missing, damaged, or of other tasks or data."""


def key(tasks: Sequence[Any], table: RoutingTable | None, module: str) -> dict[str, str]:
    """What decides a table: hashes of the tasks, the data, and a module with all it imports.

    Without a `table` the data's hash is left out: for results on rows that are not at hand.
    """
    data = {} if table is None else {"data": table.data_hash()}
    return {"tasks": digest(list(tasks)), **data, "code": code_hash(module)}


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


def data_of(name: str, folder: Path | None = None) -> str:
    """The hash of the data that a stored table is of.

    Raises FileNotFoundError without a record, ValueError (naming the file) if it cannot be read.
    """
    return read_record(place(name, folder).with_suffix(".json"), FORMAT)["key"]["data"]


def stored(name: str, key: dict[str, str], folder: Path | None = None) -> pd.DataFrame:
    """A stored table, if it is whole and of the tasks and data asked for.

    One printed line says whether it was made with other code than the present: a study takes minutes, so
    that it is made again by its command, and not by whoever reads it.

    Raises
    ------
    StaleTableError
        It is not; the message says what differs and which command makes it anew.
    """
    path = place(name, folder)
    try:
        record = read_record(path.with_suffix(".json"), FORMAT)
        differs = [part for part, value in key.items() if record["key"].get(part) != value]
        if wrong := [part for part in differs if part != "code"]:
            raise ValueError(f"{path}: made with other {', '.join(wrong)}")
        frame = read_table(path, record["sha256"])
    except (FileNotFoundError, ValueError) as error:
        raise StaleTableError(f"{error}; run {COMMAND}") from error
    held = "made with other code" if differs else "code unchanged"
    print(f"{name}: {record['rows']} rows, from the stored table ({held})")
    return frame
