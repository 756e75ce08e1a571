"""What of a stored comparison still stands where only some policies' code has changed.

A run is decided by the code of its own policy and no other's (:func:`.policy_code`). So a table's rows
of a policy hold for as long as that policy does what it did, also on a machine that no longer has the
runs behind them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ..experiment import results
from ..experiment.code_hash import code_hash
from ..experiment.run_store import policy_code
from ..experiment.settings import YARDSTICK, Settings
from ..experiment.stored import Record
from ..experiment.task import World
from ..routing_table import RoutingTable
from . import studies
from .studies import Study

METRICS = "experiment.metrics"
CELL = ["K", "lam", "arrival_rate"]


def codes(settings: Settings) -> dict[str, str]:
    """Hashes of the code behind each policy's rows, and of the measures taken of every run."""
    return {METRICS: code_hash(METRICS), **{name: policy_code(name) for name in settings.policies}}


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
    return unchanged(tidy, record, results.key(settings, world), codes(settings), METRICS, settings)


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
        if then.get(name) == now[name] and there.get(name) == asked[name]
    ]
    here = {"created": record["created"], "commit": record["git"]["commit"]}
    made = {name: record.get("stands", {}).get(name, here) for name in kept}
    return Standing(frame[frame["policy"].isin(kept)], made)


def changed(settings: Settings, kept: Standing) -> Settings:
    """The settings with the policies whose runs are to be made, the yardstick always among them."""
    done = set(kept.made) - {YARDSTICK}
    return settings.with_(policies=tuple(name for name in settings.policies if name not in done))


def without(kept: Standing, made: Settings) -> dict[str, Any]:
    """Where the rows are from that are in no new run: those of the policies that are not made."""
    return {name: at for name, at in kept.made.items() if name not in made.policies}


def joined(made: pd.DataFrame, kept: Standing, settings: Settings) -> pd.DataFrame:
    """The rows of new runs and of those that stand, runs in the order of the settings."""
    others = kept.rows[~kept.rows["policy"].isin(set(made["policy"]))]
    both = pd.concat([made, others], ignore_index=True)
    place = {
        (task.cell.K, task.cell.lam, task.cell.arrival_rate, task.policy, task.seed): number
        for number, task in enumerate(settings.tasks())
    }
    runs = both[[*CELL, "policy", "seed"]].itertuples(index=False, name=None)
    order = np.array([place[run] for run in runs])
    return both.iloc[np.argsort(order, kind="stable")].reset_index(drop=True)
