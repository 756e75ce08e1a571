"""Which runs can advance together, and how many of them the memory allows for."""

import time
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

import threadpoolctl

from ..arrivals import Arrivals
from ..policies import POLICIES
from ..runs import Prepared, Run, Task, World, prepare
from ..simulate import Trajectory, check_assortment_size
from .learner import BatchLearner
from .queue import Queues, Rule
from .rules import FifoRule, OracleRule, UniformRule

LEARNERS = frozenset({"ACQB", "ACQB-T", "ACQB-CL", "ACQB-CL-LN", "CQB-eps", "ACQB-tuned"})
OTHERS = frozenset({"ORACLE", "RANDOM", "Q-UCB", "Q-ThS"})
SHARE = 0.6  # of the free memory that a batch may take


def knows(task: Task, arrivals: Arrivals | None = None) -> bool:
    """Whether a task can run beside others: by its policy, K <= 2, and at most one arrival a round."""
    return arrivals is None and task.cell.K <= 2 and task.policy in LEARNERS | OTHERS


def play_together(
    tasks: Mapping[Any, Task], world: World, like: Any, memory: int, once: bool = False
) -> Iterator[tuple[Any, Run]]:
    """Play tasks that :func:`knows` accepts side by side; yield the key and the run of each.

    Parameters
    ----------
    tasks : by key. world, once : as in :func:`cqb.runs.play`, which plays a task alone.
    like : a float64 array of the library and on the device to compute on.
    memory : bytes that may be used there.

    Raises
    ------
    ValueError
        What :func:`cqb.runs.play` raises, with the task in a note.
    MemoryError
        A single run needs more than `memory`.
    """
    groups: dict[Hashable, list[Any]] = {}
    for key, task in tasks.items():
        groups.setdefault(_alike(task), []).append(key)
    for keys in groups.values():
        while keys:
            first = _prepared(tasks[keys[0]], world, once)
            each = bytes_of(first)
            if each > SHARE * memory:
                raise MemoryError(
                    f"{first.task}: one run takes about {each / 2**30:.1f} GiB, expected at most "
                    f"{SHARE:.0%} of the {memory / 2**30:.1f} GiB that are free"
                )
            chunk, keys = keys[: int(SHARE * memory // each)], keys[int(SHARE * memory // each) :]
            ready = [first, *(_prepared(tasks[key], world, once) for key in chunk[1:])]
            started = time.perf_counter()
            with threadpoolctl.threadpool_limits(limits=1, user_api="blas"):
                found = advance(ready, like)
            seconds = (time.perf_counter() - started) / len(chunk)
            for key, trajectory in zip(chunk, found, strict=True):
                yield key, Run(trajectory, seconds)


def _alike(task: Task) -> Hashable:
    """What the runs of one batch have in common: shapes, and the rotation of forced assortments."""
    kind = "learner" if task.policy in LEARNERS else task.policy
    refined = POLICIES[task.policy].needs_table and task.policy
    return kind, refined, task.cell.K, task.T, task.pool_size, task.learner.rotation


def _prepared(task: Task, world: World, once: bool) -> Prepared:
    try:
        ready = prepare(task, world, once=once)
        check_assortment_size(task.cell.K, ready.environment.n_models)
        return ready
    except Exception as error:
        error.add_note(f"in the task {task}")
        raise


def bytes_of(ready: Prepared) -> int:
    """What one run takes, roughly: inverses and what a round makes of them, counts, vectors, record."""
    world, K, T = ready.environment, ready.task.cell.K, ready.draws.outcome.size
    (C, d), N = world.contexts.shape, world.n_models
    inverses = 4 * N * d * d if ready.task.policy in LEARNERS else 0
    counts = C * N * (N + 8 if K == 2 else 8)
    return 8 * (inverses + counts + C * d + 3 * world.odds.size) + 96 * T


def advance(ready: Sequence[Prepared], like: Any) -> list[Trajectory]:
    """Play prepared runs of one kind and shape to their end."""
    first, seeds = ready[0], [one.task.seed for one in ready]
    K, T, N = first.task.cell.K, first.draws.outcome.size, first.environment.n_models
    environments = [one.environment for one in ready]
    queues = Queues(environments, [one.draws for one in ready], K, like)
    rule: Rule
    match first.task.policy:
        case "ORACLE":
            rule = OracleRule(environments, K, like)
        case "RANDOM":
            rule = UniformRule(seeds, T, N, K, like)
        case "Q-UCB" | "Q-ThS" as name:
            rule = FifoRule(seeds, T, N, like, thompson=name == "Q-ThS")
        case _:
            learners = [one.policy() for one in ready]
            rule = BatchLearner(learners, seeds, queues.contexts, T, N, K)
    return queues.run(rule)
