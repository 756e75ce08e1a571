"""The rows of one setting in a table of results: which settings there are, and their names."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd


class At(NamedTuple):
    """A setting as the columns of a table name it."""

    K: int
    lam: float
    arrival_rate: float

    def __str__(self) -> str:
        return f"K = {self.K}, lam = {self.lam:g}, arrival rate {self.arrival_rate:g}"


def cells_of(rows: pd.DataFrame, K: int) -> list[At]:
    """The settings of one K, by arrival rate and lam."""
    cells = rows.loc[rows["K"] == K, ["arrival_rate", "lam"]].drop_duplicates()
    return [At(K, lam, rate) for rate, lam in sorted(cells.itertuples(index=False, name=None))]


def pick(rows: pd.DataFrame, cell: At) -> pd.DataFrame:
    """The rows of one setting."""
    same = (rows["lam"] == cell.lam) & (rows["arrival_rate"] == cell.arrival_rate)
    return rows[(rows["K"] == cell.K) & same]
