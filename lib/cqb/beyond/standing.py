"""What of a stored comparison still stands where only some policies' code has changed.

A run is decided by the code of its own policy and no other's (:func:`.policy_code`). So a table's rows
of a policy hold for as long as that policy does what it did, also on a machine that no longer has the
runs behind them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ..experiment import results
from ..experiment.code_hash import code_hash
from ..experiment.metrics import CELL, COLUMNS
from ..experiment.run_store import policy_code
from ..experiment.settings import YARDSTICK, Settings
from ..experiment.task import World

METRICS = "experiment.metrics"
RUN = [*CELL, "policy", "seed"]


def codes(policies: Sequence[str]) -> dict[str, str]:
    """Hashes of the code behind each policy's rows, and of the measures taken of every run."""
    return {METRICS: code_hash(METRICS), **{name: policy_code(name) for name in policies}}


def standing(settings: Settings, world: World, folder: Path | None = None) -> pd.DataFrame:
    """The rows of the stored table that a new one would repeat: all runs of the policies unchanged.

    Empty where no table is stored, or one of other settings, data or measures, or whose record does not
    tell its policies' codes. A damaged table is a ValueError that names its file.
    """
    try:
        tidy, record = results.load(settings.dataset, folder)
    except FileNotFoundError:
        return pd.DataFrame(columns=COLUMNS)
    then, now = record.get("codes", {}), codes(settings.policies)
    key = results.key(settings, world)
    same = all(record["key"][part] == key[part] for part in ("settings", "data"))
    if not same or then.get(METRICS) != now[METRICS]:
        return tidy[:0]
    asked = pd.Series([task.policy for task in settings.tasks()]).value_counts()
    there = tidy[RUN].drop_duplicates()["policy"].value_counts()
    kept = [
        name
        for name in settings.policies
        if then.get(name) == now[name] and there.get(name) == asked[name]
    ]
    return tidy[tidy["policy"].isin(kept)]


def changed(settings: Settings, kept: pd.DataFrame) -> Settings:
    """The settings with the policies whose runs are to be made, the yardstick always among them."""
    done = set(kept["policy"]) - {YARDSTICK}
    return settings.with_(policies=tuple(name for name in settings.policies if name not in done))


def joined(made: pd.DataFrame, kept: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    """The rows of new runs and of those that stand, in the order of the settings."""
    both = pd.concat([made, kept[~kept["policy"].isin(set(made["policy"]))]], ignore_index=True)
    place = {
        (task.cell.K, task.cell.lam, task.cell.arrival_rate, task.policy, task.seed): number
        for number, task in enumerate(settings.tasks())
    }
    columns = ["K", "lam", "arrival_rate", "policy", "seed"]
    order = [place[run] for run in both[columns].itertuples(index=False, name=None)]
    both = both.assign(order=order).sort_values(["order", "t"], kind="stable")
    return both.drop(columns="order").reset_index(drop=True)
