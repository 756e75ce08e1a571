"""A study whose tasks take no time, for tests of what is stored, found again, replayed and refused."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cqb.study import Study

LOG = "CQB_TEST_LOG"  # names a folder: a file in it for every task that was run
FATAL = "CQB_TEST_FATAL_TASK"  # names a file that holds how many processes are still to be ended
FACTOR = 3  # the constant of the "code" that a replay must notice


@dataclass(frozen=True)
class Task:
    """One number; `kind` is its stratum."""

    kind: str
    seed: int
    scale: float = 1.0

    def __str__(self) -> str:
        return f"{self.kind}, seed {self.seed}"


def run(task: Task, data: object) -> pd.DataFrame:
    """Two rows, the second without a note; the column `seconds` is never the same twice."""
    if folder := os.environ.get(LOG):
        Path(folder, f"{task.kind}-{task.seed}-{os.getpid()}-{time.monotonic_ns()}").touch()
    if task.kind == "fatal" and (marker := Path(os.environ[FATAL])) and int(marker.read_text()):
        marker.write_text(str(int(marker.read_text()) - 1))
        os._exit(9)
    if task.kind == "broken":
        raise ZeroDivisionError("boom")
    value = FACTOR * task.seed * task.scale
    return pd.DataFrame(
        {
            "kind": task.kind,
            "seed": task.seed,
            "value": [value, np.nan],
            "note": ["first", None],
            "seconds": np.random.default_rng().uniform(size=2),
        }
    )


def study(
    kinds: tuple[str, ...] = ("easy", "hard"), seeds: tuple[int, ...] = (1, 2, 3), **changes: object
) -> Study:
    """The study; `changes` are attributes."""
    about = {"name": "tiny", "version": 1, "data": None, "run": run} | changes
    about.setdefault("tasks", tuple(Task(kind, seed) for kind in kinds for seed in seeds))
    return Study(**about)


def runs_of(folder: Path) -> list[str]:
    """The tasks that were run while the variable LOG named `folder`, sorted."""
    return sorted("-".join(path.name.split("-")[:2]) for path in folder.iterdir())
