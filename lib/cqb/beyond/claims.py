"""What the comparison shows: ratios with paired intervals, targets, and a rule for many comparisons.

Many comparisons: where a policy is set against another in every cell, the cells are a family, and Holm's
step-down rule (1979) decides which of its differences are told apart at a family-wise error of 5%. The
intervals printed beside are unadjusted 95% t-intervals of the paired difference; a claim "in every cell"
rests on Holm's rule.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from ..experiment.summary import half_width

CELL = ["K", "lam", "arrival_rate"]
LEVEL = 0.05


def final_regret(tidy: pd.DataFrame, value: str = "regret") -> pd.DataFrame:
    """A row per cell and seed, a column per policy: the value after the last round."""
    final = tidy[tidy["t"] == tidy["t"].max()]
    return final.pivot_table(index=[*CELL, "seed"], columns="policy", values=value)


def ratios(tidy: pd.DataFrame, policy: str, against: Iterable[str]) -> pd.DataFrame:
    """Final regret of `policy` as a share of others', averaged over cells, with paired intervals.

    Per seed the mean over cells of the two regrets is divided; the interval is a 95% t-interval over
    seeds. Cells and seeds that either lacks are left out, and the counts are told.

    Returns
    -------
    Columns `policy`, `against`, `cells`, `seeds`, `ratio`, `low`, `high`.
    """
    wide = final_regret(tidy)
    rows = []
    for other in against:
        both = _complete(wide[[policy, other]].dropna())
        means = both.groupby("seed").mean()
        share = means[policy] / means[other]
        half = float(half_width(pd.Series([share.std()]), pd.Series([len(share)]))[0])
        mean = float(share.mean())
        cells = both.groupby(CELL).ngroups
        rows.append((policy, other, cells, len(share), mean, mean - half, mean + half))
    names = ["policy", "against", "cells", "seeds", "ratio", "low", "high"]
    return pd.DataFrame(rows, columns=names)


def _complete(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of the cells that have the most seeds: a mean over cells must be over the same ones."""
    seeds = rows.reset_index().groupby(CELL)["seed"].nunique()
    full = seeds[seeds == seeds.max()].index
    return rows[rows.index.droplevel("seed").isin(full)]


def by_cell(tidy: pd.DataFrame, policy: str, against: str) -> pd.DataFrame:
    """Paired difference of final regret in every cell, with Holm's verdict over the cells.

    Returns
    -------
    Columns of the cell, `seeds`, `difference` (policy less `against`), `low`, `high`, `p` (two-sided
    paired t-test) and `told_apart` (rejected by Holm's rule at a family-wise error of 5%).
    """
    wide = final_regret(tidy)[[policy, against]].dropna()
    difference = (wide[policy] - wide[against]).groupby(level=CELL)
    table = pd.DataFrame({"seeds": difference.size(), "difference": difference.mean()})
    half = half_width(difference.std(), table["seeds"])
    table["low"], table["high"] = table["difference"] - half, table["difference"] + half
    error = difference.std() / np.sqrt(table["seeds"])
    t = (table["difference"] / error).abs()
    table["p"] = 2.0 * stats.t.sf(t, table["seeds"] - 1)
    return table.assign(told_apart=holm(table["p"].to_numpy())).reset_index()


def holm(p: np.ndarray, level: float = LEVEL) -> np.ndarray:
    """Which hypotheses Holm's step-down rule rejects, (m,) bool: the k-th smallest p must not exceed
    ``level / (m - k + 1)``, nor any smaller one its own bound. A NaN is not rejected."""
    p = np.where(np.isnan(p), 1.0, p)
    order = np.argsort(p, kind="stable")
    passed = p[order] <= level / (len(p) - np.arange(len(p)))
    rejected = np.zeros(len(p), dtype=bool)
    rejected[order] = np.cumprod(passed).astype(bool)
    return rejected


@dataclass(frozen=True)
class Target:
    """At most `share` of the regret of `against`, on average over the cells."""

    against: str
    share: float


TARGETS = (
    Target("ACQB", 0.45),
    Target("ACQB-tuned", 0.70),
    Target("TS-memory", 0.55),
    Target("INFORMED", 0.75),
    Target("ACQB-P-tuned", 0.90),
)


def judge(tidy: pd.DataFrame, policy: str) -> pd.DataFrame:
    """The targets that are shares: ratio with interval, and `reached`, `missed`, or `open` where the
    interval holds the target; against those that were run."""
    there = set(tidy["policy"])
    wanted = [target for target in TARGETS if target.against in there]
    found = ratios(tidy, policy, [target.against for target in wanted])
    shares = np.array([target.share for target in wanted])
    verdict = np.where(
        found["high"] <= shares, "reached", np.where(found["low"] > shares, "missed", "open")
    )
    return found.assign(target=shares, verdict=verdict)
