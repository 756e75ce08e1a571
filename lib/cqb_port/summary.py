"""Means with intervals over seeds, and paired differences, of the study's tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from cqb.experiment.stored import write_csv
from cqb.experiment.summary import half_width, intervals

SCHEMA_VERSION = 1
CELL = ["experiment", "setting"]
METRICS = ("perf", "cost", "ppc", "throughput", "declined", "lost", "rp", "lpr")
QUEUE_METRICS = ("perf", "cost", "departed", "lost", "attempts", "wait", "wait_95", "queue")


def summarise(
    tidy: pd.DataFrame, measures: Sequence[str] = METRICS, by: Sequence[str] = (*CELL, "policy")
) -> pd.DataFrame:
    """A row per cell and policy: seeds, and of each measure `_mean`, `_low`, `_high`.

    `_low` and `_high` bound a 95% t-interval for the mean over seeds. Seeds deal the same table again,
    so it tells of other deals of these rows, not of other rows.
    """
    groups = tidy.groupby(list(by), sort=False)
    count = groups["seed"].nunique()
    columns = {"seeds": count, **intervals(groups, measures, count)}
    return pd.DataFrame(columns).reset_index()


def paired(
    tidy: pd.DataFrame, policy: str, measure: str = "lpr", by: Sequence[str] = tuple(CELL)
) -> pd.DataFrame:
    """`policy` less every other one on the same seeds: a row per cell and other policy.

    Columns: the cell, `against`, `seeds`, and the difference's `mean`, `low`, `high` (95%).
    """
    wide = tidy.pivot(index=[*by, "seed"], columns="policy", values=measure)
    difference = (-wide.drop(columns=policy)).add(wide[policy], axis=0)
    long = difference.stack().rename("difference").reset_index()
    groups = long.groupby([*by, "policy"], sort=False)["difference"]
    mean, half = groups.mean(), half_width(groups.std(), groups.count())
    table = pd.DataFrame(
        {"seeds": groups.count(), "mean": mean, "low": mean - half, "high": mean + half}
    )
    return table.reset_index().rename(columns={"policy": "against"})


def write(table: pd.DataFrame, dataset: str, stand_in: bool, path: Path, **about: Any) -> None:
    """Write a summary as CSV, and its record (with `about`) beside it.

    Raises OSError if the folder cannot be written to.
    """
    table = table.copy()
    table.insert(0, "dataset", dataset)
    table.insert(1, "stand_in", "true" if stand_in else "false")
    write_csv(path, table, schema_version=SCHEMA_VERSION, stand_in=stand_in, **about)
