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

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd

from ...environment import draw, from_table
from ...policies import POLICIES, LearnerSettings
from ...routing_table import RoutingTable
from ...runs import Cell, Task, play
from ...simulate import Trajectory
from ...streams import Streams
from ...study import Study
from ...synthetic import hidden_fit
from ...theory import laws
from .scenarios import serve

POLICIES_COMPARED = (
    *("ORACLE", "ACQB", "ACQB-tuned", "ACQB-M", "ACQB-MW"),
    *("TS-memory", "CYCLE", "INFORMED", "RANDOM"),
)
QUICK = ("ORACLE", "TS-memory", "CYCLE", "INFORMED", "RANDOM")  # no model of the context to fit
# Which closed form of :data:`cqb.theory.laws.RULES` belongs to a policy.
CLOSED_FORM = {"ORACLE": "oracle", "RANDOM": "RANDOM", "CYCLE": "cycle by mean score"}
GROWTH = 0.01  # serves a round by which the work of a sustained load may grow
MEMORY_RULES = {
    "same model for ever": laws.same_model_serves,
    "random model": laws.random_model_serves,
    "greedy memory": laws.greedy_memory_serves,
}
HIDDEN_POLICIES = ("ACQB", "ACQB-M", "ACQB-M-query", "TS-memory", "CYCLE", "RANDOM")


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

    def __str__(self) -> str:
        return f"{self.policy}, seed {self.seed}"


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

    def __str__(self) -> str:
        return f"{self.policy}, seed {self.seed}"

    def predicted(self) -> dict[str, float]:
        """Mean serves per query of the three rules of :data:`MEMORY_RULES`."""
        return {name: rule(self.N, self.good, self.bad) for name, rule in MEMORY_RULES.items()}


def run(task: StabilityTask, table: RoutingTable) -> pd.DataFrame:
    """One row: `policy`, `seed`, the `rate` found, and `closed`, the closed form on the seed's pool."""
    environment = from_table(table, task.seed, 0.0, task.pool_size)
    # Which query would arrive does not depend on the rate, only whether it does.
    arriving = draw(Streams(task.seed), task.pool_size, task.high, task.T).row
    serves = 1.0 / environment.departure_rates(1)[arriving]
    low, high = task.low, task.high
    for _ in range(task.steps):
        rate = 0.5 * (low + high)
        one = Task(
            Cell(1, 0.0, rate), task.policy, task.seed, task.T, task.pool_size, LearnerSettings()
        )
        sustained = growth(waiting_work(play(one, table).trajectory, serves)) <= GROWTH
        low, high = (rate, high) if sustained else (low, rate)
    closed = np.nan
    if task.policy in CLOSED_FORM:
        forms = laws.table_capacities(table, [(1, 0.0)], [task.seed], task.pool_size)
        closed = forms[CLOSED_FORM[task.policy]].iloc[0]
    row = (task.policy, task.seed, 0.5 * (low + high), closed)
    return pd.DataFrame([row], columns=["policy", "seed", "rate", "closed"])


def waiting_work(run: Trajectory, serves: np.ndarray) -> np.ndarray:
    """Serves that the waiting queries need, after each round: float64 (T + 1,).

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
    """The least-squares slope of a series over its second half, per round."""
    late = series[series.size // 2 :].astype(float)
    t = np.arange(late.size) - (late.size - 1) / 2.0
    return float(t @ late / (t @ t))


def mean_closed_form(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with `closed` as the mean over the seeds' pools."""
    return rows.assign(closed=rows.groupby("policy")["closed"].transform(np.mean))


def run_hidden(task: HiddenTask, _: None = None) -> pd.DataFrame:
    """One row: `policy`, `seed` and `serves`, the mean serves per departed query."""
    environment = hidden_fit(task.N, task.good, task.bad, task.arrival_rate).environment

    def build(service, streams):
        return POLICIES[task.policy].make(service, streams, environment)

    played = serve(environment, build, Cell(1, 0.0, task.arrival_rate), task.seed, task.T)
    serves = np.sum(played.query >= 0) / max(1, np.sum(played.departed > 0))
    return pd.DataFrame({"policy": [task.policy], "seed": [task.seed], "serves": [float(serves)]})


def stability(data: str, seeds: Iterable[int], T: int, steps: int) -> Study:
    """A bisection for every policy and seed."""
    pairs = product(POLICIES_COMPARED, seeds)
    return Study(
        f"beyond-stability-{data}",
        1,
        data,
        tuple(StabilityTask(*pair, T, 1000, 0.4, 0.96, steps) for pair in pairs),
        run,
        derive=mean_closed_form,
        stratum=lambda task: task.policy,
        cost=lambda task: steps * T / 5000 * (0.3 if task.policy in QUICK else 2.0),
    )


HIDDEN = Study(
    "beyond-hidden",
    1,
    None,
    tuple(HiddenTask(*pair) for pair in product(HIDDEN_POLICIES, (1, 2, 3, 4, 5))),
    run_hidden,
    stratum=lambda task: task.policy,
    cost=lambda task: 0.5,
)
STUDIES = {
    study.name: study
    for study in (
        stability("routerbench", (42, 43, 44, 45, 46), 5000, 5),
        stability("persistence-standin", (42, 43), 1000, 4),
        HIDDEN,
    )
}
