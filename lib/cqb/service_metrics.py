"""Service metrics that regret does not show: models offered, retrials of a query, waiting times.

Each is a set of shares, one number a run; over seeds they become means with intervals.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from .metrics import CELL, checkpoints
from .routing_table import RoutingTable
from .runs import Run, Task, World
from .simulate import RETRY, Trajectory
from .stats import intervals

BLOCKS = 10  # blocks of rounds over which offers are counted
AT_LEAST = (0, 1, 2, 3, 5, 10)  # retrials: each class reaches up to the next
ROUNDS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)  # waits looked at
VIEW = ["view", "place", "part"]
KEYS = [*CELL, "policy", *VIEW]
VALUES = ["seeds", "share_mean", "share_low", "share_high"]


def shares(trajectory: Trajectory, models: Sequence[str]) -> pd.DataFrame:
    """The shares of one run: columns `view`, `place`, `part` and `share`, in three views.

    "models": of the places in all assortments of a block of rounds that ends with round `place`, the
    share that the model `part` filled. "retrials": of all queries that arrived, the share that
    retried `place` times (or more, up to the next of :data:`AT_LEAST`), "departed" and still "waiting"
    ones separately. "waits": of the queries that arrived at least `place` rounds before the end, the
    share that was still there `place` rounds later. Shares of nothing are NaN.
    """
    found = [
        ("models", _models(trajectory, models)),
        ("retrials", _retrials(trajectory)),
        ("waits", _waits(trajectory)),
    ]
    return pd.concat([table.assign(view=view) for view, table in found], ignore_index=True)


def rows_of_run(task: Task, finished: Run, world: World) -> pd.DataFrame:
    """The shares of one run as rows of a study: with the cell, the policy and the seed."""
    models = world.models if isinstance(world, RoutingTable) else range(world.n_models)
    found = shares(finished.trajectory, [str(model) for model in models])
    cell = task.cell
    about = {"K": cell.K, "lam": cell.lam, "arrival_rate": cell.arrival_rate}
    about |= {"policy": task.policy, "seed": task.seed}
    return found.assign(dataset=world.name, stand_in=world.stand_in, **about)


def over_seeds(rows: pd.DataFrame, policies: Sequence[str]) -> pd.DataFrame:
    """Means over seeds with 95% t-intervals, columns :data:`KEYS` and :data:`VALUES`.

    Parameters
    ----------
    rows : of a study (:func:`rows_of_run`); rows without a view are left out. Runs without a share
        are left out of its mean, models that no run offers out of the table.
    policies : those to report.
    """
    runs = rows[rows["view"].notna() & rows["policy"].isin(policies)]
    runs = runs.astype({"place": np.int64, "K": np.int64})
    groups = runs.groupby(KEYS, sort=False)
    counted = groups["share"].count().rename("seeds")
    table = pd.DataFrame(
        {"seeds": counted, **intervals(groups, ("share",), counted)}, index=counted.index
    )
    table = table.reset_index()[[*KEYS, *VALUES]]
    return table[(table["view"] != "models") | (table["share_mean"] > 0)].reset_index(drop=True)


def _models(trajectory: Trajectory, models: Sequence[str]) -> pd.DataFrame:
    ends = checkpoints(trajectory.pick.size, BLOCKS)
    offers = np.zeros((ends.size, len(models)))
    rounds, _ = np.nonzero(trajectory.assortment >= 0)
    block = np.searchsorted(ends, rounds + 1)
    np.add.at(offers, (block, trajectory.assortment[trajectory.assortment >= 0]), 1.0)
    with np.errstate(invalid="ignore"):
        share = offers / offers.sum(axis=1, keepdims=True)
    return pd.DataFrame(
        {
            "place": np.repeat(ends, len(models)),
            "part": np.tile(np.array(models, dtype=object), ends.size),
            "share": share.ravel(),
        }
    )


def _retrials(trajectory: Trajectory) -> pd.DataFrame:
    queries = trajectory.arrived.size
    retried = np.bincount(trajectory.query[trajectory.pick == RETRY], minlength=queries)
    group = np.searchsorted(AT_LEAST, retried, side="right") - 1
    gone = trajectory.departed > 0
    parts = {"departed": group[gone], "waiting": group[~gone]}
    counts = [np.bincount(of, minlength=len(AT_LEAST)) for of in parts.values()]
    return pd.DataFrame(
        {
            "place": np.tile(AT_LEAST, len(parts)),
            "part": np.repeat(np.array(list(parts), dtype=object), len(AT_LEAST)),
            "share": np.concatenate(counts) / queries if queries else np.nan,
        }
    )


def _waits(trajectory: Trajectory) -> pd.DataFrame:
    T, arrived, departed = trajectory.pick.size, trajectory.arrived, trajectory.departed
    places = [wait for wait in ROUNDS if wait <= T]
    late = [
        np.mean(((departed == 0) | (departed > arrived + wait))[due]) if due.any() else np.nan
        for wait in places
        for due in [arrived <= T - wait]
    ]
    return pd.DataFrame({"place": places, "part": "still there", "share": late})
