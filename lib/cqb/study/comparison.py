"""Comparison of new rows with the stored ones, to the digit on the same kind of processor.

Another kind of processor adds numbers up in another order, so the last digits differ there. Training in
single precision enlarges them to a relative 3e-4. Once in a while two options are so close that these
digits decide between them, and the run takes another way. There, numbers agree within :data:`CLOSE`, and
a minority of the tasks may have taken other decisions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .provenance import plain, processor_kind
from .store import KEY, Record, by_task

if TYPE_CHECKING:
    from .study import Study

CLOSE = 1e-3  # relative (absolute below 1), on another kind of processor
DIVERGED = 1 / 3  # largest share of tasks with other decisions, on another kind of processor


@dataclass(frozen=True)
class Comparison:
    """How new rows of some tasks compare with the stored ones.

    Attributes
    ----------
    tasks : how many were compared.
    elsewhere : whether the table was made on another kind of processor.
    differ : by key, the first difference of each task that is not the same to the digit.
    diverged : those of `differ` that are further apart than :data:`CLOSE`.
    """

    tasks: int
    elsewhere: bool
    differ: Mapping[str, str]
    diverged: Mapping[str, str]

    @property
    def agrees(self) -> bool:
        """Whether every task agrees, or enough of them if made on another kind of processor."""
        if self.elsewhere:
            return len(self.diverged) <= DIVERGED * self.tasks
        return not self.differ

    @property
    def named(self) -> Mapping[str, str]:
        """The differences that a reader must know, by key."""
        return self.diverged if self.elsewhere else self.differ

    def __str__(self) -> str:
        if not self.agrees:
            return f"{len(self.named)} DISAGREE"
        if not self.differ:
            return "agree"
        same = self.tasks - len(self.differ)
        close = len(self.differ) - len(self.diverged)
        return (
            f"agree with another kind of processor ({same} to the digit, {close} within {CLOSE:g}, "
            f"{len(self.diverged)} took other decisions)"
        )


def compare(study: Study, record: Record, stored: pd.DataFrame, found: pd.DataFrame) -> Comparison:
    """Compare the rows `found` of some tasks with the `stored` ones, which `record` is of.

    Volatile columns are left out, and the study's own tolerances count everywhere.
    """
    differ = _differences(study, stored, found, 0.0)
    return Comparison(
        tasks=found[KEY].nunique(),
        elsewhere=processor_kind(record["machine"]) != processor_kind(),
        differ=differ,
        diverged=_differences(study, stored, found[found[KEY].isin(list(differ))], CLOSE),
    )


def _differences(
    study: Study, stored: pd.DataFrame, found: pd.DataFrame, relative: float
) -> dict[str, str]:
    new = by_task(found, found[KEY])
    old = by_task(stored, new)
    lines = {key: _difference(study, old.get(key), rows, relative) for key, rows in new.items()}
    return {key: line for key, line in lines.items() if line}


def _difference(study: Study, old: pd.DataFrame | None, new: pd.DataFrame, relative: float) -> str:
    """The first difference between the rows of one task, in words; empty if there is none."""
    if old is None:
        return "not in the stored table"
    compared = [column for column in new.columns if column not in study.volatile]
    if missing := set(compared) - set(old.columns):
        return f"no column {', '.join(sorted(missing))} in the stored table"
    # Columns that belong to rows of other tasks are empty here.
    held = set(old.columns[old.notna().any()]) - set(study.volatile)
    if lost := held - set(new.columns):
        return f"the stored column {', '.join(sorted(lost))} is no longer made"
    if len(old) != len(new):
        return f"found {len(new)} rows, stored are {len(old)}"
    for column in compared:
        before, now = old[column].to_numpy(), new[column].to_numpy()
        wrong = ~_equal(before, now, study.tolerance.get(column, 0.0), relative)
        if wrong.any():
            row = int(np.argmax(wrong))
            return (
                f"{column}: found {plain(now[row])!r}, stored is {plain(before[row])!r} "
                f"(row {row + 1} of the task's {len(new)}; {wrong.sum()} differ)"
            )
    return ""


def _equal(before: Any, now: Any, tolerance: float, relative: float) -> np.ndarray:
    same = (pd.isna(before) & pd.isna(now)) | (before == now)
    numbers = np.issubdtype(now.dtype, np.floating) and np.issubdtype(before.dtype, np.number)
    if (tolerance or relative) and numbers:
        allowed = np.maximum(tolerance, relative * np.maximum(1.0, np.abs(before)))
        same |= np.abs(before - now) <= allowed
    return same
