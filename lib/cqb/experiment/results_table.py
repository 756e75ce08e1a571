"""The results of one set in full: every setting and policy, and the authors' numbers beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from . import authors
from .metrics import CELL
from .stored import write_csv
from .summary import MEASURES, intervals, paired

COLUMNS = [*CELL, "policy", "seeds", "t"] + [
    f"{measure}_{part}"
    for measure in MEASURES
    for part in (
        "mean",
        "sd",
        "low",
        "high",
        "difference",
        "difference_low",
        "difference_high",
    )
]


def full_table(tidy: pd.DataFrame) -> pd.DataFrame:
    """Final values, a row per setting and policy; columns :data:`COLUMNS` and the authors'.

    `_mean`, `_sd` over seeds and `_low`, `_high`, a 95% t-interval for the mean; `_difference`, the mean
    of the policy minus ACQB on the same seeds, with its own interval (empty for ACQB). The authors'
    values are empty where they stored none, and beside generated data.
    """
    last = tidy[tidy["t"] == tidy["t"].max()]
    groups = last.groupby([*CELL, "policy", "t"], sort=False)
    seeds = groups["seed"].nunique()
    table = pd.DataFrame({"seeds": seeds, **intervals(groups, MEASURES, seeds)})
    for measure in MEASURES:
        table[f"{measure}_sd"] = groups[measure].std()
    differences = paired(tidy).drop(columns="seeds")
    differences = differences.rename(
        columns={f"{m}_{end}": f"{m}_difference_{end}" for m in MEASURES for end in ("low", "high")}
    )
    table = table.reset_index().merge(differences, how="left", on=[*CELL, "policy", "t"])[COLUMNS]
    theirs = authors.beside(table["dataset"].iloc[0])
    if table["stand_in"].any():
        theirs = theirs.iloc[:0]
    return table.merge(theirs, how="left", on=authors.KEYS)


def write(tidy: pd.DataFrame, path: Path, **about: Any) -> None:
    """Write :func:`full_table` as CSV and its record beside it; OSError if that cannot be done."""
    table = full_table(tidy).round(9)
    table["stand_in"] = table["stand_in"].map({True: "true", False: "false"})
    write_csv(path, table, columns=list(table.columns), **about)
