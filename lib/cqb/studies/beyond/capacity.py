"""The load that a policy can carry, found by simulation and compared with closed forms.

A load is sustained where the waiting work does not grow (theory E4: a policy that treats equal queries
alike is stable if and only if rate x mean serves per query < 1). The work is the number of serves that
the oracle would still need: in overload, a policy that serves the likeliest departure first is left with
a few of the hardest queries, and their number grows too slowly to be seen. A learner's serves per query
change as it learns, so growth is measured over the second half of a run. Arrivals of a lower rate are a
thinning of those of a higher one, so that along a bisection only the rate changes. The result holds for
the horizon of the runs.

The second study (theory E10) shows what memory is worth where contexts carry no information: each query
has one good model, unknown, for ever. A rule without memory needs at best as many serves as a random
model; the posterior-greedy rule needs those of a recursion (:mod:`cqb.theory.laws`).
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd

from ...environment import draw, from_table
from ...policies import LearnerSettings
from ...routing_table import RoutingTable
from ...runs import Cell, Task, World, play
from ...simulate import Trajectory
from ...streams import Streams
from ...study import Study
from ...synthetic import hidden_fit
from ...theory import laws

POLICIES_COMPARED = (
    *("ORACLE", "ACQB", "ACQB-tuned", "ACQB-P-tuned-prompt", "ACQB-recall"),
    *("TS-memory", "TS-memory-prompt", "CYCLE", "INFORMED", "RANDOM"),
)
# Which closed form of :data:`cqb.theory.laws.RULES` belongs to a policy.
CLOSED_FORM = {"ORACLE": "oracle", "RANDOM": "RANDOM", "CYCLE": "cycle by mean score"}
GROWTH = 0.01  # serves a round by which the work of a sustained load may grow
HIDDEN_POLICIES = ("ACQB", "ACQB-recall", "TS-memory", "CYCLE", "RANDOM")


@dataclass(frozen=True)
class StabilityTask:
    """A bisection of the arrival rate for one policy and seed, K = 1 and lam = 0.

    Attributes
    ----------
    low, high : rates to begin with; an answer outside them is moved to the nearer one.
    steps : halvings; the rate is found to within (high - low) / 2^(steps + 1).
    """

    policy: str
    seed: int
    T: int
    pool_size: int
    low: float
    high: float
    steps: int


@dataclass(frozen=True)
class HiddenTask:
    """One learner on an instance of E10: `N` models, departure rates `good` and `bad`."""

    policy: str
    seed: int
    N: int = 4
    good: float = 0.99
    bad: float = 0.1
    arrival_rate: float = 0.38
    T: int = 1500

    def predicted(self) -> dict[str, float]:
        """Mean serves per query of rules with and without memory."""
        world = self.N, self.good, self.bad
        return {
            "same model for ever": laws.same_model_serves(*world),
            "random model": laws.random_model_serves(*world),
            "greedy memory": laws.greedy_memory_serves(*world),
        }


def played(
    world: World, cell: Cell, policy: str, seed: int, T: int, pool_size: int = 1000
) -> Trajectory:
    """A run of a policy with its default settings; `pool_size` is of a routing table only."""
    return play(Task(cell, policy, seed, T, pool_size, LearnerSettings()), world).trajectory


def run(task: StabilityTask, table: RoutingTable) -> pd.DataFrame:
    """One row: `policy`, `seed`, the `rate` found, and `closed`, the closed form on the seed's pool."""
    policy, seed, T, size = task.policy, task.seed, task.T, task.pool_size
    # Which query would arrive does not depend on the rate, only whether it does.
    arriving = draw(Streams(seed), size, task.high, T).row
    serves = 1.0 / from_table(table, seed, 0.0, size).departure_rates(1)[arriving]
    low, high = task.low, task.high
    for _ in range(task.steps):
        rate = 0.5 * (low + high)
        work = waiting_work(played(table, Cell(1, 0.0, rate), policy, seed, T, size), serves)
        low, high = (rate, high) if growth(work) <= GROWTH else (low, rate)
    closed = np.nan
    if policy in CLOSED_FORM:
        forms = laws.table_capacities(table, [(1, 0.0)], [seed], size)
        closed = forms[CLOSED_FORM[policy]].iloc[0]
    row = {"policy": policy, "seed": seed, "rate": 0.5 * (low + high), "closed": closed}
    return pd.DataFrame([row])


def waiting_work(run: Trajectory, serves: np.ndarray) -> np.ndarray:
    """Serves that the waiting queries need, after each round: float64 (T + 1,).

    Parameters
    ----------
    run : of a queue that starts empty.
    serves : (T,) the mean serves of the query that would arrive in each round, from the first attempt.
    """
    weight, gone, rounds = serves[run.arrived - 1], run.departed > 0, run.queue.size
    come = np.bincount(run.arrived, weight, rounds)
    return (come - np.bincount(run.departed[gone], weight[gone], rounds)).cumsum()


def growth(series: np.ndarray) -> float:
    """The least-squares slope of a series over its second half, per round."""
    late = series[series.size // 2 :]
    return float(np.polyfit(np.arange(late.size), late, 1)[0])


def run_hidden(task: HiddenTask, _: None = None) -> pd.DataFrame:
    """One row: `policy`, `seed` and `serves`, the mean serves per departed query."""
    world = hidden_fit(task.N, task.good, task.bad, task.arrival_rate).environment
    cell = Cell(1, 0.0, task.arrival_rate)
    run = played(world, cell, task.policy, task.seed, task.T)
    serves = np.sum(run.query >= 0) / max(1, np.sum(run.departed > 0))
    return pd.DataFrame([{"policy": task.policy, "seed": task.seed, "serves": float(serves)}])


STABILITY_TASKS = tuple(
    StabilityTask(policy, seed, 5000, 1000, 0.4, 0.96, 5)
    for policy, seed in product(POLICIES_COMPARED, (42, 43, 44, 45, 46))
)
STABILITY = Study(
    "beyond-stability-routerbench",
    2,
    "routerbench",
    STABILITY_TASKS,
    run,
    cost=lambda task: 17.5 if task.policy.startswith("ACQB") else 2.5,
)
HIDDEN_TASKS = tuple(HiddenTask(*which) for which in product(HIDDEN_POLICIES, (1, 2, 3, 4, 5)))
# Queries without a context are alike, so rounding decides ties between them in every run.
HIDDEN = Study("beyond-hidden", 3, None, HIDDEN_TASKS, run_hidden, tolerance={"serves": 0.15})
STUDIES = (STABILITY, HIDDEN)
