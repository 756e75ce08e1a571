"""One run: a policy in a cell with a seed, from the data to a trajectory and its rows.

A run depends on its :class:`Task` and on the table or environment it is played on, and on nothing else.
So it can be played in any process, in any order, and gives the same trajectory.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import threadpoolctl

from .arrivals import Arrivals, Trace
from .checks import number, whole
from .environment import Draws, Environment, draw, once_each
from .metrics import checkpoints, measure, shares
from .policies import POLICIES
from .policies.base import LearnerSettings, RunSource, Service
from .routing_table import RoutingTable, split_rows
from .simulate import Policy, Trajectory, simulate
from .streams import Streams

World = RoutingTable | Environment


@dataclass(frozen=True, order=True)
class Cell:
    """One setting of the service.

    Attributes
    ----------
    K : models offered to a user at once.
    lam : weight of a dollar against a point of score (0 where the world is an environment).
    arrival_rate : queries per round on average; for Bernoulli arrivals the chance of one, at most 1.

    Raises
    ------
    ValueError
        K is no whole number of at least 1, lam or the arrival rate no number of at least 0.
    """

    K: int
    lam: float
    arrival_rate: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "K", whole("K", self.K, 1))
        for name in ("lam", "arrival_rate"):
            number(name, getattr(self, name))

    def __str__(self) -> str:
        return f"K = {self.K}, lam = {self.lam:g}, arrival rate {self.arrival_rate:g}"


@dataclass(frozen=True)
class Task:
    """What to run: `policy` in `cell` for `T` rounds with `seed`."""

    cell: Cell
    policy: str
    seed: int
    T: int
    pool_size: int
    learner: LearnerSettings

    def __str__(self) -> str:
        return f"{self.policy}, {self.cell}, seed {self.seed}"


@dataclass(frozen=True, eq=False)
class Run:
    """A finished task: what happened, and the CPU seconds it took in its one thread.

    Where runs advance together (:mod:`.batched`), the seconds are a run's share of theirs.
    """

    trajectory: Trajectory
    seconds: float


@dataclass(frozen=True, eq=False)
class Prepared:
    """A task before its first round: the environment, the draws, and what makes the policy."""

    task: Task
    environment: Environment
    draws: Draws
    service: Service
    source: RunSource

    def policy(self) -> Policy:
        """The task's policy, new."""
        entry, streams = POLICIES[self.task.policy], Streams(self.task.seed)
        return entry.make(self.service, streams, self.environment, self.source)

    def play(self) -> Run:
        """The task's run."""
        started = time.thread_time()
        trajectory = simulate(self.environment, self.policy(), self.task.cell.K, self.draws)
        return Run(trajectory, time.thread_time() - started)


def prepare(
    task: Task, world: World, arrivals: Arrivals | None = None, once: bool = False
) -> Prepared:
    """What `task` needs before its first round; parameters as in :func:`play`."""
    entry, cell, streams = POLICIES[task.policy], task.cell, Streams(task.seed)
    source = RunSource(world, task.seed, cell.lam, task.pool_size)
    environment = entry.environment(source)
    per_round = arrivals
    if isinstance(arrivals, Trace):
        per_round = arrivals.per_round(cell.arrival_rate, task.T, streams)
    draws = draw(streams, environment.pool_size, cell.arrival_rate, task.T, per_round)
    draws = once_each(draws, task.seed, environment.pool_size) if once else draws
    service = Service(
        environment.contexts,
        environment.n_models,
        cell.K,
        task.T,
        cell.arrival_rate,
        task.learner,
        None if per_round is None else float(np.mean(per_round > 0)),
    )
    return Prepared(task, environment, draws, service, source)


def play(task: Task, world: World, arrivals: Arrivals | None = None, once: bool = False) -> Run:
    """Run `task` on a routing table (whose job pool its seed draws) or on an environment.

    Without `arrivals` at most one query arrives in a round, with the chance of the cell's arrival rate.
    With `once` no query of the pool comes twice (:func:`.environment.once_each`, at most one a round).

    Some policies need the table itself, for rows outside the pool: to refine the vectors on, or to
    learn from before the first query. What they make of them beforehand is not in the run's seconds
    where it changes the environment, and is where it is part of building the policy.

    The linear algebra keeps to one thread: it is faster so (matrices are small), it leaves the
    cores to other runs, and sums come out the same on every machine.
    """
    with threadpoolctl.threadpool_limits(limits=1, user_api="blas"):
        return prepare(task, world, arrivals, once).play()


More = Callable[[Task, Run, World], pd.DataFrame]


def rows_of(task: Task, finished: Run, world: World, at: np.ndarray) -> pd.DataFrame:
    """A run's rows of a results table, without the gap: one for each round in `at`, int (n,)."""
    costs = None if isinstance(world, Environment) else world.costs
    if costs is not None:
        costs = costs[split_rows(world, task.seed, task.pool_size).pool]
    measured = measure(finished.trajectory, at, costs)
    return pd.DataFrame({**_keys(task, world), "t": at, **measured, "seconds": finished.seconds})


def run_rows(
    task: Task,
    world: World,
    count: int,
    more: More | None = None,
    arrivals: Arrivals | None = None,
) -> pd.DataFrame:
    """Play a run: its rows at `count` checkpoints, and below them what `more` gives of it."""
    return rows_with(task, play(task, world, arrivals), world, count, more)


def rows_with(
    task: Task, finished: Run, world: World, count: int, more: More | None = None
) -> pd.DataFrame:
    """A finished run's rows, as :func:`run_rows` has them."""
    found = rows_of(task, finished, world, checkpoints(task.T, count))
    if more is None:
        return found
    return pd.concat([found, more(task, finished, world)], ignore_index=True)


def shares_of(task: Task, finished: Run, world: World) -> pd.DataFrame:
    """The shares of one run (:func:`cqb.metrics.shares`), with its cell, policy and seed."""
    models = world.models if isinstance(world, RoutingTable) else range(world.n_models)
    return shares(finished.trajectory, list(map(str, models))).assign(**_keys(task, world))


def _keys(task: Task, world: World) -> dict[str, Any]:
    about = {"dataset": world.name, "stand_in": world.stand_in, **vars(task.cell)}
    return {**about, "policy": task.policy, "seed": task.seed}
