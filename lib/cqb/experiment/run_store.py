"""Finished runs on disk, each in one verified file, so that an interrupted sweep goes on."""

from __future__ import annotations

import dataclasses
import re
import tempfile
import warnings
from functools import cache
from pathlib import Path

import numpy as np

from ..policies import POLICIES
from ..simulate import Trajectory
from ..table_file import read_arrays, write_arrays
from .code_hash import code_hash, module_of
from .provenance import data_hash, digest
from .task import Run, Task, World

FORMAT = "cqb run 1"
FIELDS = tuple(field.name for field in dataclasses.fields(Trajectory))


class DamagedRunWarning(UserWarning):
    """A stored run does not hold what was once written to it, and is run again."""


class RunStore:
    """The runs of one world in a folder, under keys that name all that decides them.

    A key is a hash over the task, the data and the code behind the task's policy. A run under
    another key is never read: change the code of a policy, and only its own runs are made again.

    Parameters
    ----------
    folder : where runs of all worlds are kept; each world gets a folder in it.
    """

    def __init__(self, folder: Path | str, world: World) -> None:
        self._data = data_hash(world)
        self.folder = Path(folder) / f"{_slug(world.name)}-{self._data[:12]}"

    def key(self, task: Task) -> str:
        """sha256 (hex) over all that decides the run of `task`."""
        return digest([FORMAT, task, self._data, policy_code(task.policy)])

    def path(self, task: Task) -> Path:
        """Where the run of `task` is kept."""
        cell = task.cell
        setting = f"K{cell.K}-lam{cell.lam:g}-rate{cell.arrival_rate:g}-T{task.T}-seed{task.seed}"
        return self.folder / task.policy / f"{setting}-{self.key(task)[:12]}.npz"

    def load(self, task: Task) -> Run | None:
        """The stored run, verified; None if there is none, or (with a warning) a damaged one."""
        path = self.path(task)
        if not path.exists():
            return None
        try:
            arrays = read_arrays(path)
            if str(arrays["key"]) != self.key(task):
                raise ValueError(f"it holds the run of key {arrays['key']}")
            trajectory = Trajectory(**{field: arrays[field] for field in FIELDS})
            return Run(trajectory, float(arrays["seconds"]))
        except (ValueError, KeyError, OSError) as error:
            warnings.warn(
                f"damaged run {path} ({error}); {task} is run again",
                DamagedRunWarning,
                stacklevel=2,
            )
            return None

    def save(self, task: Task, run: Run) -> None:
        """Store `run`, whole or not at all. Raises OSError if the folder cannot be written to."""
        arrays = {field: getattr(run.trajectory, field) for field in FIELDS}
        arrays |= {"key": np.array(self.key(task)), "seconds": np.array(run.seconds)}
        write_arrays(self.path(task), arrays)


def ensure_writable(folder: Path) -> None:
    """Make `folder` and raise OSError, naming it, if nothing can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise type(error)(f"cannot write to {folder}: {error.strerror or error}") from error


@cache
def policy_code(policy: str) -> str:
    """sha256 (hex) over the code that decides a run of `policy`; ValueError if it is not ours.

    The entry's own class is part of it: it may refine the policy's vectors or hand it scored rows.
    """
    entry = POLICIES[policy]
    built_by = entry.factory or entry.from_truth
    return code_hash("experiment.task", module_of(built_by), module_of(type(entry)))


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
