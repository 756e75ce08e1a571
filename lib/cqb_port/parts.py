"""The parts of the study, how large each is, and the stored table it ends in."""

from __future__ import annotations

from . import queue_study, study
from .world import Task

PARTS = ("comparison", "sweeps", "queue")
# The stand-in supports no claim, so its tables rest on fewer seeds.
STAND_IN_SEEDS, SWEEP_SEEDS = study.SEEDS[:5], study.SEEDS[:5]


def tasks_of(part: str, stand_in: bool) -> list[Task]:
    """The tasks of a part, a name in :data:`PARTS`."""
    if part == "comparison":
        return study.comparison(STAND_IN_SEEDS if stand_in else study.SEEDS)
    if part == "sweeps":
        return study.sweeps(SWEEP_SEEDS)
    return queue_study.tasks()


def table_name(part: str, dataset: str) -> str:
    """The name of the stored table of a part on a data set."""
    return f"port-{part}-{dataset}"
