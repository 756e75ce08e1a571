"""Running tasks side by side: on processes of this machine or on a Dask cluster, each stored as it ends.

On this machine a task takes one process with one BLAS thread. On a cluster (:mod:`.cluster`) Dask runs a
task again if its worker died. Three deaths in one task end the study; its finished tasks stay on disk.
"""

import functools
import signal
import sys
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, as_completed, wait
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import threadpoolctl
from tqdm import tqdm

from ..checks import shown, whole

BAR = "{desc}: {percentage:3.0f}%|{bar}| {elapsed} gone, {remaining} left"
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
IDLE = 60.0  # seconds without a task after which a worker ends: its parent may have been killed
Run = Callable[[Any, Any], Any]  # of a task and the data
Tasks = Mapping[Any, Any]  # by key
Ended = tuple[Any, Any]  # the key of a task and its result
Warned = tuple[str, type[Warning], str, int]  # text, category, file and line
# Runs the tasks that can run side by side on a GPU, with CuPy: (tasks, data, CuPy) to what has ended.
Together = Callable[[Tasks, Any, ModuleType], Iterator[Ended]]


class WorkerDied(RuntimeError):
    """A worker process ended without an answer, twice, in the task that the message names."""


def run_tasks(
    tasks: Tasks,
    run: Run,
    world: Any,
    *,
    name: str = "runs",
    cost: Callable[[Any], float] = lambda task: 1.0,
    keep: Callable[[Any, pd.DataFrame], None] = lambda key, rows: None,
    progress: bool | None = None,
    together: Together | None = None,
    backend: ModuleType = np,
    **how: Any,
) -> dict[Any, pd.DataFrame]:
    """``run(task, world)`` for every task, by key; the longest task runs first.

    Parameters
    ----------
    name : shown in the progress bar. cost : rough CPU seconds of a task.
    keep : called with the key of a task and its rows as soon as it ends.
    progress : show a progress bar; by default where stderr is a terminal.
    together : runs what it can of the tasks first, if the backend is CuPy.
    backend : NumPy or CuPy (:func:`cqb.backend.choose`).
    how : workers and executor, see :func:`side_by_side`.
    """
    found = {}
    longest_first = dict(sorted(tasks.items(), key=lambda item: -cost(item[1])))
    total = sum(map(cost, tasks.values()))
    hidden = None if progress is None else not progress  # None: where stderr is no terminal
    with tqdm(total=total, desc=name, bar_format=BAR, disable=hidden) as bar:

        def end(key: Any, rows: pd.DataFrame) -> None:
            keep(key, rows)
            found[key] = rows
            bar.update(cost(tasks[key]))

        if backend is not np:
            for key, rows in together(tasks, world, backend) if together else ():
                end(key, rows)
            longest_first = {key: one for key, one in longest_first.items() if key not in found}
            if longest_first:
                left = f"{len(longest_first)} of {len(tasks)} tasks cannot run on the GPU"
                print(f"{name}: {left}; the CPU runs them", file=sys.stderr, flush=True)
        for key, rows in side_by_side(functools.partial(_run, run), longest_first, world, **how):
            end(key, rows)
    return found


def _run(run: Run, task: Any, world: Any) -> pd.DataFrame:
    """The rows of one task; an error gets a note that names the task.

    Linear algebra uses one thread: matrices are small, the other cores belong to the other tasks, and
    sums come out the same on every machine.
    """
    try:
        with threadpoolctl.threadpool_limits(limits=1, user_api="blas"):
            return run(task, world)
    except Exception as error:
        error.add_note(f"in the task {task}")
        raise


def side_by_side(
    function: Run, tasks: Tasks, data: Any, *, workers: int = 1, executor: Executor | None = None
) -> Iterator[Ended]:
    """Yield the key of every task with ``function(task, data)``, in the order in which they end.

    Parameters
    ----------
    workers : processes; with 1 the tasks run in this process. Functions are sent by value, so a script
        needs no ``if __name__ == "__main__"``, and `data` goes to each process once.
    executor : takes the place of the processes, for instance :class:`DaskExecutor`. It is given `data`
        with each task, and is neither restarted nor shut down here.

    Raises
    ------
    WorkerDied
        A process was killed (out of memory, for instance) in the same task twice.
    Exception
        Whatever a task raised.
    """
    if executor is not None:
        if not hasattr(executor, "submit"):
            raise ValueError(
                f"executor: found {shown(executor)}, expected one with a method submit"
            )
        return _on_executor(function, tasks, data, executor)
    workers = whole("workers", workers, 1)
    if workers == 1 or len(tasks) < 2:
        return once((key, heard(function, task, data)) for key, task in tasks.items())
    return once(_on_processes(function, tasks, data, min(workers, len(tasks))))


def _on_executor(function: Run, tasks: Tasks, data: Any, executor: Executor) -> Iterator[Ended]:
    futures = {executor.submit(function, task, data): key for key, task in tasks.items()}
    try:
        for future in as_completed(futures):
            key = futures[future]
            try:
                result = future.result()
            except Exception as error:
                # If the executor itself fails (its workers died, for instance), no task was named yet.
                if not getattr(error, "__notes__", ()):
                    error.add_note(f"in the task {tasks[key]}")
                raise
            yield key, result
    finally:
        for future in futures:
            future.cancel()


def _on_processes(function: Run, tasks: Tasks, data: Any, workers: int) -> Iterator[Ended]:
    """Pools of processes, one after another if one breaks, until every task has ended."""
    waiting = list(reversed(tasks))
    while waiting:
        for key in (yield from _pool(function, tasks, waiting, data, workers)):
            # Alone in a pool, so that the task that ends its worker is known by name.
            if (yield from _pool(function, tasks, [key], data, 1)):
                raise WorkerDied(
                    f"a worker process died twice in the task {tasks[key]}; was it killed for its "
                    "memory? (finished tasks are kept; fewer workers need less)"
                )


def _pool(
    function: Run, tasks: Tasks, waiting: list[Any], data: Any, workers: int
) -> Generator[Ended, None, list[Any]]:
    """Run tasks from the end of `waiting`; if a worker dies, stop and return the unfinished ones."""
    lost: list[Any] = []
    in_hand: dict[Future[Any], Any] = {}
    with _processes(data, workers) as pool:
        while (waiting or in_hand) and not lost:
            while waiting and len(in_hand) < workers:
                key = waiting.pop()
                try:
                    in_hand[pool.submit(_call, function, tasks[key])] = key
                except BrokenExecutor:  # a worker has died since the last task ended
                    lost.append(key)
                    break
            for future in wait(in_hand, return_when=FIRST_COMPLETED).done:
                key = in_hand.pop(future)
                if isinstance(future.exception(), BrokenExecutor):
                    lost.append(key)
                else:
                    yield key, future.result()
    return [*lost, *in_hand.values()]


@contextmanager
def _processes(data: Any, workers: int) -> Iterator[Executor]:
    """A pool of fresh processes that hold `data`; left early, queued tasks are dropped."""
    from joblib.externals.loky import ProcessPoolExecutor  # slow to import

    begin = {"initializer": _begin, "initargs": (data,), "env": ONE_THREAD}
    pool = ProcessPoolExecutor(workers, timeout=IDLE, **begin)
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


def _call(function: Run, task: Any) -> Any:
    return heard(function, task, _held["data"])


def heard(function: Callable[..., Any], *arguments: Any) -> tuple[Any, list[Warned]]:
    """``function(*arguments)``, and what it warned of."""
    with warnings.catch_warnings(record=True) as found:
        result = function(*arguments)
    return result, [(str(w.message), w.category, w.filename, w.lineno) for w in found]


def once(ended: Iterable[tuple[Any, tuple[Any, list[Warned]]]]) -> Iterator[Ended]:
    """Pass results on, and each distinct warning once, however many tasks and processes gave it."""
    known: set[Warned] = set()
    for key, (result, found) in ended:
        for warned in dict.fromkeys(w for w in found if w not in known):
            warnings.warn_explicit(*warned)
        known.update(found)
        yield key, result
