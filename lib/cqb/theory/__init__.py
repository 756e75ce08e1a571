"""The theory of contextual queueing bandits as numbered predictions, each with a check.

E1 to E10 are exact statements, R1 to R11 asymptotic ones; sources are arXiv 2601.19300 (logistic
bandits, CQB-eps, CQB-Opt), 2602.02061 (multinomial logit, ACQB) and 2606.09668 (CQB-eta-2), and
our own derivations.

A check has two halves. Its runs are independent tasks, each of which gives rows of measurements
(:class:`Task`). A judgement makes all rows of the check into a table and a verdict (:class:`Check`): an
estimate against a criterion that was fixed before the run.

Closed forms and recursions: :mod:`.laws`. Worlds and runs: :mod:`.worlds`. Checks: :mod:`.exact`,
:mod:`.queueing`, :mod:`.rates` and :mod:`.learning`. :mod:`cqb.studies.theory` lists the predictions and
declares their studies. Notebook 01 presents them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..stats import interval
from ..streams import Streams

HOLDS, FAILS, OUT_OF_REACH = "holds", "fails", "out of reach at this T"
Row = dict[str, float | int | str]


@dataclass(frozen=True)
class Task:
    """One run of a check.

    Attributes
    ----------
    check : the prediction it is for. case : what is varied (a policy, an order of service, a K).
    seed : of the instance and of its streams.
    T : rounds, or several horizons; in a check without rounds the size of the calculation (queries,
        depth, samples).
    """

    check: str
    case: tuple[str | float, ...]
    seed: int
    T: int | tuple[int, ...]

    def __str__(self) -> str:
        return ", ".join([self.check, *map(str, self.case), f"T = {self.T}, seed {self.seed}"])


@dataclass(frozen=True)
class Check:
    """What a check found.

    Attributes
    ----------
    prediction : what the theory says, in one line.
    table : the numbers behind the verdict, which a notebook prints and plots.
    estimate, low, high : the number judged and its 95% interval (equal where it is exact).
    criterion : when the prediction holds, and when it fails.
    verdict : "holds", "fails" or "out of reach at this T".
    note : what qualifies it; for one out of reach, the size that would decide it.
    id : number of the prediction.
    setting : name of the size of the run.
    """

    prediction: str
    table: pd.DataFrame
    estimate: float
    low: float
    high: float
    criterion: str
    verdict: str
    note: str
    id: str = ""
    setting: str = ""


def estimate(row: pd.Series, name: str) -> tuple[float, float, float]:
    """The columns `name`, `low` and `high` of a row."""
    return float(row[name]), float(row["low"]), float(row["high"])


def decided(holds: bool, fails: bool | None = None) -> str:
    """The verdict on a prediction that holds, or fails, or neither: then it is out of reach.

    By default one or the other is true, as arithmetic or every path decides.
    """
    if holds:
        return HOLDS
    return FAILS if fails is None or fails else OUT_OF_REACH


def at_most(low: float, high: float, bound: float, widest: float) -> str:
    """The verdict on an upper bound: holds below it, and where a narrow interval contains it.

    Fails where the whole interval lies above `bound`. An interval that contains it and is wider than
    `widest` decides nothing.
    """
    return decided(high <= bound or (low <= bound and high - low <= widest), low > bound)


def compared(rows: pd.DataFrame, by: Sequence[str], also: Sequence[str] = ()) -> pd.DataFrame:
    """Closed forms against simulated means, with intervals that hold jointly (Bonferroni).

    Parameters
    ----------
    rows : one per run and quantity, with the columns `by`, `predicted` and `simulated`.
    by : columns that name a quantity. also : columns that are the same in all rows of a quantity.

    Returns
    -------
    A row per quantity: `by`, `predicted`, `simulated`, `low`, `high`, `also`.
    """
    groups = rows.groupby(list(by), sort=False)
    level = 1.0 - 0.05 / groups.ngroups
    table = groups[["predicted", *also]].first()
    found = [interval(run["simulated"], level)[:3] for _, run in groups]
    ends = pd.DataFrame(found, table.index, ["simulated", "low", "high"])
    return pd.concat([table[["predicted"]], ends, table[list(also)]], axis=1).reset_index()


def resamples(n: int, count: int, seed: int = 0) -> np.ndarray:
    """Indices of `count` bootstrap resamples of n values: (count, n) int64."""
    return Streams(seed).generator("bootstrap").integers(n, size=(count, n))


def verdict_text(check: Check) -> str:
    """The verdict of a check with its criterion and note, as text to print."""
    numbers = f"{check.estimate:.3f}"
    if check.low < check.high:
        numbers += f" ({check.low:.3f} to {check.high:.3f})"
    verdict = f"{check.id} {check.verdict.upper()}: {numbers}"
    return f"{verdict}\ncriterion: {check.criterion}\n{check.note}"


def records(checks: Sequence[Check]) -> pd.DataFrame:
    """A row per check: id, prediction, estimate, low, high, criterion, verdict, note, setting."""
    table = pd.DataFrame([vars(check) for check in checks]).drop(columns="table")
    table.insert(0, "id", table.pop("id"))
    return table


def summary(checks: Sequence[Check]) -> pd.DataFrame:
    """The closing table, a row per check, numbers rounded for print."""
    rows = []
    for check in checks:
        span = "" if np.isnan(check.low) else f"{check.low:.3g} to {check.high:.3g}"
        rows.append((check.id, f"{check.estimate:.3g}", span, check.verdict))
    return pd.DataFrame(rows, columns=["id", "estimate", "95% interval", "verdict"])
