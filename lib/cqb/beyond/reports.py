"""The comparison in numbers for other programs: small CSV files beside the figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from ..experiment.stored import write_csv
from ..experiment.summary import write_summary
from .claims import by_cell, judge, ratios

LEARNERS = ("ACQB-M", "ACQB-MW", "ACQB-M-query", "ACQB-MW-query")
AGAINST = "ACQB-tuned"


def write(tidy: pd.DataFrame, folder: Path, **about: Any) -> None:
    """Write ``beyond_summary.csv`` (mean and interval per cell and policy), ``beyond_ratios.csv`` (each
    policy with memory against every other, over the cells), ``beyond_targets.csv`` and
    ``beyond_cells.csv`` (paired differences to ACQB-tuned, with Holm's verdict), each with a record."""
    write_summary(tidy, folder / "beyond_summary.csv", **about)
    names = [name for name in LEARNERS if name in set(tidy["policy"])]
    others = [name for name in dict.fromkeys(tidy["policy"]) if name not in ("ORACLE", *names)]
    tables = {
        "ratios": [ratios(tidy, name, others) for name in names],
        "targets": [judge(tidy, name) for name in names],
        "cells": [by_cell(tidy, name, AGAINST).assign(policy=name) for name in names],
    }
    for what, frames in tables.items():
        write_csv(folder / f"beyond_{what}.csv", pd.concat(frames, ignore_index=True), **about)
