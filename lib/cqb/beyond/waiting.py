"""How long queries wait: an estimator that knows that some still wait when the run ends.

A query that waits at the end of a run has waited at least so long; to drop it, or to take its wait so
far for the whole, makes waits look short for just the policies that starve queries. The product-limit
estimator (Kaplan and Meier, 1958) counts at every wait those who left among those still at risk.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from ..experiment.metrics import LONG_WAIT
from ..experiment.task import Run, Task
from ..simulate import Trajectory

# Rounds at which the distribution is kept.
WAITS = (
    1,
    2,
    3,
    5,
    7,
    10,
    15,
    20,
    30,
    50,
    70,
    LONG_WAIT,
    150,
    200,
    300,
    500,
    700,
    1000,
    1500,
    2000,
)


def waits(run: Trajectory) -> tuple[np.ndarray, np.ndarray]:
    """Rounds waited (n,) and whether the query departed (n,); those still waiting are censored at T.

    A wait counts the serves' rounds from the one after the arrival, so it is at least 1 on departure.
    """
    T = run.regret.size
    left = run.departed > 0
    return np.where(left, run.departed, T) - run.arrived, left


def kaplan_meier(wait: np.ndarray, left: np.ndarray, at: Iterable[int]) -> np.ndarray:
    """Probability that a wait exceeds each of `at`; NaN beyond the longest wait seen.

    Parameters
    ----------
    wait : (n,) rounds. left : (n,) bool, False where the wait is known only to be at least so long.
    """
    wait, left = np.asarray(wait), np.asarray(left, dtype=bool)
    at = np.asarray(list(at))
    if wait.size == 0:
        return np.full(at.size, np.nan)
    times, leaving = np.unique(wait[left], return_counts=True)
    # Who is censored at a time is still at risk then.
    at_risk = wait.size - np.searchsorted(np.sort(wait), times, side="left")
    survival = np.concatenate([[1.0], np.cumprod(1.0 - leaving / at_risk)])
    found = survival[np.searchsorted(times, at, side="right")]
    return np.where(at <= wait.max(), found, np.where(found == 0.0, 0.0, np.nan))


def waiting_table(runs: Iterable[tuple[Task, Run]]) -> pd.DataFrame:
    """The distribution of waits in every run.

    Returns
    -------
    Columns `K`, `lam`, `arrival_rate`, `policy`, `seed`, `wait` (rounds), `longer` (probability of a
    longer wait) and `censored` (share of the run's queries that wait still).
    """
    frames = []
    for task, run in runs:
        wait, left = waits(run.trajectory)
        cell = task.cell
        frames.append(
            pd.DataFrame(
                {
                    "K": cell.K,
                    "lam": cell.lam,
                    "arrival_rate": cell.arrival_rate,
                    "policy": task.policy,
                    "seed": task.seed,
                    "wait": WAITS,
                    "longer": kaplan_meier(wait, left, WAITS),
                    "censored": float(np.mean(~left)) if left.size else np.nan,
                }
            )
        )
    return pd.concat(frames, ignore_index=True)
