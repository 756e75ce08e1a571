"""Per-run metrics: from a trajectory to the columns of a results table, and shares that explain them."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from .checks import whole
from .simulate import RETRY, Trajectory

LONG_WAIT = 100  # rounds
OFTEN = 20  # retrials of a prompt by which a model that could answer it should have been offered
REFERENCE = "ORACLE"  # whose queue the queue-length regret is measured from
KEYS = ["dataset", "stand_in", "K", "lam", "arrival_rate", "policy", "seed", "t"]
MEASURES = ["regret", "queue", "gap", "queue_mean", "repeat_share", "dollars"]
MEASURES += ["served", "wait_over_100", "seconds"]
COLUMNS = KEYS + MEASURES
CELL = KEYS[:5]
BLOCKS = 10  # blocks of rounds over which offers are counted
# Classes of retrials by the number at which they begin; each reaches up to the next.
RETRIALS = {0: "0 retrials", 1: "1", 2: "2", 3: "3 to 4", 5: "5 to 9", 10: "10 or more"}
AT_LEAST = tuple(RETRIALS)
ROUNDS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)  # waits looked at
# What is stored for a column; all others stay as they are. 24 bits are more than any plot shows.
STORED_AS = {
    **dict.fromkeys(("regret", "queue_mean", "repeat_share", "dollars"), "float32"),
    **dict.fromkeys(("wait_over_100", "seconds"), "float32"),
    **dict.fromkeys(("K", "seed", "t", "queue", "gap", "served"), "int32"),
}
WIDE = {"float32": "float64", "int32": "int64"}


def checkpoints(T: int, count: int) -> np.ndarray:
    """`count` rounds evenly spread over 1 to T, the last one T; int64, all T where T <= count.

    Raises
    ------
    ValueError
        T or `count` is no whole number of at least 1.
    """
    for name, value in (("T", T), ("checkpoints", count)):
        whole(name, value, 1)
    return np.unique(-(-np.arange(1, count + 1, dtype=np.int64) * T // count))  # rounded up


def measure(
    trajectory: Trajectory, at: np.ndarray, costs: np.ndarray | None
) -> dict[str, np.ndarray]:
    """Metrics of one run after each of the rounds `at`, all but `gap` and `seconds`.

    Parameters
    ----------
    at : (c,) int, rounds from 1 to T.
    costs : (P, N) float64, dollars of each model on each pool entry, or None if nothing has a price.

    Returns
    -------
    Arrays of shape (c,). `regret`: cumulative routing regret, in departures. `queue`: queries waiting
    after the round. `queue_mean`: its mean over rounds 1 to t. `repeat_share`: of the serves of a
    retrying query, the share that offers a model which had already failed it. `dollars`: spent so
    far, on all models offered. `served`: queries departed so far. `wait_over_100`: of the queries
    that arrived at least 100 rounds ago, the share that had not departed 100 rounds later. Shares of
    nothing, and dollars where nothing has a price, are NaN.
    """
    index = np.asarray(at) - 1
    rounds = np.arange(1, trajectory.regret.size + 1)
    return {
        "regret": np.cumsum(trajectory.regret)[index],
        "queue": trajectory.queue[at].astype(np.int64),
        "queue_mean": (np.cumsum(trajectory.queue[1:]) / rounds)[index],
        "repeat_share": _share(np.cumsum(trajectory.repeat), np.cumsum(trajectory.retrial))[index],
        "dollars": _dollars(trajectory, costs)[index],
        "served": np.cumsum(trajectory.pick >= 0)[index],
        "wait_over_100": _long_waits(trajectory, at),
    }


def add_gap(tidy: pd.DataFrame, reference: str = REFERENCE) -> pd.DataFrame:
    """`tidy` with the column `gap`: the queue minus the reference's on the same arrivals.

    Raises
    ------
    ValueError
        The reference was not run in every cell and with every seed.
    """
    keys = [*CELL, "seed", "t"]
    oracle = tidy.loc[tidy["policy"] == reference].set_index(keys)["queue"]
    queue = oracle.reindex(pd.MultiIndex.from_frame(tidy[keys])).to_numpy()
    if np.isnan(queue.astype(float)).any():
        raise ValueError(f"gap: a cell or a seed has no run of {reference}")
    return tidy.assign(gap=tidy["queue"].to_numpy() - queue)


def lock_ins(trajectory: Trajectory, odds: np.ndarray) -> dict[str, int]:
    """How many prompts failed often in a run while a model that could answer them was never offered.

    A prompt is a pool entry. Often is at least :data:`OFTEN` times, and at least N / K, over all its
    arrivals. A model could answer a prompt that it departs more often than not, with odds above 1 if
    offered alone.

    Parameters
    ----------
    odds : (P, N) of the environment.

    Returns
    -------
    `lock_ins`: prompts retried often to which at least one such model was never offered.
    `served_often`: the same of prompts served often, whether they were picked or retried. It counts a
    prompt that comes often and is answered at once, too.
    """
    served = trajectory.row >= 0
    row, retried = trajectory.row[served], trajectory.pick[served] == RETRY
    offered = np.zeros(odds.shape, bool)
    offered[row[:, None], trajectory.assortment[served]] = True
    enough = max(OFTEN, odds.shape[1] / trajectory.assortment.shape[1])
    missed = ((odds > 1.0) & ~offered).any(axis=1)
    counts = {"lock_ins": row[retried], "served_often": row}
    often = {name: np.bincount(of, minlength=len(odds)) >= enough for name, of in counts.items()}
    return {name: int((of & missed).sum()) for name, of in often.items()}


def narrowed(rows: pd.DataFrame) -> pd.DataFrame:
    """`rows` with the types in which they are stored (:data:`STORED_AS`).

    A column of whole numbers that has gaps, because rows of another kind lie below, stays as it is.
    """
    kinds = {name: STORED_AS[name] for name in rows if name in STORED_AS}
    gaps = {name for name in kinds if rows[name].isna().any()}
    return rows.astype({n: kind for n, kind in kinds.items() if kind == "float32" or n not in gaps})


def widened(rows: pd.DataFrame) -> pd.DataFrame:
    """Stored `rows` with float64 and int64 columns, whose values are unchanged."""
    return rows.astype({name: WIDE[kind] for name, kind in STORED_AS.items() if name in rows})


def results_table(rows: pd.DataFrame, policies: Sequence[str] | None = None) -> pd.DataFrame:
    """The results table of stored rows: the gap to the reference added, columns :data:`COLUMNS`.

    Parameters
    ----------
    policies : those to report; by default all. The reference is left out unless it is one of them.
    """
    tidy = add_gap(widened(rows))
    shown = tidy if policies is None else tidy[tidy["policy"].isin(policies)]
    return shown[COLUMNS].reset_index(drop=True)


def _dollars(trajectory: Trajectory, costs: np.ndarray | None) -> np.ndarray:
    if costs is None:
        return np.full(trajectory.regret.size, np.nan)
    # An idle round has row and models -1: any price will do, it is set to 0.
    prices = costs[trajectory.row[:, None], trajectory.assortment].sum(axis=1)
    return np.cumsum(np.where(trajectory.row >= 0, prices, 0.0))


def _long_waits(trajectory: Trajectory, at: np.ndarray) -> np.ndarray:
    """Shares of queries that had not departed LONG_WAIT rounds after their arrival."""
    arrived, departed = trajectory.arrived, trajectory.departed
    late = (departed == 0) | (departed > arrived + LONG_WAIT)
    due = np.searchsorted(arrived, np.asarray(at) - LONG_WAIT, side="right")
    return _share(np.concatenate([[0], np.cumsum(late)])[due], due)


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=whole > 0)


def shares(trajectory: Trajectory, models: Sequence[str]) -> pd.DataFrame:
    """The shares of one run: columns `view`, `place`, `part` and `share`, in three views.

    "models": of the places in all assortments of a block of rounds that ends with round `place`, the
    share that the model `part` filled. "retrials": of all queries that arrived, the share that
    retried `place` times (or more, up to the next of :data:`AT_LEAST`), "departed" and still "waiting"
    ones separately. "waits": of the queries that arrived at least `place` rounds before the end, the
    share that was still there `place` rounds later. Shares of nothing are NaN.
    """
    found = {"models": _models(trajectory, models)}
    found |= {"retrials": _retrials(trajectory), "waits": _waits(trajectory)}
    tables = [table.assign(view=view) for view, table in found.items()]
    return pd.concat(tables, ignore_index=True)


def _models(trajectory: Trajectory, models: Sequence[str]) -> pd.DataFrame:
    ends = checkpoints(trajectory.pick.size, BLOCKS)
    offers = np.zeros((ends.size, len(models)))
    rounds, _ = np.nonzero(trajectory.assortment >= 0)
    block = np.searchsorted(ends, rounds + 1)
    np.add.at(offers, (block, trajectory.assortment[trajectory.assortment >= 0]), 1.0)
    share = _share(offers, offers.sum(axis=1, keepdims=True))
    part = np.tile(np.array(models, dtype=object), ends.size)
    place = np.repeat(ends, len(models))
    return pd.DataFrame({"place": place, "part": part, "share": share.ravel()})


def _retrials(trajectory: Trajectory) -> pd.DataFrame:
    queries = trajectory.arrived.size
    retried = np.bincount(trajectory.query[trajectory.pick == RETRY], minlength=queries)
    group = np.searchsorted(AT_LEAST, retried, side="right") - 1
    gone = trajectory.departed > 0
    classes = len(AT_LEAST)
    counts = np.bincount(group + classes * ~gone, minlength=2 * classes)
    part = np.repeat(np.array(["departed", "waiting"], dtype=object), classes)
    share = counts / queries if queries else np.nan
    return pd.DataFrame({"place": np.tile(AT_LEAST, 2), "part": part, "share": share})


def _waits(trajectory: Trajectory) -> pd.DataFrame:
    T, arrived, departed = trajectory.pick.size, trajectory.arrived, trajectory.departed
    waits = np.array([wait for wait in ROUNDS if wait <= T])
    due = arrived <= T - waits[:, None]
    late = due & ((departed == 0) | (departed > arrived + waits[:, None]))
    share = _share(late.sum(axis=1), due.sum(axis=1))
    return pd.DataFrame({"place": waits, "part": "still there", "share": share})
