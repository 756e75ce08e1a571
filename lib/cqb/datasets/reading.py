"""Steps that the loaders of real sets share: find files, check cells, drop gaps, strip preambles."""

import json
import os
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from cqb.datasets.download import ENTRIES
from cqb.files import read_arrays, sha256_file
from cqb.routing_table import RoutingTable

# Texts that count as an empty cell, in lower case.
MISSING = frozenset({"", "nan", "none", "na", "<na>", "null"})


# Rows of one file or of all: their columns have two levels, as :func:`rows` makes them.
Rows = pd.DataFrame


def rows(file: str, numbers: Mapping[str, np.ndarray], **text: Sequence[Any]) -> Rows:
    """The rows of one file, numbered from 0.

    Parameters
    ----------
    numbers : float64 (rows, N) by field, NaN where missing.
    text : the columns `id`, `family`, `prompt`, and any other.

    Returns
    -------
    A table whose columns have two levels: "text" with those of `text` and `place` for messages
    ("part.csv, row 3"), and each field with its N columns.
    """
    places = [f"{file}, row {row}" for row in range(len(text["id"]))]
    parts = {"text": pd.DataFrame({"place": places, **text}, dtype=object)}
    parts |= {field: pd.DataFrame(values) for field, values in numbers.items()}
    return pd.concat(parts, axis=1)


@contextmanager
def readable(path: Path, kind: str) -> Iterator[None]:
    """Turn what a reader of files raises for content that is not of this `kind` into a ValueError.

    Its message names the file. Errors of the system stay: the file is not there, or may not be read.
    """
    try:
        yield
    except (ValueError, OSError, pa.ArrowException) as error:
        if isinstance(error, OSError) and error.errno:
            raise
        raise ValueError(f"{path}: not a readable {kind} file ({error})") from error


def read_csv(path: Path, **options: Any) -> pd.DataFrame:
    """The columns of a CSV file as text; ValueError, naming it, if it is not readable.

    Text only: an id such as "NA" or a prompt such as "null" must stay what it is.
    """
    with readable(path, "CSV"):
        frame = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8", **options)
        if not isinstance(frame.index, pd.RangeIndex):  # pandas takes the first cells for an index
            raise ValueError("its rows have more cells than its header has names")
    return frame


def not_here(message: str, name: str) -> FileNotFoundError:
    """The error for missing files of the data set `name`, with the ways to get them."""
    variable = f"CQB_{name.upper()}_DIR"
    if os.environ.get(variable):
        message += f" ({variable} names this place)"
    how = f"set {variable} to the folder of its files (data/README.md has the sources)"
    if entry := ENTRIES.get(name.lower()):
        does = "downloads them" if entry.pinned else "says how to pin and download them"
        how = f"`make data` {does}; for files at hand, {how}"
    return FileNotFoundError(f"{message}. To get them: {how}")


def read_committed(path: Path, module: str) -> dict[str, np.ndarray]:
    """The arrays of a committed file, verified by its own hash; `module` is the one that makes it.

    Raises FileNotFoundError if the file is not there, ValueError if it is damaged.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: not there; `python -m {module}` makes it")
    return read_arrays(path)


def read_json(path: Path | str, form: str) -> dict[str, Any]:
    """The object in a JSON file; ValueError, naming it, if its entry "format" is not `form`."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: not readable as JSON ({error})") from error
    if not isinstance(content, dict) or content.get("format") != form:
        raise ValueError(f"{path}: not of format {form!r}")
    return content


def need(file: str, columns: Container[str], needed: Iterable[str], otherwise: str) -> None:
    """Raise ValueError, ending in `otherwise`, for the first of the `needed` columns not there."""
    for column in needed:
        if column not in columns:
            raise ValueError(f"{file}: no column {column!r}; {otherwise}")


def same_models(found: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """The models of all files, by file name; ValueError naming two files that differ, and in what."""
    first_file, models = next(iter(found.items()))
    for file, others in found.items():
        if others != models:
            extra = sorted(set(others) ^ set(models))
            raise ValueError(f"{file} and {first_file} differ in their models: {extra}")
    return models


def check_range(
    values: np.ndarray, places: Sequence[str], cell: str, field: str, wanted: str
) -> None:
    """Raise ValueError naming the first of `values` (rows,) out of range; NaN is let through.

    Scores lie in [0, 1]. Numbers of another `field` are at least 0, and are `wanted`.
    """
    high, wanted = (1.0, "a score in [0, 1]") if field == "score" else (np.inf, wanted)
    bad = np.flatnonzero((values < 0) | (values > high) | np.isinf(values))
    if bad.size:
        raise ValueError(f"{places[bad[0]]}: {cell} is {values[bad[0]]}; expected {wanted}")


def complete_rows(
    parts: Sequence[Rows], gaps: Mapping[str, Sequence[str]], kind: str, where: Path, nothing: str
) -> tuple[Rows, dict[str, int | dict[str, int]]]:
    """The rows of all parts that lack no number.

    Parameters
    ----------
    gaps : the reasons to drop a row, in order, with the fields that are then incomplete.
    kind : the word for an id. where, nothing : "WHERE: none of the n NOTHING", if no row is complete.

    Returns
    -------
    The complete rows, and the report's counts `rows_read` and `rows_dropped`.

    Raises
    ------
    ValueError
        No row is complete, or two complete rows have one id; the message names their places.
    """
    found = pd.concat(parts, ignore_index=True)
    dropped, counts = np.zeros(len(found), bool), {}
    for reason, fields in gaps.items():
        lacking = found[list(fields)].isna().any(axis=1).to_numpy()
        counts[reason] = int((lacking & ~dropped).sum())
        dropped |= lacking
    if dropped.all():
        raise ValueError(f"{where}: none of the {len(dropped)} {nothing}")
    kept = found[~dropped].reset_index(drop=True)
    text = kept["text"]
    if (again := text["id"].duplicated()).any():
        name, place = text.loc[again.idxmax(), ["id", "place"]]
        first = text["place"][(text["id"] == name).idxmax()]
        raise ValueError(f"two complete rows with {kind} {name!r}: {first} and {place}")
    return kept, {"rows_read": len(dropped), "rows_dropped": counts}


def strip_preambles(
    prompts: Sequence[str], families: Sequence[str]
) -> tuple[list[str], dict[str, int]]:
    """Remove from each family's prompts the opening lines that all of them share.

    A few-shot preamble is the same for a whole family and often fills the encoder's window, so
    that every prompt gets one vector and nothing can be learnt. The common prefix is removed up to
    and including its last newline; a family of one row, or whose prefix has no newline, is left whole.

    Returns
    -------
    The prompts in the given order, and the number of characters removed in each family.
    """
    removed = {}
    for family, texts in pd.Series(list(prompts)).groupby(np.array(families, object), sort=False):
        shared = os.path.commonprefix(list(texts))  # noqa: RUF071 (texts, character by character)
        removed[family] = shared.rfind("\n") + 1 if len(texts) > 1 else 0
    stripped = [text[removed[family] :] for text, family in zip(prompts, families, strict=True)]
    return stripped, removed


def routing_table(
    name: str,
    models: Sequence[str],
    files: Sequence[Path],
    found: Rows,
    costs: np.ndarray | None,
    report: Mapping[str, Any],
) -> RoutingTable:
    """The table of complete rows, with shared preambles removed.

    `costs` are float64 (rows, N) in US dollars, or None; `report` holds the counts of the reading.
    """
    text = found["text"]
    prompts, removed = strip_preambles(text["prompt"], text["family"])
    hashes = {path.name: sha256_file(path) for path in files}
    return RoutingTable(
        name=name,
        stand_in=False,
        ids=text["id"],
        prompts=prompts,
        families=text["family"],
        models=models,
        scores=found["score"],
        costs=costs,
        report={"files": hashes, **report, "preamble_characters": removed},
    )


def find_files(folder: Path, name: str, patterns: Sequence[str], lacking: str) -> list[Path]:
    """The files of the first of `patterns` (globs below `folder`) that has any, in order.

    Raises
    ------
    FileNotFoundError
        The folder is missing, or none of its files match (`lacking` says what is missing).
    """
    if not folder.is_dir():
        raise not_here(f"{folder}: no such folder of {name} files", name)
    for pattern in patterns:
        if files := sorted(folder.glob(pattern)):
            return files
    raise not_here(f"{folder}: {lacking}", name)
