"""What of a stored comparison still stands where only some policies' code has changed.

A run is decided by the code of its own policy and no other's (:func:`.policy_code`). So a table's rows
of a policy hold for as long as that policy does what it did, also on a machine that no longer has the
runs behind them. The yardstick takes no time and is always run: new rows need its queue.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ..experiment import results
from ..experiment.settings import YARDSTICK, Settings
from ..experiment.stored import Record
from ..experiment.task import World
from ..routing_table import RoutingTable
from . import studies
from .studies import Study

METRICS = "experiment.metrics"
CELL = ["K", "lam", "arrival_rate"]


class Standing(NamedTuple):
    """The rows of a stored table that a new one would repeat, and where they are from.

    rows : of all policies unchanged. made : by policy, when and with which commit its rows were made.
    """

    rows: pd.DataFrame
    made: dict[str, Any]


NOTHING = Standing(pd.DataFrame({"policy": []}), {})


def standing(settings: Settings, world: World, folder: Path | None = None) -> Standing:
    """What stands of the stored comparison (:func:`unchanged`); no rows where there is none.

    A damaged table is a ValueError that names its file.
    """
    try:
        tidy, record = results.load(settings.dataset, folder)
    except FileNotFoundError:
        return NOTHING
    now = studies.codes(METRICS, settings.policies)
    return unchanged(tidy, record, results.key(settings, world), now, METRICS, settings)


def standing_study(
    study: Study, table: RoutingTable, dataset: str, folder: Path | None = None
) -> Standing:
    """The same for a study of a comparison's runs."""
    try:
        frame, record = studies.load(studies.stored_name(study.name, dataset), folder)
    except FileNotFoundError:
        return NOTHING
    settings = study.settings.comparison
    return unchanged(frame, record, study.key(table), study.codes, study.module, settings)


def unchanged(
    frame: pd.DataFrame,
    record: Record,
    key: dict[str, str],
    now: dict[str, str],
    measures: str,
    settings: Settings,
) -> Standing:
    """The rows of all policies whose code is the present one and whose runs are all there.

    None are where settings or data differ from those of `key`, where the code of the `measures` has
    changed, or where the record does not tell its codes.

    Parameters
    ----------
    frame, record : the stored table, with columns `K`, `lam`, `arrival_rate`, `policy` and `seed`.
    key, now : the present key, and the present :func:`.studies.codes`.
    measures : the module among them that takes the table from the runs.
    """
    then = record.get("codes", {})
    same = all(record["key"][part] == key[part] for part in ("settings", "data"))
    if not same or then.get(measures) != now[measures]:
        return Standing(frame[:0], {})
    asked = pd.Series([task.policy for task in settings.tasks()]).value_counts()
    there = frame[[*CELL, "policy", "seed"]].drop_duplicates()["policy"].value_counts()
    kept = [
        name
        for name in settings.policies
        if name != YARDSTICK and then.get(name) == now[name] and there.get(name) == asked[name]
    ]
    here = {"created": record["created"], "commit": record["git"]["commit"]}
    made = {name: record.get("stands", {}).get(name, here) for name in kept}
    return Standing(frame[frame["policy"].isin(kept)], made)


def changed(settings: Settings, kept: Standing) -> Settings:
    """The settings with those policies alone whose runs are to be made."""
    return settings.with_(policies=tuple(p for p in settings.policies if p not in kept.made))


def joined(made: pd.DataFrame, kept: Standing, settings: Settings) -> pd.DataFrame:
    """The rows of new runs and of those that stand, runs in the order of the settings."""
    both = pd.concat([made, kept.rows], ignore_index=True)
    place = {
        (task.cell.K, task.cell.lam, task.cell.arrival_rate, task.policy, task.seed): number
        for number, task in enumerate(settings.tasks())
    }
    runs = both[[*CELL, "policy", "seed"]].itertuples(index=False, name=None)
    order = np.array([place[run] for run in runs])
    return both.iloc[np.argsort(order, kind="stable")].reset_index(drop=True)
