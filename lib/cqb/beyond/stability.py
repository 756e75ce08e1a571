"""The largest arrival rate that a policy sustains, found by simulation and set beside closed forms.

A load is sustained where what waits does not grow (theory E4: a policy that treats equal queries alike
is stable if and only if rate x mean serves per query < 1). What waits is counted as work, the serves
that the oracle would still need: whoever serves the likeliest departure first is left, in overload, with
a few of the hardest queries, whose number grows so slowly that it tells nothing for a long time. A
learner's serves per query change as it learns, so growth is measured over the second half of a run;
arrivals of a lower rate are a thinning of those of a higher one, so that along a bisection only the rate
changes. What a finite run calls sustained is a statement about its horizon.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd

from ..environment import draw, from_table
from ..experiment.code_hash import code_hash
from ..experiment.provenance import plain
from ..experiment.run_store import policy_code
from ..experiment.task import Cell, Task, play
from ..policies import LearnerSettings
from ..routing_table import RoutingTable
from ..simulate import Trajectory
from ..streams import Streams
from ..theory import capacities
from .kept import kept

POLICIES_COMPARED = (
    "ORACLE",
    "ACQB",
    "ACQB-tuned",
    "ACQB-M",
    "ACQB-MW",
    "TS-memory",
    "CYCLE",
    "INFORMED",
    "RANDOM",
)
# Which closed form of :data:`cqb.theory.capacities.RULES` belongs to a policy.
CLOSED_FORM = {"ORACLE": "oracle", "RANDOM": "RANDOM", "CYCLE": "cycle by mean score"}


@dataclass(frozen=True)
class StabilityStudy:
    """A bisection of the arrival rate for every policy and seed.

    Attributes
    ----------
    low, high : rates to begin with; the answer is moved to one of them if it lies outside.
    steps : halvings; the rate is found to within (high - low) / 2^(steps + 1).
    growth : serves a round by which the waiting work may grow over the second half and still be
        sustained.
    """

    policies: tuple[str, ...] = POLICIES_COMPARED
    seeds: tuple[int, ...] = (42, 43, 44, 45, 46)
    K: int = 1
    lam: float = 0.0
    T: int = 5000
    pool_size: int = 1000
    low: float = 0.4
    high: float = 0.96
    steps: int = 5
    growth: float = 0.01

    def run(self, table: RoutingTable) -> pd.DataFrame:
        """The rate found: columns `policy`, `seed`, `rate`; `closed` where there is a closed form."""
        frames = [
            kept(
                lambda p=policy, s=seed: self._piece(table, p, s),
                "stability",
                policy,
                seed,
                plain(self._sizes()),
                table.data_hash(),
                code_hash("beyond.stability"),
                policy_code(policy),
            )
            for policy, seed in product(self.policies, self.seeds)
        ]
        found = pd.concat(frames, ignore_index=True)
        forms = capacities.on_table(table, [(self.K, self.lam)], self.seeds, self.pool_size).iloc[0]
        return found.assign(closed=found["policy"].map(CLOSED_FORM).map(forms).astype(float))

    def _sizes(self) -> tuple[float, ...]:
        sizes = (self.K, self.lam, self.T, self.pool_size)
        return (*sizes, self.low, self.high, self.steps, self.growth)

    def _piece(self, table: RoutingTable, policy: str, seed: int) -> pd.DataFrame:
        environment = from_table(table, seed, self.lam, self.pool_size)
        # Which query would arrive does not depend on the rate, only whether it does.
        arriving = draw(Streams(seed), self.pool_size, self.high, self.T).row
        serves = 1.0 / environment.departure_rates(self.K)[arriving]
        low, high = self.low, self.high
        for _ in range(self.steps):
            middle = 0.5 * (low + high)
            cell = Cell(self.K, self.lam, middle)
            task = Task(cell, policy, seed, self.T, self.pool_size, LearnerSettings())
            run = play(task, table).trajectory
            sustained = growth(waiting_work(run, serves)) <= self.growth
            low, high = (middle, high) if sustained else (low, middle)
        return pd.DataFrame({"policy": [policy], "seed": [seed], "rate": [0.5 * (low + high)]})


def waiting_work(run: Trajectory, serves: np.ndarray) -> np.ndarray:
    """Serves that the waiting queries need, after each round: (T + 1,).

    Parameters
    ----------
    run : of a queue that starts empty.
    serves : (T,) the mean serves of the query that would arrive in each round, from the first attempt.
    """
    change = np.zeros(run.queue.size)
    weight = serves[run.arrived - 1]
    np.add.at(change, run.arrived, weight)
    gone = run.departed > 0
    np.subtract.at(change, run.departed[gone], weight[gone])
    return change.cumsum()


def growth(series: np.ndarray) -> float:
    """By how much a series grew a round over its second half: the least-squares slope."""
    late = series[series.size // 2 :].astype(float)
    t = np.arange(late.size) - (late.size - 1) / 2.0
    return float(t @ late / (t @ t))
