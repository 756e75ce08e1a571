"""The comparison of policies with and without memory: its runs, what they show, and its reports.

Many comparisons: where a policy is compared with another in every cell, the cells are a family, and
Holm's step-down rule (1979) decides which differences are significant at a family-wise error of 5%. The
intervals are unadjusted 95% t-intervals of the paired difference; a claim "in every cell" needs Holm.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass, replace
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
# CPU seconds of 5,000 rounds at K = 1 and K = 2; the other policies take QUICK.
SECONDS = {
    **dict.fromkeys(("ACQB", "ACQB-P", "ACQB-P-tuned"), (1.3, 6.0)),
    "ACQB-tuned": (2.3, 12.0),
    **dict.fromkeys(("ACQB-M", "ACQB-M-query", "ACQB-M-aged"), (1.6, 3.8)),
    **dict.fromkeys(("ACQB-W", "ACQB-MW", "ACQB-MW-query"), (3.7, 6.2)),
}
QUICK = (0.2, 0.2)
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
    study = Experiment(data, **settings).study(f"beyond-{data}", 1, more=wait_rows)
    return replace(study, cost=seconds)


def seconds(task: Task) -> float:
    """Rough CPU seconds of a run."""
    return SECONDS.get(task.policy, QUICK)[min(task.cell.K, 2) - 1] * task.T / 5000


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
    rows = {
        "dataset": world.name,
        "stand_in": world.stand_in,
        "K": task.cell.K,
        "lam": task.cell.lam,
        "arrival_rate": task.cell.arrival_rate,
        "policy": task.policy,
        "seed": task.seed,
        "wait": WAITS,
        "longer": kaplan_meier(wait, left, WAITS),
        "censored": float(np.mean(~left)) if left.size else np.nan,
    }
    return pd.DataFrame(rows)


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
    names = ["policy", "against", "cells", "seeds", "ratio", "low", "high"]
    return pd.DataFrame(rows, columns=names)


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
    """:func:`ratios` to the policies of :data:`TARGETS` that were run, with `target` and `verdict`.

    The verdict is `reached` or `missed`, or `open` where the interval holds the target.
    """
    there = set(tidy["policy"])
    wanted = [target for target in TARGETS if target.against in there]
    found = ratios(tidy, policy, [target.against for target in wanted])
    shares = np.array([target.share for target in wanted])
    verdict = np.where(
        found["high"] <= shares, "reached", np.where(found["low"] > shares, "missed", "open")
    )
    return found.assign(target=shares, verdict=verdict)


REPORTED = ("ACQB-M", "ACQB-MW", "ACQB-M-query", "ACQB-MW-query")
AGAINST = "ACQB-tuned"


def ratio_report(tidy: pd.DataFrame) -> pd.DataFrame:
    """Each policy with memory against every other, over the cells."""
    others = [p for p in dict.fromkeys(tidy["policy"]) if p not in (REFERENCE, *REPORTED)]
    return pd.concat([ratios(tidy, name, others) for name in REPORTED], ignore_index=True)


def target_report(tidy: pd.DataFrame) -> pd.DataFrame:
    """The targets of each policy with memory."""
    return pd.concat([judge(tidy, name) for name in REPORTED], ignore_index=True)


def cell_report(tidy: pd.DataFrame) -> pd.DataFrame:
    """Paired differences of each policy with memory to ACQB-tuned, with Holm's verdict."""
    frames = [by_cell(tidy, name, AGAINST).assign(policy=name) for name in REPORTED]
    return pd.concat(frames, ignore_index=True)


STUDIES = {
    study.name: study for study in (comparison("routerbench"), comparison("persistence-standin"))
}


def _report(study: str, what: str) -> pd.DataFrame:
    derive = {
        "summary": final_summary,
        "ratios": ratio_report,
        "targets": target_report,
        "cells": cell_report,
    }
    return derive[what](STUDIES[study].read())


REPORTS = {
    f"{folder}beyond_{what}.csv": functools.partial(_report, study, what)
    for folder, study in (("real/", "beyond-routerbench"), ("", "beyond-persistence-standin"))
    for what in ("summary", "ratios", "targets", "cells")
}
