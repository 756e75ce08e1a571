"""Replay: run tasks of the stored tables again, and compare every number with the stored one.

A short replay runs one task of each stratum that is cheap, always the same, and a few more that change
with the commit. A full one runs every task; it continues where it was interrupted and can be split.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from .. import paths
from ..tables import file_text
from . import data, store
from .comparison import compare
from .provenance import git_state
from .running import run_missing, side_by_side
from .study import Study

BUDGET = 12.0  # CPU seconds of one study in a short replay, roughly
LONGEST = 30.0  # CPU seconds of one task in a short replay: longer ones are left to a full one
CHANGING = 2  # tasks that change with the commit
Report = Callable[[], pd.DataFrame]


@dataclass(frozen=True)
class Verdict:
    """What a replay found of one table.

    Attributes
    ----------
    name : of the study or the report.
    agrees : None if it could not be checked.
    text : one line; `details` names each difference.
    """

    name: str
    agrees: bool | None
    text: str
    details: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "\n".join([f"{self.name}: {self.text}", *(f"  {line}" for line in self.details)])


@dataclass(frozen=True)
class Extent:
    """How much to replay: all tasks or a sample, and which part of them.

    Attributes
    ----------
    everything : all tasks, not a sample. shard, shards : tasks ``shard - 1, shard - 1 + shards, ...``.
    """

    everything: bool = False
    shard: int = 1
    shards: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.shard <= self.shards:
            raise ValueError(
                f"shard: found {self.shard}/{self.shards}, expected 1/{self.shards} up"
            )


def replay(study: Study, extent: Extent, folder: Path | None = None, **how: Any) -> Verdict:
    """Run tasks of a study again and compare their rows with the stored ones.

    `how` is passed on to :func:`.running.run_tasks`.

    A table that is not stored, or whose data or optional packages are not here, cannot be checked. One
    that is damaged, of another version, or without some task disagrees.
    """
    began = time.perf_counter()
    try:
        stored, record = store.read_verified(study.name, folder)
    except FileNotFoundError:
        return Verdict(study.name, None, "not stored")
    except ValueError as error:
        return Verdict(study.name, False, f"damaged ({error})")
    identity = data.identity(study.data)
    if identity is None:
        return Verdict(study.name, None, f"not replayed: the data set {study.data} is not here")
    tasks = study.keys(identity, folder)
    if reason := _outdated(study, tasks, stored, record, identity):
        return Verdict(study.name, False, reason)
    chosen = _chosen(study, extent, tasks)
    parts = store.Parts(study.name) if extent.everything else None
    try:
        found = run_missing(study, chosen, parts, **how)
    except ImportError as error:
        return Verdict(study.name, None, f"not replayed: {error}")
    if not chosen:
        return Verdict(study.name, True, f"no task of {len(study.tasks)} in this part")
    result = compare(study, record, stored, store.join(found, chosen))
    lines = tuple(f"{chosen[key]}: {line}" for key, line in result.named.items())
    seconds = time.perf_counter() - began
    text = f"replayed {len(chosen)} of {len(study.tasks)}, {result} ({seconds:.0f} s)"
    return Verdict(study.name, result.agrees, text, lines)


def replay_all(studies: Sequence[Study], extent: Extent, **how: Any) -> Iterator[Verdict]:
    """Replay several studies, and yield each verdict as it is found.

    A sample is short, so whole studies run side by side; otherwise the tasks of one study do. The first
    study compiles the learners' kernels. The others follow from the last one on, so that a second
    process begins where none are needed, and later finds them compiled. `how` is passed on to
    :func:`.running.side_by_side`.
    """
    if extent.everything:
        yield from (replay(study, extent, **how) for study in studies)
        return
    named = {study.name: study for study in [*studies[:1], *reversed(studies[1:])]}
    for _, verdict in side_by_side(_replay_quietly, named, extent, **how):
        yield verdict


def _replay_quietly(study: Study, extent: Extent) -> Verdict:
    return replay(study, extent, progress=False)


def rederive(reports: Mapping[str, Report], folder: Path | None = None) -> Iterator[Verdict]:
    """Derive every report again from the stored tables and compare it with its file in `folder`.

    By default the figures folder. Reports are CSV or JSON files, named by their path in it.
    """
    for name, report in reports.items():
        path = (folder or paths.figures_dir()) / name
        try:
            text = file_text(name, report())
        except FileNotFoundError as error:
            yield Verdict(name, None, f"not derived: {error}")
            continue
        if not path.exists():
            yield Verdict(name, False, "the file is missing")
        elif path.read_text(encoding="utf-8") == text:
            yield Verdict(name, True, "derived again, agrees")
        else:
            yield Verdict(name, False, "DISAGREES with the stored tables")


def strays(studies: Mapping[str, Study], folder: Path | None = None) -> list[Verdict]:
    """A verdict for every stored table that no study declares: nothing could replay it."""
    tables = (folder or paths.results_dir()).glob("*.parquet")
    names = sorted(path.stem for path in tables if path.stem not in studies)
    return [Verdict(name, False, "no study declares this table") for name in names]


def sample(study: Study, changing: str) -> list[int]:
    """The numbers of the tasks of a short replay, ascending.

    The cheapest task of each stratum, by rising cost while they fit in :data:`BUDGET` (at least one),
    and :data:`CHANGING` tasks no dearer than these, drawn by `changing`. Tasks that take longer than
    :data:`LONGEST` are left out.
    """
    costs = [study.cost(task) for task in study.tasks]
    cheapest: dict[Any, int] = {}
    for number in sorted(range(len(costs)), key=lambda n: (costs[n], n)):
        if costs[number] <= LONGEST:
            cheapest.setdefault(study.stratum(study.tasks[number]), number)
    chosen: list[int] = []
    for number in cheapest.values():
        if chosen and sum(costs[n] for n in chosen) + costs[number] > BUDGET:
            break
        chosen.append(number)
    limit = max((costs[n] for n in chosen), default=0.0)
    others = [n for n, cost in enumerate(costs) if cost <= limit and n not in chosen]
    more = random.Random(f"{study.name} {changing}").sample(others, min(CHANGING, len(others)))
    return sorted([*chosen, *more])


def _chosen(study: Study, extent: Extent, tasks: dict[str, Any]) -> dict[str, Any]:
    pairs = list(tasks.items())
    if not extent.everything:
        pairs = [pairs[n] for n in sample(study, str(git_state()["commit"]))]
    return dict(pairs[extent.shard - 1 :: extent.shards])


def _outdated(
    study: Study, tasks: dict[str, Any], stored: pd.DataFrame, record: store.Record, identity: str
) -> str:
    """Why a stored table is not the study's as declared; empty if it is."""
    if record["version"] != study.version:
        return f"stored is version {record['version']}, declared is {study.version}"
    if record["data"]["hash"] != identity:
        return f"stored with other data than the data set {study.data} here"
    there = set(stored[store.KEY])
    if missing := [str(task) for key, task in tasks.items() if key not in there]:
        return f"{len(missing)} of {len(tasks)} tasks are not stored, the first: {missing[0]}"
    more = len(there) - len(tasks)
    return f"{more} stored tasks are not declared" if more else ""
