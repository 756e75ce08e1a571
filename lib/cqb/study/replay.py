"""Replay: run tasks of the stored tables again, and compare every number with the stored one.

A short replay runs one task of each stratum that is cheap, always the same, and one of the others that
changes with the commit. A full one runs every task; it resumes where it was interrupted and can be
split.
"""

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any

import pandas as pd

from .. import paths
from ..tables import file_text
from . import data, store
from .comparison import compare
from .provenance import git_state
from .running import side_by_side
from .study import Study

BUDGET = 2.5  # CPU seconds of the tasks of a study that every short replay runs, roughly
LONGEST = 7.0  # CPU seconds of one task in a short replay: longer ones are left to a full one
CHANGING = 1  # tasks that change with the commit
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

    Raises ValueError if `shard` is not from 1 to `shards`.
    """

    everything: bool = False
    shard: int = 1
    shards: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.shard <= self.shards:
            n = self.shards
            raise ValueError(f"shard: found {self.shard}/{n}, expected one from 1/{n} to {n}/{n}")


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
    chosen = _chosen(study, extent, tasks, stored)
    if not chosen:
        return Verdict(
            study.name, None, f"not replayed: no task of {len(study.tasks)} in this part"
        )
    parts = store.Parts(study.name) if extent.everything else None
    try:
        found = study.run_missing(chosen, parts, **how)
    except ImportError as error:
        return Verdict(study.name, None, f"not replayed: {error}")
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
    for _, verdict in side_by_side(partial(replay, progress=False), named, extent, **how):
        yield verdict


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


def sample(study: Study, changing: str, costs: Sequence[float] | None = None) -> list[int]:
    """The numbers of the tasks of a short replay, ascending.

    The cheapest task of each stratum, by rising cost while they fit in :data:`BUDGET` (at least one),
    and :data:`CHANGING` tasks that `changing` draws from the other strata, so that many commits replay
    them all. Tasks that take longer than :data:`LONGEST` are left out.

    Parameters
    ----------
    costs : CPU seconds of each task; by default those that the study declares.
    """
    costs = [study.cost(task) for task in study.tasks] if costs is None else costs
    strata = [study.stratum(task) for task in study.tasks]
    short = [n for n, cost in enumerate(costs) if cost <= LONGEST]
    cheapest: dict[Any, int] = {}
    for number in sorted(short, key=lambda n: (costs[n], n)):
        cheapest.setdefault(strata[number], number)
    spent = list(accumulate(costs[n] for n in cheapest.values()))
    always = [n for n, cost in zip(cheapest.values(), spent, strict=True) if cost <= BUDGET]
    always = always or list(cheapest.values())[:1]
    seen = {strata[n] for n in always}
    others = [n for n in short if strata[n] not in seen] or [n for n in short if n not in always]
    more = random.Random(f"{study.name} {changing}").sample(others, min(CHANGING, len(others)))
    return sorted([*always, *more])


def _chosen(
    study: Study, extent: Extent, tasks: dict[str, Any], stored: pd.DataFrame
) -> dict[str, Any]:
    pairs = list(tasks.items())
    if not extent.everything:
        costs = _measured(study, tasks, stored)
        pairs = [pairs[n] for n in sample(study, str(git_state()["commit"]), costs)]
    return dict(pairs[extent.shard - 1 :: extent.shards])


def _measured(study: Study, tasks: dict[str, Any], stored: pd.DataFrame) -> list[float]:
    """CPU seconds of each task: what it took when it was stored, else what the study declares."""
    timed = stored.groupby(store.KEY)["seconds"].max().dropna() if "seconds" in stored else {}
    return [timed.get(key, study.cost(task)) for key, task in tasks.items()]


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
