"""How probable scored rows are under each spread of the prior, world by world: what ACQB-MW goes by."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd

from ..persistence.filter import Filter, Prior
from ..persistence.warm_start import SPREADS, correlation_of
from ..policies.offline import ScoredRows
from ..routing_table import RoutingTable
from .world_study import FITTED, HALF, LINEAR, MAKERS, RECORDED


@dataclass(frozen=True)
class SpreadStudy:
    """The refinement rows of every seed in every world, under every spread."""

    worlds: tuple[str, ...] = (RECORDED, HALF, FITTED, LINEAR)
    seeds: tuple[int, ...] = tuple(range(42, 52))
    lam: float = 0.0
    pool_size: int = 1000

    def run(self, table: RoutingTable) -> pd.DataFrame:
        """Columns `world`, `seed`, `spread`, and `evidence`: log probability of the rows' scores."""
        found = []
        for world, seed in product(self.worlds, self.seeds):
            rows = MAKERS[world](table, seed, self.lam, self.pool_size).rows["refinement"]
            found += [(world, seed, spread, evidence(rows, spread)) for spread in SPREADS]
        return pd.DataFrame(found, columns=["world", "seed", "spread", "evidence"])


def evidence(rows: ScoredRows, spread: float) -> float:
    """Log probability (nats) of the rows' scores, one after another, under this positive spread."""
    n_models, prior = rows.odds.shape[1], Prior(context=spread)
    correlations = np.array(
        [correlation_of(rows.rates, world.correlation(n_models)) for world in prior.worlds]
    )
    filter_ = Filter(rows.contexts, n_models, prior, correlations)
    return filter_.study(rows.contexts, rows.rates)
