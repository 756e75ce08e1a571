"""A study: independent tasks, the rows of each, and the table they make together."""

import dataclasses
from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from .. import backend as backends
from .. import datasets
from . import data, store
from .comparison import compare
from .provenance import digest
from .running import Together, run_tasks


class StudyError(ValueError):
    """A study is declared wrongly: two tasks have the same label, or a name or version is missing."""


def without_seed(task: Any) -> Hashable:
    """A task's stratum by default: all of it but its seed."""
    return str(dataclasses.replace(task, seed=0) if hasattr(task, "seed") else task)


@dataclass(frozen=True)
class Study:
    """What to run, and how the rows of all tasks become one table.

    >>> import pandas as pd
    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Square:
    ...     number: int
    >>> study = Study(
    ...     name="squares",
    ...     version=1,
    ...     data=None,
    ...     tasks=(Square(2), Square(3)),
    ...     run=lambda task, data: pd.DataFrame({"square": [task.number**2]}),
    ... )
    >>> study.table(keep=False)["square"].tolist()
    squares: running 2 of 2 tasks
    [4, 9]

    Attributes
    ----------
    name : of the study and of its stored table.
    version : raised by hand, with a reason, when the numbers are meant to change. A stored row of
        another version is never used.
    data : name of the data set that tasks read (:func:`cqb.study.data.load`), or None.
    vectors : False if tasks do not read the vectors of its prompts, which are then not encoded.
    tasks : frozen dataclasses, independent of each other, seed included. ``str(task)`` is a readable
        label, different for each task. A field added later with a default leaves old rows valid.
    run : ``run(task, data)`` gives the rows of one task. It must depend on nothing else.
    derive : makes the table from all rows, for columns that need several tasks (the gap to ORACLE).
    stratum : tasks of one stratum are alike; a short replay runs one task of each.
    cost : rough CPU seconds of a task, for the order of tasks, the time left, and short replays.
    volatile : columns that no two runs share (seconds); a replay does not compare them.
    tolerance : largest absolute difference by column, where machines truly differ; 0 elsewhere.
    settings : further settings that rows of any task depend on (those of `run`, if it has any).
    artifacts : files in the results folder that tasks read (trained weights). Their sha256 is part of
        what a row depends on.
    default : whether ``python -m cqb run`` without names runs the study from the start.
    together : runs the tasks that can run side by side on a GPU (:func:`.running.run_tasks`).

    Raises
    ------
    StudyError
        Two tasks have the same label, there is no task, or the version is below 1.
    """

    name: str
    version: int
    data: str | None
    tasks: tuple[Any, ...]
    run: Callable[[Any, Any], pd.DataFrame]
    derive: Callable[[pd.DataFrame], pd.DataFrame] = lambda rows: rows
    stratum: Callable[[Any], Hashable] = without_seed
    cost: Callable[[Any], float] = lambda task: 1.0
    volatile: tuple[str, ...] = ("seconds",)
    tolerance: Mapping[str, float] = field(default_factory=dict)
    settings: Any = None
    artifacts: tuple[str, ...] = ()
    default: bool = False
    vectors: bool = True
    together: Together | None = None

    def __str__(self) -> str:
        return self.name

    def __post_init__(self) -> None:
        if self.version < 1 or not self.tasks:
            raise StudyError(f"{self.name}: expected a version of at least 1 and at least one task")
        label, count = Counter(map(str, self.tasks)).most_common(1)[0]
        if count > 1:
            raise StudyError(f"{self.name}: {count} tasks have the label {label!r}")

    def keys(self, identity: str, folder: Path | None = None) -> dict[str, Any]:
        """Every task by its key: 16 hex digits for all that its rows depend on.

        These are the study, its version, the task, the data and the artifacts.

        Parameters
        ----------
        identity : the hash of the data (:func:`cqb.study.data.identity`); "" without data.
        """
        common = [self.name, self.version, identity, store.artifact_hashes(self.artifacts, folder)]
        common += [] if self.settings is None else [self.settings]
        return {digest([*common, task])[:16]: task for task in self.tasks}

    def table(self, folder: Path | None = None, **how: Any) -> pd.DataFrame:
        """The study's table: the stored rows where they are valid, new ones elsewhere, derived.

        Parameters are those of :meth:`rows`.
        """
        return self.derive(self.rows(folder, **how))

    def rows(
        self,
        folder: Path | None = None,
        *,
        workers: int = 1,
        executor: Executor | None = None,
        progress: bool | None = None,
        fresh: bool = False,
        keep: bool = True,
        backend: str | None = None,
    ) -> pd.DataFrame:
        """The rows of all tasks in the order of the tasks, before :attr:`derive`.

        One printed line says where they come from. Finished tasks stay on disk until the table is
        stored, so an interrupted call continues with the next one.

        Parameters
        ----------
        folder : of stored tables; by default ``results`` in the data folder.
        workers : processes side by side. executor : takes their place (a Dask cluster, for instance).
        progress : show a progress bar; by default where stderr is a terminal.
        fresh : do not use stored rows. keep : store finished tasks on disk.
        backend : "auto", "numpy" or "cupy" (:mod:`cqb.backend`).

        Raises
        ------
        BackendError
            The backend is unknown, or has no GPU to run on.
        FileNotFoundError, ImportError
            Rows are missing and the data are not here, or cannot be encoded here.
        WorkerDied
            A process was killed twice in the same task; the message names the task.
        """
        xp = backends.choose(backend)
        known, tasks, note = self._known(folder)
        there = set() if fresh else set(known[store.KEY])
        missing = {key: task for key, task in tasks.items() if key not in there}
        if not missing:
            number = f"{len(tasks)} task{'s' if len(tasks) > 1 else ''}"
            print(f"{self.name}: {number}, from the stored table{note}")
            return known
        print(f"{self.name}: running {len(missing)} of {len(tasks)} tasks", flush=True)
        parts = store.Parts(self.name) if keep else None
        how = {"workers": workers, "executor": executor, "progress": progress, "backend": xp}
        found = self.run_missing(missing, parts, **how)
        return store.join(store.by_task(known, there) | found, tasks)

    def run_missing(
        self, missing: Mapping[str, Any], parts: store.Parts | None, **how: Any
    ) -> dict[str, pd.DataFrame]:
        """The rows of the tasks in `missing`, by key; those that ended are read from `parts`.

        `how` is passed on to :func:`.running.run_tasks`.
        """
        found = {key: parts.read(key) for key in missing} if parts else {}
        found = {key: rows for key, rows in found.items() if rows is not None}
        rest = {key: task for key, task in missing.items() if key not in found}
        if not rest:
            return found
        about = {"name": self.name, "cost": self.cost, "together": self.together, **how}
        if parts:
            about["keep"] = parts.write
        world = data.load(self.data) if self.vectors else datasets.load(self.data)
        return found | run_tasks(rest, self.run, world, **about)

    def _known(self, folder: Path | None) -> tuple[pd.DataFrame, dict[str, Any], str]:
        """The stored rows in the order of their tasks, all tasks by key, and a remark on the data."""
        stored, identity, note, _ = self.stored(folder)
        tasks = self.keys(identity, folder)
        return store.select(stored, tasks), tasks, note

    def stored(
        self, folder: Path | None = None
    ) -> tuple[pd.DataFrame, str, str, store.Record | None]:
        """The stored rows, the data's hash, a remark on the data, the record (None if not stored).

        Where the data are not here, the hash in the record is taken for theirs, and the remark says so.

        Raises
        ------
        FileNotFoundError
            Neither data nor a stored table are here.
        """
        rows, record = store.read(self.name, folder)
        identity = data.identity(self.data)
        if identity is not None:
            return rows, identity, "", record
        if record is None:
            data.load(self.data)  # raises, and says what is missing
        return rows, record["data"]["hash"], f" ({self.data} is not here: data not checked)", record

    def is_stored(self, folder: Path | None = None) -> bool:
        """Whether every task's rows are stored, for this version and (if they are here) these data."""
        try:
            self.stored_rows(folder)
        except FileNotFoundError:
            return False
        return True

    def read(self, folder: Path | None = None) -> pd.DataFrame:
        """The stored table, derived; nothing is run.

        Raises FileNotFoundError, naming the command that makes it, if a task's rows are not stored.
        """
        return self.derive(self.stored_rows(folder))

    def stored_rows(self, folder: Path | None = None) -> pd.DataFrame:
        """The stored rows of all tasks; raises as :meth:`read`."""
        known, tasks, _ = self._known(folder)
        if missing := len(tasks) - known[store.KEY].nunique():
            raise FileNotFoundError(
                f"{self.name}: {missing} of {len(tasks)} tasks are not stored; "
                f"`python -m cqb run {self.name}` runs them"
            )
        return known

    def store(self, rows: pd.DataFrame, folder: Path | None = None) -> Path:
        """Write the table and its record, unless the stored ones agree (:mod:`.comparison`).

        Parameters
        ----------
        rows : of :meth:`rows`, all tasks.

        Raises OSError if the folder cannot be written to.
        """
        old, identity, _, record = self.stored(folder)
        tasks = self.keys(identity, folder)
        whole = list(old[store.KEY].unique()) == list(tasks)
        if not (whole and compare(self, record, old, rows).agrees):
            source = {"name": self.data, "hash": identity}
            artifacts = store.artifact_hashes(self.artifacts, folder)
            about = {"study": self.name, "version": self.version, "data": source}
            about |= {"tasks": len(tasks), "first_task": self.tasks[0], "artifacts": artifacts}
            store.write(store.place(self.name, folder), rows, about)
        store.Parts(self.name).clear(tasks)
        return store.place(self.name, folder)
