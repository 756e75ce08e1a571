"""Recorded requests: the Azure LLM inference trace of 2023 and BurstGPT, as their files are laid out.

Azure (https://github.com/Azure/AzurePublicDataset, CC BY 4.0): columns TIMESTAMP (a date and time with
seven decimals), ContextTokens, GeneratedTokens. BurstGPT (https://github.com/HPMLL/BurstGPT): Timestamp
(seconds), Request tokens, Response tokens and others; a failed request has no response tokens, and
whole seconds tie: requests of one time are decided in the order of the file. A file with the columns
arrived_at_s, context_tokens, generated_tokens is read as well.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from cqb.arrivals import Trace
from cqb.datasets.reading import not_here, read_csv

AZURE = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
BURSTGPT = ("Timestamp", "Request tokens", "Response tokens")
PLAIN = ("arrived_at_s", "context_tokens", "generated_tokens")


class MalformedTrace(ValueError):
    """A trace's file is not laid out as published; the message names file, column and row."""


def load(folder: Path | str, name: str) -> Trace:
    """The trace in a CSV file, or in the first CSV file of a folder, without failed requests.

    Raises
    ------
    FileNotFoundError
        There is none; the message says how to get it.
    MalformedTrace
        The file is not laid out as one of the three, or a field is wrong.
    """
    folder = Path(folder)
    files = [folder] if folder.is_file() else sorted(folder.rglob("*.csv"))
    if not files:
        raise not_here(f"{folder}: no .csv file of the trace {name}", name)
    return read(files[0])


def read(path: Path | str) -> Trace:
    """The trace in a file, whose header says which layout it has, without failed requests.

    Raises MalformedTrace, or OSError.
    """
    frame = _read(path)
    if frame.columns[0] == AZURE[0]:
        stamps = pd.to_datetime(frame["TIMESTAMP"], errors="coerce", format="ISO8601")
        _refuse(frame["TIMESTAMP"], stamps.isna(), "a date and time")
        return _trace(frame, ((stamps - stamps.iloc[0]) / pd.Timedelta(seconds=1)).to_numpy(float))
    if frame.columns[0] == BURSTGPT[0]:
        frame = frame[_numbers(frame["Response tokens"]) != 0]
        if frame.empty:
            raise MalformedTrace(f"{Path(path).name}: found failed requests only")
    times = _numbers(frame.iloc[:, 0])
    return _trace(frame, times - times[0])


def _read(path: Path | str) -> pd.DataFrame:
    """The columns of a CSV file as text; the index holds lines and is named after the file."""
    name = Path(path).name
    try:
        frame = read_csv(Path(path), skip_blank_lines=False)
    except ValueError as error:
        if isinstance(error.__cause__, pd.errors.EmptyDataError):
            raise MalformedTrace(f"{name}: found no header, expected {AZURE}") from None
        raise MalformedTrace(str(error)) from error
    columns = next((of for of in (AZURE, BURSTGPT, PLAIN) if of[0] in frame.columns), AZURE)
    if missing := [column for column in columns if column not in frame.columns]:
        found = list(frame.columns)
        raise MalformedTrace(f"{name}: found no column {', '.join(missing)} among {found}")
    if frame.empty:
        raise MalformedTrace(f"{name}: found no requests below the header")
    return frame[list(columns)].set_axis((frame.index + 2).rename(name))


def _trace(frame: pd.DataFrame, seconds: np.ndarray) -> Trace:
    """A trace of checked columns: whole tokens of at least 1, times that do not fall."""
    tokens = []
    for column in frame.columns[1:]:
        values = _numbers(frame[column])
        wrong = (values < 1) | (values != np.rint(values))
        _refuse(frame[column], wrong, "whole tokens, at least 1")
        tokens.append(values.astype(np.int64))
    _refuse(frame.iloc[:, 0], np.append(False, np.diff(seconds) < 0), "times in order")
    return Trace(frame.index.name, seconds, *tokens)


def _numbers(column: pd.Series) -> np.ndarray:
    """A column as float64; MalformedTrace at the first field that is not a finite number."""
    values = pd.to_numeric(column, errors="coerce").to_numpy(np.float64)
    _refuse(column, ~np.isfinite(values), "a number")
    return values


def _refuse(column: pd.Series, wrong: np.ndarray, wanted: str) -> None:
    """MalformedTrace at the first wrong field, if there is one."""
    if wrong.any():
        line, found = next(iter(column[wrong].items()))
        where = f"{column.index.name}, line {line}, column {column.name}"
        raise MalformedTrace(f"{where}: found {found!r}, expected {wanted}")
