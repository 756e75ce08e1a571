"""E5 on a routing table: the largest stable arrival rate of rules that need not learn.

Each offers the same query the same models, or the same sequence of models, so its mean number of
serves per query is fixed and its capacity the reciprocal (:mod:`.laws`).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from ..environment import Environment, from_table
from ..routing_table import RoutingTable
from . import laws

RULES = ("oracle", "RANDOM", "best single assortment", "cycle by mean score")


def capacities(environment: Environment, K: int, ranking: Sequence[int]) -> dict[str, float]:
    """The capacity of each of `RULES` for assortments of K models.

    Parameters
    ----------
    ranking : the models from best to worst, the order of the cycle, which is defined for K = 1.
    """
    sets = list(combinations(range(environment.n_models), K))
    total = np.stack([environment.odds[:, list(s)].sum(axis=1) for s in sets], axis=1)
    rates = total / (1.0 + total)
    found = {
        "oracle": laws.capacity(rates.max(axis=1)),
        "RANDOM": laws.capacity(rates.mean(axis=1)),
        "best single assortment": float((1.0 / (1.0 / rates).mean(axis=0)).max()),
    }
    if K == 1:
        found["cycle by mean score"] = laws.cycle_capacity(rates[:, list(ranking)])
    return found


def on_table(
    table: RoutingTable,
    cells: Sequence[tuple[int, float]],
    seeds: Sequence[int],
    pool_size: int = 1000,
) -> pd.DataFrame:
    """Capacities on the job pools that the seeds draw: a row per cell, columns as in `RULES`.

    `cells` are pairs (K, lam). The mean over the pools; NaN where a rule is not defined.
    """
    rows = []
    for K, lam in cells:
        ranking = np.argsort(-table.utility(lam).mean(axis=0), kind="stable").tolist()
        pools = [capacities(from_table(table, seed, lam, pool_size), K, ranking) for seed in seeds]
        rows.append({"K": K, "lam": lam, **pd.DataFrame(pools).mean().to_dict()})
    return pd.DataFrame(rows, columns=["K", "lam", *RULES])
