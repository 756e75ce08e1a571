"""Running the tasks of a study that are missing, side by side, each kept as soon as it ends."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd
import threadpoolctl
from tqdm import tqdm

from . import data
from .store import Parts
from .workers import side_by_side

if TYPE_CHECKING:
    from .study import Study

BAR = "{desc}: {percentage:3.0f}%|{bar}| {elapsed} gone, {remaining} left"
Keyed = tuple[str, Any]  # a task with its key
Run = Callable[[Any, Any], pd.DataFrame]


def make(
    study: Study, missing: Sequence[Keyed], parts: Parts | None, **how: Any
) -> dict[str, pd.DataFrame]:
    """The rows of each task in `missing`, by key; finished ones are found in `parts` and kept there.

    `how` is passed on to :func:`run_tasks`.
    """
    found = {key: parts.read(key) for key, _ in missing} if parts else {}
    found = {key: rows for key, rows in found.items() if rows is not None}
    rest = [(key, task) for key, task in missing if key not in found]
    if not rest:
        return found

    def keep(index: int, rows: pd.DataFrame) -> None:
        if parts:
            parts.write(rest[index][0], rows)

    tasks = [task for _, task in rest]
    rows = run_tasks(
        tasks, study.run, data.load(study.data), name=study.name, cost=study.cost, keep=keep, **how
    )
    return found | {key: frame for (key, _), frame in zip(rest, rows, strict=True)}


def run_tasks(
    tasks: Sequence[Any],
    run: Run,
    world: Any,
    *,
    name: str = "runs",
    cost: Callable[[Any], float] = lambda task: 1.0,
    keep: Callable[[int, pd.DataFrame], None] = lambda index, rows: None,
    workers: int = 1,
    executor: Executor | None = None,
    progress: bool | None = None,
) -> list[pd.DataFrame]:
    """``run(task, world)`` for every task, in the order of `tasks`, the longest run first.

    Parameters
    ----------
    name : shown in the progress bar. cost : rough CPU seconds of a task.
    keep : called with the number of a task and its rows as soon as it ends.
    workers, executor : see :func:`.workers.side_by_side`.
    progress : show a progress bar; by default where stderr is a terminal.
    """
    order = sorted(range(len(tasks)), key=lambda index: -cost(tasks[index]))
    found: dict[int, pd.DataFrame] = {}
    shown = sys.stderr.isatty() if progress is None else progress
    numbered = [Numbered(index, tasks[index]) for index in order]
    call = functools.partial(perform, run)
    total = sum(map(cost, tasks))
    with tqdm(total=total, desc=name, bar_format=BAR, disable=not shown) as bar:
        how = {"workers": workers, "executor": executor}
        for (index, task), rows in side_by_side(call, numbered, world, **how):
            keep(index, rows)
            found[index] = rows
            bar.update(cost(task))
    return [found[index] for index in range(len(tasks))]


class Numbered(NamedTuple):
    """A task and its number among all."""

    index: int
    task: Any

    def __str__(self) -> str:
        return str(self.task)


def perform(run: Run, numbered: Numbered, world: Any) -> pd.DataFrame:
    """The rows of one task; an error gets a note that names the task.

    The linear algebra keeps to one thread: matrices are small, the cores belong to the tasks beside
    this one, and sums come out the same whatever the machine.
    """
    try:
        with threadpoolctl.threadpool_limits(limits=1, user_api="blas"):
            return run(numbered.task, world)
    except Exception as error:
        error.add_note(f"in the task {numbered}")
        raise
