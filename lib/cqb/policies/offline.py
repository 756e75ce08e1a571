"""Policies that see fully scored rows before the first query.

There are two sets of rows, both outside the job pool: the refinement set, which ACQB-CL uses too (arXiv
2602.02061), and all other rows, which no online policy would have.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..environment import Environment
from ..routing_table import RoutingTable, departure_odds, split_rows
from ..simulate import Policy
from ..streams import Streams
from .base import PolicyEntry, RunSource, Service


@dataclass(frozen=True, eq=False)
class ScoredRows:
    """Queries on which every model's answer was scored.

    Attributes
    ----------
    contexts : (n, d) float64. odds : (n, N) float64, departure odds of each model offered alone.
    """

    contexts: np.ndarray
    odds: np.ndarray

    @property
    def rates(self) -> np.ndarray:
        """(n, N) departure rates of each model offered alone."""
        return self.odds / (1.0 + self.odds)


@dataclass(frozen=True)
class OfflineEntry(PolicyEntry):
    """A policy that is given scored rows; `factory` takes (service, streams, rows).

    `rows` names them: "refinement" (the 110 rows after the pool) or "rest" (all other rows outside
    the pool and the refinement set).
    """

    rows: str = "refinement"
    needs_table: ClassVar[bool] = True

    def make(
        self,
        service: Service,
        streams: Streams,
        truth: Environment,
        source: RunSource | None = None,
    ) -> Policy:
        """A fresh policy for one run, with the scored rows of its `source`.

        Raises
        ------
        ValueError
            There is no source, its world is not a routing table, or too few rows are left.
        """
        if source is None:
            raise ValueError(f"{self.name}: found no source, expected one to take scored rows from")
        table = source.table(self.name, "to take scored rows from")
        rows = scored_rows(table, self.rows, source.seed, source.lam, source.pool_size)
        return self.factory(service, streams, rows)


def scored_rows(
    table: RoutingTable, which: str, seed: int, lam: float, pool_size: int
) -> ScoredRows:
    """The rows that an entry asks for; utilities are stretched over these rows alone.

    Raises
    ------
    ValueError
        `which` is neither "refinement" nor "rest", or too few rows are left.
    """
    if which not in ("refinement", "rest"):
        raise ValueError(f"rows: found {which!r}, expected 'refinement' or 'rest'")
    split = split_rows(table, seed, pool_size=pool_size)
    chosen = split.refinement
    if which == "rest":
        chosen = np.setdiff1d(np.arange(len(table)), np.concatenate([split.pool, chosen]))
    return ScoredRows(table.embeddings[chosen], departure_odds(table.utility(lam)[chosen]))
