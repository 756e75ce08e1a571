"""Playing many tasks: finished ones are kept as they come, so an interrupted run goes on.

The file they are kept in is named by the code and the data behind them; nothing in it is ever taken for
the work of other code or other data.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import pandas as pd

from cqb.experiment.code_hash import code_hash
from cqb.experiment.provenance import digest
from cqb.routing_table import RoutingTable
from . import queue_study, study
from .world import Deal, Task

Rows = list[dict[str, Any]]
Progress = Callable[[int, int], None]
Player = Callable[[Task, RoutingTable, Deal], Rows]
# What plays a part of the study, and the code behind its rows, with all that it imports.
PLAYERS: dict[str, tuple[Player, str]] = {
    "comparison": (study.play, "related.port.study"),
    "sweeps": (study.play, "related.port.study"),
    "queue": (queue_study.play, "related.port.queue_study"),
}


def perform(
    part: str,
    tasks: Sequence[Task],
    table: RoutingTable,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """The rows of all tasks, in their order.

    Parameters
    ----------
    part : a name in :data:`PLAYERS`.
    folder : keeps finished tasks; None keeps nothing. progress : called with (tasks done, in all).
    """
    play, module = PLAYERS[part]
    store = None if folder is None else folder / store_name(module, table)
    done = _read(store)
    names = [digest(task) for task in tasks]
    # Tasks of one deal side by side: its estimates are then worked out once.
    rest = [task for name, task in zip(names, tasks, strict=True) if name not in done]
    deal = None
    for (seed, models), group in groupby(sorted(rest, key=_of_deal), key=_of_deal):
        deal = Deal(table, seed, models, deal if deal is not None and deal.seed == seed else None)
        for task in group:
            name = digest(task)
            done[name] = play(task, table, deal)
            _append(store, name, done[name])
            if progress is not None:
                progress(sum(name in done for name in names), len(names))
    return pd.DataFrame([row for name in names for row in done[name]])


def store_name(module: str, table: RoutingTable) -> str:
    """The file in which finished tasks on a table are kept."""
    return f"tasks-{code_hash(module)[:12]}-{table.data_hash()[:12]}.jsonl"


def _of_deal(task: Task) -> tuple[int, int]:
    return task.seed, task.models


def _append(store: Path | None, name: str, rows: Rows) -> None:
    if store is None:
        return
    store.parent.mkdir(parents=True, exist_ok=True)
    with store.open("a", encoding="utf-8") as file:
        file.write(json.dumps([name, rows]) + "\n")


def _read(store: Path | None) -> dict[str, Rows]:
    """Finished tasks on file; a line that was cut off by an interruption is left out."""
    done: dict[str, Rows] = {}
    if store is None or not store.exists():
        return done
    for line in store.read_text(encoding="utf-8").splitlines():
        try:
            name, rows = json.loads(line)
        except ValueError:
            continue
        done[name] = rows
    return done
