"""Runs side by side: one process a core, one BLAS thread a process, in whatever order they end."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    as_completed,
    wait,
)

from .task import Run, Task, World, play

THREAD_SETTINGS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
Played = tuple[Task, Run]


class WorkerDied(RuntimeError):
    """A worker process ended without an answer, twice, on the task that the message names."""


def play_all(
    tasks: Sequence[Task], world: World, *, workers: int = 1, executor: Executor | None = None
) -> Iterator[Played]:
    """Play every task and yield each with its run as it ends.

    Parameters
    ----------
    workers : processes side by side; with 1 the tasks run in this process, one after the other.
    executor : takes the place of the processes, for instance a Dask cluster
        (:class:`cqb.experiment.cluster.DaskExecutor`). It is given `world` with each task, and is
        neither restarted nor shut down here.

    Raises
    ------
    WorkerDied
        A process was killed (out of memory, say) over the same task twice.
    Exception
        Whatever a run raised, with a note that names its task.
    """
    if executor is not None:
        return _on_executor(tasks, world, executor)
    if workers < 1:
        raise ValueError(f"workers: found {workers}, expected at least 1")
    if workers == 1 or len(tasks) < 2:
        return ((task, _play_noted(task, world)) for task in tasks)
    return _on_processes(tasks, world, min(workers, len(tasks)))


def _play_noted(task: Task, world: World) -> Run:
    try:
        return play(task, world)
    except Exception as error:
        error.add_note(f"in the run of {task}")
        raise


def _on_executor(tasks: Sequence[Task], world: World, executor: Executor) -> Iterator[Played]:
    futures = {executor.submit(_play_noted, task, world): task for task in tasks}
    try:
        for future in as_completed(futures):
            yield futures[future], _result(future, futures[future])
    finally:
        for future in futures:
            future.cancel()


def _result(future: Future[Run], task: Task) -> Run:
    """The run of `task`; a note names it where the executor itself failed, its workers gone say."""
    try:
        return future.result()
    except Exception as error:
        if not getattr(error, "__notes__", ()):
            error.add_note(f"in the run of {task}")
        raise


def _on_processes(tasks: Sequence[Task], world: World, workers: int) -> Iterator[Played]:
    """Pools of processes, one after another if one breaks, until every task has been played."""
    waiting = list(reversed(tasks))
    while waiting:
        lost: list[Task] = []
        yield from _pool(waiting, lost, world, workers)
        for task in lost:
            # Alone in a pool, so that the task that ends its worker is known by name.
            yield task, _play_alone(task, world)


def _pool(waiting: list[Task], lost: list[Task], world: World, workers: int) -> Iterator[Played]:
    """Play tasks from the end of `waiting`; should a worker die, stop with those in hand in `lost`."""
    in_hand: dict[Future[Run], Task] = {}
    with _processes(world, workers) as pool:
        while (waiting or in_hand) and not lost:
            while waiting and len(in_hand) < workers:
                task = waiting.pop()
                in_hand[pool.submit(_play_here, task)] = task
            ended, _ = wait(in_hand, return_when=FIRST_COMPLETED)
            for future in ended:
                if isinstance(future.exception(), BrokenExecutor):
                    lost.append(in_hand.pop(future))
                else:
                    yield in_hand.pop(future), future.result()
        lost += in_hand.values()
        if not lost:
            pool.shutdown()  # only a process that was waited for tells its peak memory


def _play_alone(task: Task, world: World) -> Run:
    with _processes(world, 1) as pool:
        try:
            return pool.submit(_play_here, task).result()
        except BrokenExecutor as error:
            raise WorkerDied(
                f"a worker process died twice over the run of {task}; was it killed for its memory? "
                "(the runs that ended are kept; fewer workers need less)"
            ) from error


@contextlib.contextmanager
def _processes(world: World, workers: int) -> Iterator[Executor]:
    """A pool of fresh processes that hold `world`; left early, what is queued is dropped."""
    with _single_threaded():
        pool = ProcessPoolExecutor(
            workers, multiprocessing.get_context("spawn"), initializer=_begin, initargs=(world,)
        )
        try:
            yield pool
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


@contextlib.contextmanager
def _single_threaded() -> Iterator[None]:
    """Let processes started meanwhile load their linear algebra with one thread."""
    before = {name: os.environ.get(name) for name in THREAD_SETTINGS}
    os.environ.update(dict.fromkeys(THREAD_SETTINGS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


_world: World | None = None


def _begin(world: World) -> None:
    """In a new worker: keep the world, and let Ctrl-C end the process without a word."""
    global _world
    _world = world
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _play_here(task: Task) -> Run:
    return _play_noted(task, _world)
