"""Statistics of results tables: intervals over seeds, paired differences, many comparisons, slopes."""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from .metrics import CELL

CONFIDENCE = 0.95
MEASURES = ("regret", "gap")  # what gets an interval
SERVICE_KEYS = [*CELL, "policy", "view", "place", "part"]
SUMMARY_COLUMNS = [*CELL, "policy", "seeds", "t"]
SUMMARY_COLUMNS += [f"{measure}_{part}" for measure in MEASURES for part in ("mean", "low", "high")]
SUMMARY_COLUMNS += ["queue_mean", "repeat_share", "seconds_per_run"]


def summarise(tidy: pd.DataFrame) -> pd.DataFrame:
    """Means over seeds, a row per cell, policy and t; the columns are :data:`SUMMARY_COLUMNS`.

    `_low` and `_high` bound a 95% t-interval for the mean (NaN for one seed). `repeat_share` is the
    mean of the runs' shares, over the runs that have one.
    """
    groups = tidy.groupby([*CELL, "policy", "t"], sort=False, dropna=False)
    summary = groups.agg(
        seeds=("seed", "nunique"),
        queue_mean=("queue_mean", "mean"),
        repeat_share=("repeat_share", "mean"),
        seconds_per_run=("seconds", "mean"),
    )
    summary = summary.assign(**intervals(groups, MEASURES, summary["seeds"]))
    return summary.reset_index()[SUMMARY_COLUMNS]


def paired(tidy: pd.DataFrame, against: str = "ACQB", t: int | None = None) -> pd.DataFrame:
    """Differences to the policy `against` on the same seeds, a row per cell and other policy.

    Runs of one seed share pool, arrivals and outcome draws, so their difference varies less than
    either, and its interval is the one to compare policies by.

    Parameters
    ----------
    t : the round to compare after; by default the last.

    Returns
    -------
    Columns of the cell, `policy`, `seeds`, `t`, and for each measure (`regret`, `gap`):
    `<measure>_difference`, the mean of policy minus `against`, `_low` and `_high`, its 95% t-interval.

    Raises
    ------
    ValueError
        No row at `t`, or a cell or seed without a run of `against`.
    """
    t = int(tidy["t"].max()) if t is None else t
    rows = tidy[tidy["t"] == t]
    if rows.empty:
        raise ValueError(f"t: found {t}, expected one of the rounds in the table")
    table = differences(rows, against, CELL, MEASURES)
    table.insert(len(CELL) + 1, "t", t)
    return table


def differences(
    rows: pd.DataFrame, against: str, cell: Sequence[str], measures: Sequence[str]
) -> pd.DataFrame:
    """Differences of measures to the policy `against` on the same seeds, by cell and other policy.

    `rows` has one row for each cell, policy and seed. The columns are those of :func:`paired`, for these
    measures and without `t`.

    Raises
    ------
    ValueError
        A cell or a seed without a run of `against`.
    """
    base = rows[rows["policy"] == against].set_index([*cell, "seed"])[list(measures)]
    others = rows[rows["policy"] != against]
    keys = pd.MultiIndex.from_frame(others[[*cell, "seed"]])
    if not keys.isin(base.index).all():
        raise ValueError(f"against: a cell or a seed has no run of {against!r}")
    difference = others[list(measures)] - base.loc[keys].to_numpy()
    groups = difference.groupby([others[key] for key in [*cell, "policy"]], sort=False)
    seeds = groups.size()
    found = intervals(groups, measures, seeds, "difference")
    return pd.DataFrame({"seeds": seeds, **found}).reset_index()


def intervals(
    groups: Any, measures: Sequence[str], count: pd.Series, mean_of: str = "mean"
) -> dict[str, pd.Series]:
    """Of each measure `_mean`, `_low` and `_high` per group: a 95% t-interval for the mean.

    Parameters
    ----------
    groups : a pandas group-by whose rows are one value each. count : how many there are.
    mean_of : what `_mean` is called instead, for means of something else than the measure itself.
    """
    columns = {}
    for measure in measures:
        mean, half = groups[measure].mean(), half_width(groups[measure].std(), count)
        columns[f"{measure}_{mean_of}"] = mean
        columns[f"{measure}_low"], columns[f"{measure}_high"] = mean - half, mean + half
    return columns


def half_width(deviation: Any, count: Any, confidence: float = CONFIDENCE) -> Any:
    """Half the t-interval of a mean of `count` values; NaN for a single value.

    Both are a number each, or a series with a value for each mean; so is the result.
    """
    freedom = np.where(count > 1, count - 1, np.nan)
    return stats.t.ppf(0.5 + confidence / 2, freedom) * deviation / np.sqrt(count)


def over_seeds(rows: pd.DataFrame, by: str | list[str], value: str) -> pd.DataFrame:
    """The mean of a value over the rows of each group with its 95% t-interval (:func:`intervals`).

    `seeds` counts the rows that have a value.
    """
    groups = rows.groupby(by, sort=False)
    count = groups[value].count()
    return pd.DataFrame({"seeds": count, **intervals(groups, (value,), count)}).reset_index()


def service_summary(rows: pd.DataFrame, policies: Collection[str]) -> pd.DataFrame:
    """Means over seeds of the shares of runs, columns :data:`SERVICE_KEYS` and of :func:`over_seeds`.

    Parameters
    ----------
    rows : of a study (:func:`cqb.runs.shares_of`); rows without a view are left out. Runs without a
        share are left out of its mean, models that no run offers out of the table.
    policies : those to report.
    """
    runs = rows[rows["view"].notna() & rows["policy"].isin(policies)]
    table = over_seeds(runs.astype({"place": np.int64, "K": np.int64}), SERVICE_KEYS, "share")
    return table[(table["view"] != "models") | (table["share_mean"] > 0)].reset_index(drop=True)


class Interval(NamedTuple):
    """A mean of n values with its 95% t-interval, which is NaN for a single value."""

    mean: float
    low: float
    high: float
    n: int


def interval(values: Any, confidence: float = CONFIDENCE) -> Interval:
    """The mean of `values`, (n,) float, with its t-interval; NaN among them are left out."""
    series = pd.Series(np.asarray(values, dtype=float)).dropna()
    mean, half = float(series.mean()), float(half_width(series.std(), series.size, confidence))
    return Interval(mean, mean - half, mean + half, series.size)


def final(tidy: pd.DataFrame) -> pd.DataFrame:
    """The rows of a results table after its last round."""
    return tidy[tidy["t"] == tidy["t"].max()]


def final_summary(tidy: pd.DataFrame) -> pd.DataFrame:
    """:func:`summarise` after each data set's last round, rounded to nine decimals: for a CSV file.

    The oracle's regret is 0 up to rounding; what rounding leaves is no result.
    """
    last = tidy.groupby("dataset")["t"].transform("max")
    return summarise(tidy[tidy["t"] == last]).round(9)


def holm(p: np.ndarray, level: float = 0.05) -> np.ndarray:
    """The hypotheses that Holm's step-down rule (1979) rejects at a family-wise error of `level`.

    The k-th smallest p must not exceed ``level / (m - k + 1)``, nor any smaller one its own bound.

    Parameters
    ----------
    p : (m,) float, in any order; a NaN is not rejected.

    Returns
    -------
    (m,) bool.
    """
    p = np.where(np.isnan(p), 1.0, p)
    order = np.argsort(p, kind="stable")
    passed = p[order] <= level / (len(p) - np.arange(len(p)))
    rejected = np.zeros(len(p), dtype=bool)
    rejected[order] = np.cumprod(passed).astype(bool)
    return rejected


def paired_p(differences: Any) -> float:
    """The p-value of a two-sided paired t-test on `differences`, (n,) float."""
    return float(stats.ttest_1samp(np.asarray(differences, dtype=float), 0.0).pvalue)
