"""One run of any policy, those that see scored rows before the first query included."""

from __future__ import annotations

import time

import threadpoolctl

from ..environment import draw, from_table
from ..experiment.task import Run, Task, World
from ..experiment.task import play as play_plain
from ..policies import POLICIES
from ..policies.base import Service
from ..policies.offline import OfflineEntry, scored_rows
from ..routing_table import RoutingTable
from ..simulate import simulate
from ..streams import Streams


def play(task: Task, world: World) -> Run:
    """Run `task`; as :func:`cqb.experiment.task.play`, with scored rows for those who ask for them.

    Raises
    ------
    ValueError
        The policy asks for scored rows and `world` is no routing table.
    """
    entry = POLICIES[task.policy]
    if not isinstance(entry, OfflineEntry):
        return play_plain(task, world)
    if not isinstance(world, RoutingTable):
        raise ValueError(f"{entry.name}: needs a routing table to take scored rows from")
    cell, streams = task.cell, Streams(task.seed)
    environment = from_table(world, task.seed, cell.lam, task.pool_size)
    draws = draw(streams, environment.pool_size, cell.arrival_rate, task.T)
    service = Service(
        environment.contexts,
        environment.n_models,
        cell.K,
        task.T,
        cell.arrival_rate,
        task.learner,
    )
    rows = scored_rows(world, entry.rows, task.seed, cell.lam, task.pool_size)
    with threadpoolctl.threadpool_limits(limits=1, user_api="blas"):
        started = time.thread_time()
        policy = entry.factory(service, streams, rows)
        trajectory = simulate(environment, policy, cell.K, draws)
        return Run(trajectory, time.thread_time() - started)
