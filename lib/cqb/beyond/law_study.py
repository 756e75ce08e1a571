"""The predictive scores of the laws of persistence, on rounds logged on the tuning rows."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import pandas as pd

from ..experiment.code_hash import code_hash
from ..experiment.provenance import plain
from ..persistence.filter import Prior
from ..persistence.worlds import WORLDS
from ..routing_table import RoutingTable
from .kept import kept
from .laws import LAWS, log_rounds, score_table, tuning_environment
from .tuning import horizon

ALL_LAWS = {**LAWS, "all hypotheses, weights learned": WORLDS}


@dataclass(frozen=True)
class LawStudy:
    """Every law on rounds that two policies of other kinds logged, K = 1."""

    loggers: tuple[str, ...] = ("TS-memory", "RANDOM")
    lams: tuple[float, ...] = (0.0, 5.0)
    seeds: tuple[int, ...] = (100, 101)
    arrival_rate: float = 0.6
    T: int | None = None

    def run(self, table: RoutingTable) -> pd.DataFrame:
        """Mean log probability of the rounds: columns `law`, `log`, `kind`, `rounds`, `score` (nats a
        round; :func:`.laws.score_table`), `lam` and `seed`. `T` None is the tuning rows' own horizon."""
        frames = []
        for lam, seed, law in product(self.lams, self.seeds, ALL_LAWS):
            frame = kept(
                lambda m=lam, s=seed, w=law: self._piece(table, m, s, w),
                "laws",
                law,
                lam,
                seed,
                plain([self.loggers, self.arrival_rate, self.T]),
                table.data_hash(),
                code_hash("beyond.law_study", "policies.ts_memory", "policies.uniform"),
            )
            frames.append(frame.assign(lam=lam, seed=seed))
        return pd.concat(frames, ignore_index=True)

    def _piece(self, table: RoutingTable, lam: float, seed: int, law: str) -> pd.DataFrame:
        world = tuning_environment(table, lam)
        T = self.T or horizon(world.pool_size)
        logs = {
            name: log_rounds(world, name, seed, K=1, arrival_rate=self.arrival_rate, T=T)
            for name in self.loggers
        }
        return score_table(world, logs, Prior(), {law: ALL_LAWS[law]})
