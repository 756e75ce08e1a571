"""Tasks side by side: one process a core, one BLAS thread a process, in whatever order they end."""

from __future__ import annotations

import contextlib
import signal
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, as_completed, wait
from typing import Any

from joblib.externals.loky import ProcessPoolExecutor

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
Function = Callable[[Any, Any], Any]
Ended = tuple[Any, Any]  # a task and what came of it


class WorkerDied(RuntimeError):
    """A worker process ended without an answer, twice, in the task that the message names."""


def side_by_side(
    function: Function,
    tasks: Sequence[Any],
    data: Any,
    *,
    workers: int = 1,
    executor: Executor | None = None,
) -> Iterator[Ended]:
    """Yield every task with ``function(task, data)``, in the order in which they end.

    Parameters
    ----------
    workers : processes; with 1 the tasks run in this process. Functions are sent by value, so a script
        needs no ``if __name__ == "__main__"``, and `data` goes to each process once.
    executor : takes the place of the processes, for instance :class:`cqb.study.cluster.DaskExecutor`.
        It is given `data` with each task, and is neither restarted nor shut down here.

    Raises
    ------
    WorkerDied
        A process was killed (out of memory, for instance) in the same task twice.
    Exception
        Whatever a task raised.
    """
    if executor is not None:
        return _on_executor(function, tasks, data, executor)
    if workers < 1:
        raise ValueError(f"workers: found {workers}, expected at least 1")
    if workers == 1 or len(tasks) < 2:
        return ((task, function(task, data)) for task in tasks)
    return _on_processes(function, tasks, data, min(workers, len(tasks)))


def _on_executor(
    function: Function, tasks: Sequence[Any], data: Any, executor: Executor
) -> Iterator[Ended]:
    futures = {executor.submit(function, task, data): task for task in tasks}
    try:
        for future in as_completed(futures):
            yield futures[future], _result(future, futures[future])
    finally:
        for future in futures:
            future.cancel()


def _result(future: Future[Any], task: Any) -> Any:
    """The result of a task. If the executor fails (its workers died, say), a note names the task."""
    try:
        return future.result()
    except Exception as error:
        if not getattr(error, "__notes__", ()):
            error.add_note(f"in the task {task}")
        raise


def _on_processes(
    function: Function, tasks: Sequence[Any], data: Any, workers: int
) -> Iterator[Ended]:
    """Pools of processes, one after another if one breaks, until every task has ended."""
    waiting = list(reversed(tasks))
    while waiting:
        lost: list[Any] = []
        yield from _pool(function, waiting, lost, data, workers)
        for task in lost:
            # Alone in a pool, so that the task that ends its worker is known by name.
            yield task, _alone(function, task, data)


def _pool(
    function: Function, waiting: list[Any], lost: list[Any], data: Any, workers: int
) -> Iterator[Ended]:
    """Run tasks from the end of `waiting`; if a worker dies, stop, with unfinished ones in `lost`."""
    in_hand: dict[Future[Any], Any] = {}
    with _processes(data, workers) as pool:
        while (waiting or in_hand) and not lost:
            while waiting and len(in_hand) < workers:
                task = waiting.pop()
                in_hand[pool.submit(_call, function, task)] = task
            ended, _ = wait(in_hand, return_when=FIRST_COMPLETED)
            for future in ended:
                if isinstance(future.exception(), BrokenExecutor):
                    lost.append(in_hand.pop(future))
                else:
                    yield in_hand.pop(future), future.result()
        lost += in_hand.values()


def _alone(function: Function, task: Any, data: Any) -> Any:
    with _processes(data, 1) as pool:
        try:
            return pool.submit(_call, function, task).result()
        except BrokenExecutor as error:
            raise WorkerDied(
                f"a worker process died twice in the task {task}; was it killed for its "
                "memory? (finished tasks are kept; fewer workers need less)"
            ) from error


@contextlib.contextmanager
def _processes(data: Any, workers: int) -> Iterator[Executor]:
    """A pool of fresh processes that hold `data`; left early, what is queued is dropped."""
    pool = ProcessPoolExecutor(workers, initializer=_begin, initargs=(data,), env=ONE_THREAD)
    with warnings.catch_warnings():
        # A worker whose memory has grown is replaced between two tasks; nothing is lost by it.
        warnings.filterwarnings("ignore", "A worker stopped while some jobs", UserWarning)
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=False, kill_workers=True)
            raise
        pool.shutdown()


_held: dict[str, Any] = {}  # in a worker: the data, sent once


def _begin(data: Any) -> None:
    """In a new worker: hold the data, and let Ctrl-C end the process without a word."""
    _held["data"] = data
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _call(function: Function, task: Any) -> Any:
    return function(task, _held["data"])
