"""E10 with learners: what memory is worth where contexts say nothing, beside the recursions.

Each query has one good model, unknown, for ever. A rule without memory needs at best as many serves as a
random model; the posterior-greedy rule needs those of a recursion (:mod:`cqb.theory.laws`).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd

from ..environment import draw
from ..experiment.code_hash import code_hash
from ..experiment.provenance import plain
from ..experiment.run_store import policy_code
from ..policies import POLICIES, Service
from ..routing_table import RoutingTable
from ..simulate import simulate
from ..streams import Streams
from ..synthetic import hidden_fit
from ..theory import laws
from .kept import kept

RULES = {
    "same model for ever": laws.same_model_serves,
    "random model": laws.random_model_serves,
    "greedy memory": laws.greedy_memory_serves,
}


@dataclass(frozen=True)
class HiddenStudy:
    """Learners on one instance of E10: `N` models, rates `good` and `bad`."""

    policies: tuple[str, ...] = ("ACQB", "ACQB-M", "ACQB-M-query", "TS-memory", "CYCLE", "RANDOM")
    N: int = 4
    good: float = 0.99
    bad: float = 0.1
    arrival_rate: float = 0.38
    T: int = 1500
    seeds: tuple[int, ...] = (1, 2, 3, 4, 5)

    def predicted(self) -> dict[str, float]:
        """Mean serves per query of the three rules of :data:`RULES`."""
        return {name: rule(self.N, self.good, self.bad) for name, rule in RULES.items()}

    def run(self, table: RoutingTable | None = None) -> pd.DataFrame:
        """Serves per departed query: columns `policy`, `seed`, `serves`. No table is read."""
        frames = [
            kept(
                lambda p=policy, s=seed: self._piece(p, s),
                "hidden",
                policy,
                seed,
                plain([self.N, self.good, self.bad, self.arrival_rate, self.T]),
                code_hash("beyond.hidden_study"),
                policy_code(policy),
            )
            for policy, seed in product(self.policies, self.seeds)
        ]
        return pd.concat(frames, ignore_index=True)

    def _piece(self, policy: str, seed: int) -> pd.DataFrame:
        world = hidden_fit(self.N, self.good, self.bad, self.arrival_rate).environment
        service = Service(world.contexts, world.n_models, 1, self.T, self.arrival_rate)
        draws = draw(Streams(seed), world.pool_size, self.arrival_rate, self.T)
        learner = POLICIES[policy].make(service, Streams(seed), world)
        run = simulate(world, learner, 1, draws)
        serves = np.sum(run.query >= 0) / max(1, np.sum(run.departed > 0))
        return pd.DataFrame({"policy": [policy], "seed": [seed], "serves": [float(serves)]})
