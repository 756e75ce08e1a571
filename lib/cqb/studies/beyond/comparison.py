"""The comparison of policies with and without memory: its runs, what they show, and its reports.

Many comparisons: where a policy is compared with another in every cell, the cells are a family, and
Holm's step-down rule (1979) decides which differences are significant at a family-wise error of 5%. The
intervals are unadjusted 95% t-intervals of the paired difference; a claim "in every cell" needs Holm.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from dataclasses import asdict
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from ...experiments import Experiment
from ...metrics import LONG_WAIT, REFERENCE, widened
from ...runs import Cell, Run, Task, World
from ...simulate import Trajectory
from ...stats import final, final_summary, holm, interval, kaplan_meier, paired_p
from ...study import Study

POLICIES_COMPARED = (
    *("ORACLE", "ACQB", "ACQB-tuned", "ACQB-P", "ACQB-P-tuned"),
    *("ACQB-M", "ACQB-W", "ACQB-MW", "ACQB-M-query", "ACQB-MW-query", "ACQB-M-aged"),
    *("TS-memory", "CYCLE", "INFORMED", "RANDOM"),
)
CELLS = tuple(
    Cell(K, lam, rate)
    for K, rates in ((1, (0.5, 0.6, 0.7)), (2, (0.65, 0.75, 0.85)))
    for rate, lam in product(rates, (0.0, 1.0, 5.0))
)
STAND_IN_CELLS = (Cell(1, 0.0, 0.6), Cell(2, 0.0, 0.75))
# Rounds at which the distribution of waits is stored.
WAITS = (
    *(1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, LONG_WAIT),
    *(150, 200, 300, 500, 700, 1000, 1500, 2000),
)
CELL = ["K", "lam", "arrival_rate"]


def comparison(data: str, **changes: Any) -> Study:
    """The comparison on a data set: all cells and 10 seeds; on a stand-in two cells and 1,500 rounds.

    Each run has further rows, its distribution of waits (:func:`waiting_table`).

    Parameters
    ----------
    changes : other settings of the :class:`cqb.experiments.Experiment`.
    """
    small = data.endswith("-standin")
    sizes = {"cells": STAND_IN_CELLS, "T": 1500} if small else {"cells": CELLS}
    settings = {"policies": POLICIES_COMPARED, "seeds": tuple(range(42, 52)), **sizes, **changes}
    return Experiment(data, **settings).study(f"beyond-{data}", 1, more=wait_rows)


def waits(run: Trajectory) -> tuple[np.ndarray, np.ndarray]:
    """Rounds waited, int (n,), and whether the query departed, bool (n,); the others wait at round T.

    A wait counts from the round after the arrival, so it is at least 1 on departure.
    """
    T = run.regret.size
    left = run.departed > 0
    return np.where(left, run.departed, T) - run.arrived, left


def wait_rows(task: Task, run: Run, world: World) -> pd.DataFrame:
    """The distribution of the waits in a run, a row for each of :data:`WAITS`."""
    wait, left = waits(run.trajectory)
    about = {"dataset": world.name, "stand_in": world.stand_in, **asdict(task.cell)}
    about |= {"policy": task.policy, "seed": task.seed}
    longer, censored = (
        kaplan_meier(wait, left, WAITS),
        float(np.mean(~left)) if left.size else np.nan,
    )
    return pd.DataFrame({**about, "wait": WAITS, "longer": longer, "censored": censored})


def waiting_table(rows: pd.DataFrame) -> pd.DataFrame:
    """The distributions of waits among the rows of a comparison (:meth:`cqb.study.Study.rows`).

    Returns
    -------
    Columns `K`, `lam`, `arrival_rate`, `policy`, `seed`, `wait` (rounds), `longer` (probability of a
    longer wait) and `censored` (share of the run's queries that still wait at its end).
    """
    columns = [*CELL, "policy", "seed", "wait", "longer", "censored"]
    found = widened(rows.loc[rows["wait"].notna(), columns])
    return found.astype({"wait": "int64"}).reset_index(drop=True)


def final_regret(tidy: pd.DataFrame) -> pd.DataFrame:
    """A row per cell and seed, a column per policy: the regret after the last round."""
    return final(tidy).pivot_table(index=[*CELL, "seed"], columns="policy", values="regret")


def ratios(tidy: pd.DataFrame, policy: str, against: Iterable[str]) -> pd.DataFrame:
    """Final regret of `policy` as a share of others', averaged over cells, with paired intervals.

    Per seed the mean over cells of the two regrets is divided; the interval is a 95% t-interval over
    seeds. Cells with fewer seeds than others are left out: each mean must be over the same cells.

    Returns
    -------
    Columns `policy`, `against`, `cells`, `seeds`, `ratio`, `low`, `high`.
    """
    wide = final_regret(tidy)
    rows = []
    for other in against:
        both = wide[[policy, other]].dropna()
        seeds = both.groupby(level=CELL)[policy].transform("size")
        both = both[seeds == seeds.max()]
        means = both.groupby("seed").mean()
        found = interval(means[policy] / means[other])
        cells = both.groupby(level=CELL).ngroups
        rows.append((policy, other, cells, found.n, found.mean, found.low, found.high))
    return pd.DataFrame(
        rows, columns=["policy", "against", "cells", "seeds", "ratio", "low", "high"]
    )


def by_cell(tidy: pd.DataFrame, policy: str, against: str) -> pd.DataFrame:
    """Paired difference of final regret in every cell, with Holm's verdict over the cells.

    Returns
    -------
    Columns of the cell, `seeds`, `difference` (policy less `against`), `low`, `high`, `p` (two-sided
    paired t-test) and `significant` (rejected by Holm's rule at a family-wise error of 5%).
    """
    wide = final_regret(tidy)[[policy, against]].dropna()
    rows = []
    for cell, values in (wide[policy] - wide[against]).groupby(level=CELL):
        found = interval(values)
        rows.append((*cell, found.n, found.mean, found.low, found.high, paired_p(values)))
    names = [*CELL, "seeds", "difference", "low", "high", "p"]
    table = pd.DataFrame(rows, columns=names)
    return table.assign(significant=holm(table["p"].to_numpy()))


# Largest share of another policy's regret that is aimed at, on average over the cells.
TARGETS = {
    "ACQB": 0.45,
    "ACQB-tuned": 0.70,
    "TS-memory": 0.55,
    "INFORMED": 0.75,
    "ACQB-P-tuned": 0.90,
}


def judge(tidy: pd.DataFrame, policy: str) -> pd.DataFrame:
    """:func:`ratios` to the policies of :data:`TARGETS` that were run, with `target` and `verdict`.

    The verdict is `reached` or `missed`, or `open` where the interval holds the target.
    """
    there = set(tidy["policy"])
    found = ratios(tidy, policy, [name for name in TARGETS if name in there])
    target = found["against"].map(TARGETS)
    missed = np.where(found["low"] > target, "missed", "open")
    return found.assign(target=target, verdict=np.where(found["high"] <= target, "reached", missed))


REPORTED = ("ACQB-M", "ACQB-MW", "ACQB-M-query", "ACQB-MW-query")
STUDIES = (comparison("routerbench"), comparison("persistence-standin"))


def ratio_report(tidy: pd.DataFrame, policy: str) -> pd.DataFrame:
    """A policy with memory against every other, over the cells."""
    others = [p for p in dict.fromkeys(tidy["policy"]) if p not in (REFERENCE, *REPORTED)]
    return ratios(tidy, policy, others)


def cell_report(tidy: pd.DataFrame, policy: str) -> pd.DataFrame:
    """Paired differences to ACQB-tuned, with Holm's verdict."""
    return by_cell(tidy, policy, "ACQB-tuned").assign(policy=policy)


def _report(study: Study, of: Callable[[pd.DataFrame, str], pd.DataFrame] | None) -> pd.DataFrame:
    tidy = study.read()
    if of is None:
        return final_summary(tidy)
    return pd.concat([of(tidy, policy) for policy in REPORTED], ignore_index=True)


BY_POLICY = {"summary": None, "ratios": ratio_report, "targets": judge, "cells": cell_report}
REPORTS = {
    f"{folder}beyond_{name}.csv": functools.partial(_report, study, of)
    for folder, study in zip(("real/", ""), STUDIES, strict=True)
    for name, of in BY_POLICY.items()
}
