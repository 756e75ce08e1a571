"""Results of a study kept with the code: two Parquet tables and a record that holds their hashes."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from .. import paths
from ..experiment.code_hash import code_hash
from ..experiment.provenance import data_hash, digest, stamp
from ..experiment.results import as_stored
from ..files import sha256_file, write_bytes, write_text
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
    folder = folder or paths.data_dir() / "results"
    hashes = {}
    for part, frame in zip(PARTS, (runs, geometry), strict=True):
        buffer = io.BytesIO()
        frame.to_parquet(buffer, index=False, compression="zstd")
        hashes[part] = hashlib.sha256(buffer.getvalue()).hexdigest()
        write_bytes(_path(folder, study.name, part), buffer.getvalue())
    record = stamp(
        format=FORMAT,
        key=key(study, tables),
        sha256=hashes,
        count=int(runs.groupby(["dataset", "lam", "policy"])["seed"].nunique().sum()),
        datasets=[table.name for table in tables],
        stand_in=[table.stand_in for table in tables],
        settings=study,
    )
    path = folder / f"{study.name}.json"
    write_text(path, json.dumps(record, indent=2) + "\n")
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
    folder = folder or paths.data_dir() / "results"
    path = folder / f"{name}.json"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not readable as JSON ({error})") from error
    if record.get("format") != FORMAT:
        raise ValueError(f"{path}: not of format {FORMAT!r}")
    for part in PARTS:
        if sha256_file(_path(folder, name, part)) != record["sha256"][part]:
            raise ValueError(
                f"{_path(folder, name, part)}: the content does not match its sha256; it is damaged"
            )
    runs, geometry = (pd.read_parquet(_path(folder, name, part)) for part in PARTS)
    return Results(runs, geometry, record)


def _path(folder: Path, name: str, part: str) -> Path:
    return folder / f"{name}-{part}.parquet"
