"""Verdicts: an estimate with its interval against a criterion that was fixed before the run."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from ..files import write_text

HOLDS, FAILS, OUT_OF_REACH = "holds", "fails", "out of reach at this T"


@dataclass(frozen=True)
class Verdict:
    """What a check found.

    Attributes
    ----------
    id : number of the prediction. prediction : what the theory says, in one line.
    estimate, low, high : the number judged and its 95% interval (equal where it is exact).
    criterion : when the prediction holds, and when it fails.
    verdict : "holds", "fails" or "out of reach at this T".
    note : what qualifies it; for one out of reach, the size that would decide it.
    setting : the setting of the run, "ci", "quick" or "full".
    """

    id: str
    prediction: str
    estimate: float
    low: float
    high: float
    criterion: str
    verdict: str
    note: str = ""
    setting: str = ""

    def __post_init__(self) -> None:
        if self.verdict not in (HOLDS, FAILS, OUT_OF_REACH):
            raise ValueError(f"verdict: found {self.verdict!r}")


@dataclass(frozen=True)
class Check:
    """A verdict and the table behind it (what a notebook prints and plots)."""

    verdict: Verdict
    table: pd.DataFrame


def interval(values: np.ndarray, level: float = 0.95) -> tuple[float, float, float]:
    """Mean and t-interval over independent values, shape (n,): (mean, low, high).

    Raises
    ------
    ValueError
        Fewer than two values.
    """
    values = np.asarray(values, float)
    if values.size < 2:
        raise ValueError(f"values: found {values.size}, expected at least 2")
    half = stats.sem(values) * stats.t.ppf(0.5 + level / 2.0, values.size - 1)
    return float(values.mean()), float(values.mean() - half), float(values.mean() + half)


def proportion(hits: int, trials: int, level: float = 0.95) -> tuple[float, float, float]:
    """Share and its exact (Clopper-Pearson) interval: (share, low, high)."""
    result = stats.binomtest(hits, trials).proportion_ci(level)
    return hits / trials, float(result.low), float(result.high)


def exact(holds: bool) -> str:
    """The verdict on a statement that arithmetic or every path decides."""
    return HOLDS if holds else FAILS


def at_most(low: float, high: float, bound: float, widest: float) -> str:
    """The verdict on an upper bound: a smaller value holds, an interval too wide decides nothing.

    Fails where the whole interval lies above `bound`; else holds where the interval is at most
    `widest` wide, and is out of reach where it is wider.
    """
    if low > bound:
        return FAILS
    return HOLDS if high - low <= widest else OUT_OF_REACH


def near(low: float, high: float, value: float, widest: float) -> str:
    """The verdict on an equality: the interval covers `value` and is at most `widest` wide."""
    if not low <= value <= high:
        return FAILS
    return HOLDS if high - low <= widest else OUT_OF_REACH


def told(check: Check, decimals: int = 3) -> str:
    """The table of a check and its verdict, as text to print."""
    v = check.verdict
    numbers = f"{v.estimate:.{decimals}f}"
    if v.low != v.high:
        numbers += f" ({v.low:.{decimals}f} to {v.high:.{decimals}f})"
    return (
        f"{check.table.round(decimals).to_string(index=False)}\n\n"
        f"{v.id} {v.verdict.upper()}: {numbers}\n"
        f"criterion: {v.criterion}\n{v.note}"
    )


def committed(path: Path) -> pd.DataFrame:
    """The verdicts in a file that :func:`write` made: id, estimate, low, high, verdict, setting."""
    rows = pd.DataFrame(json.loads(path.read_text(encoding="utf-8")))
    return rows[["id", "estimate", "low", "high", "verdict", "setting"]]


def summary(checks: list[Check]) -> pd.DataFrame:
    """The closing table, one row per verdict, numbers rounded for print."""
    rows = [
        {
            "id": v.id,
            "prediction": v.prediction,
            "estimate": f"{v.estimate:.3g}",
            "95% interval": f"{v.low:.3g} to {v.high:.3g}",
            "verdict": v.verdict,
        }
        for v in (check.verdict for check in checks)
    ]
    return pd.DataFrame(rows)


def write(path: Path, checks: list[Check]) -> None:
    """Write the verdicts as a JSON list, whole or not at all; numbers to 6 digits."""
    rows = []
    for check in checks:
        row = dataclasses.asdict(check.verdict)
        for name in ("estimate", "low", "high"):
            # JSON has no NaN: a slope that does not exist is null.
            row[name] = float(f"{row[name]:.6g}") if np.isfinite(row[name]) else None
        rows.append(row)
    write_text(path, json.dumps(rows, indent=1, ensure_ascii=False) + "\n")
