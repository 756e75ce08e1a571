"""Recorded arrivals: the Azure LLM inference trace of 2023 and BurstGPT, as their files are laid out.

Azure (https://github.com/Azure/AzurePublicDataset, CC-BY): columns TIMESTAMP (a date and time with seven
decimals), ContextTokens, GeneratedTokens. BurstGPT (https://github.com/HPMLL/BurstGPT): Timestamp
(seconds), Request tokens, Response tokens and others; a failed request has no response tokens, and
whole seconds tie: requests of one time are decided in the order of the file.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cqb.streams import Streams

from .workloads import Workload, requests

AZURE = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
BURSTGPT = ("Timestamp", "Request tokens", "Response tokens")


class MalformedTrace(ValueError):
    """A trace's file is not laid out as published; the message names file, column and row."""


@dataclass(frozen=True, eq=False)
class Trace:
    """T recorded requests: times (T,) in seconds from the first, prompts and lengths (T,) in tokens."""

    name: str
    times: np.ndarray
    prompts: np.ndarray
    lengths: np.ndarray


def read_azure(path: Path | str) -> Trace:
    """The Azure trace of 2023 (conversation or code). Raises MalformedTrace, or OSError."""
    frame = _read(path, AZURE)
    stamps = pd.to_datetime(frame["TIMESTAMP"], errors="coerce", format="ISO8601")
    _refuse(frame["TIMESTAMP"], stamps.isna(), "a date and time")
    seconds = (stamps - stamps.iloc[0]) / pd.Timedelta(seconds=1)
    return _trace(frame, seconds.to_numpy(np.float64))


def read_burstgpt(path: Path | str, *, skip_failed: bool = False) -> Trace:
    """A BurstGPT file. Raises MalformedTrace, or OSError.

    Parameters
    ----------
    skip_failed : leave out requests with 0 response tokens, which failed; else they are an error.
    """
    frame = _read(path, BURSTGPT)
    if skip_failed:
        frame = frame[_numbers(frame["Response tokens"]) != 0]
        if frame.empty:
            raise MalformedTrace(f"{Path(path).name}: found failed requests only")
    times = _numbers(frame["Timestamp"])
    return _trace(frame, times - times[0])


def replay(trace: Trace, rate: float, seed: int, T: int, N: int = 3) -> Workload:
    """T generated requests that arrive as in a window of the trace, stretched to a mean rate per second.

    The seed picks the window and draws the requests. Only the arrivals are those of the trace: it has
    no scores, and one length per request where N experts need N.

    Raises
    ------
    ValueError
        The trace has fewer than T + 1 requests, all of a window arrive together, or the rate is
        not positive.
    """
    if not 0.0 < rate < np.inf:
        raise ValueError(f"rate: found {rate}, expected a positive number per second")
    if not 1 <= T < trace.times.size:
        raise ValueError(f"T: found {T}, expected 1 to {trace.times.size - 1} for {trace.name}")
    streams = Streams(seed)
    start = int(streams.generator("trace window").integers(0, trace.times.size - T))
    times = trace.times[start + 1 : start + T + 1] - trace.times[start]
    if not times[-1] > 0.0:
        raise ValueError(f"{trace.name}: requests {start} to {start + T} arrive all at one time")
    return requests(times * (T / rate / times[-1]), N, streams)


def _read(path: Path | str, columns: tuple[str, ...]) -> pd.DataFrame:
    """The columns of a CSV file as text; the index holds lines and is named after the file."""
    name = Path(path).name
    try:
        frame = pd.read_csv(path, dtype=str, keep_default_na=False, skip_blank_lines=False)
    except pd.errors.EmptyDataError:
        raise MalformedTrace(f"{name}: found no header, expected {columns}") from None
    except (pd.errors.ParserError, UnicodeDecodeError) as error:
        raise MalformedTrace(f"{name}: not readable as CSV ({error})") from error
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
