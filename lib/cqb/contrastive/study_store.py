"""Results of a study kept with the code: two Parquet tables and a record that holds their hashes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from ..experiment.code_hash import code_hash
from ..experiment.provenance import data_hash, digest, stamp
from ..experiment.results import as_stored
from ..experiment.stored import place, read_record, read_table, write_record, write_table
from ..routing_table import RoutingTable
from . import study as runner
from .study import Study

FORMAT = "cqb contrastive study 1"
PARTS = ("runs", "geometry")
# What decides a result: the arms and their geometry, the learner, the run and what is measured of it.
CODE = (
    "contrastive.arms",
    "contrastive.planted",
    "contrastive.rows",
    "experiment.metrics",
    "experiment.task",
    "policies.acqb",
)


class Results(NamedTuple):
    """The tables of a study (:func:`cqb.contrastive.study.run`) and the record they came with."""

    runs: pd.DataFrame
    geometry: pd.DataFrame
    record: dict[str, Any]


def key(study: Study, tables: Sequence[RoutingTable]) -> dict[str, str]:
    """Hashes of all that decides a study's results: settings, data and code."""
    return {
        "settings": digest(study),
        "data": digest([data_hash(table) for table in tables]),
        "code": code_hash(*CODE),
    }


def results(study: Study, tables: Sequence[RoutingTable], folder: Path | None = None) -> Results:
    """The stored results if they are of this study and these tables, else new ones.

    One printed line says which of the two they are, and whether stored ones were made with other code
    than the present: a study takes minutes, so that it is made again by its command
    (``python -m cqb.contrastive``) and not by whoever reads it.
    """
    now = key(study, tables)
    try:
        stored = load(study.name, folder)
    except FileNotFoundError:
        reason = "no results are stored"
    else:
        if all(stored.record["key"][part] == now[part] for part in ("settings", "data")):
            print(standing(study, stored.record))
            return stored
        reason = "the stored results are of other settings or data"
    print(f"{study.name}: running it ({reason})", flush=True)
    tidy, geometry = runner.run(study, tables)
    return Results(as_stored(tidy), geometry, stamp(key=now))


def standing(study: Study, record: dict[str, Any]) -> str:
    """One line on stored results: how many runs, and whether settings and code are still theirs."""
    now = key(study, [])
    changed = [part for part in ("settings", "code") if record["key"][part] != now[part]]
    held = f"made with other {' and '.join(changed)}" if changed else "settings and code unchanged"
    return f"{study.name}: {record['count']} runs, from the stored table ({held})"


def store(
    study: Study,
    tables: Sequence[RoutingTable],
    runs: pd.DataFrame,
    geometry: pd.DataFrame,
    folder: Path | None = None,
) -> Path:
    """Write the tables and their record, the record last; returns its path.

    Raises OSError if the folder cannot be written to.
    """
    hashes = {
        part: write_table(_place(study.name, part, folder), frame)
        for part, frame in zip(PARTS, (runs, geometry), strict=True)
    }
    path = place(study.name, folder).with_suffix(".json")
    write_record(
        path,
        format=FORMAT,
        key=key(study, tables),
        sha256=hashes,
        count=int(runs.groupby(["dataset", "lam", "policy"])["seed"].nunique().sum()),
        datasets=[table.name for table in tables],
        stand_in=[table.stand_in for table in tables],
        settings=study,
    )
    return path


def load(name: str, folder: Path | None = None) -> Results:
    """Stored results, verified.

    Raises
    ------
    FileNotFoundError
        There are none.
    ValueError
        A file is damaged; the message names it.
    """
    record = read_record(place(name, folder).with_suffix(".json"), FORMAT)
    runs, geometry = (
        read_table(_place(name, part, folder), record["sha256"][part]) for part in PARTS
    )
    return Results(runs, geometry, record)


def _place(name: str, part: str, folder: Path | None) -> Path:
    return place(f"{name}-{part}", folder)
