"""An experiment: every policy in every cell with every seed, as one table or as a stored study."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import Any

import pandas as pd

from . import backend as backends
from .arrivals import Arrivals, Trace
from .checks import number, several, shown, whole
from .environment import Environment, counts
from .metrics import REFERENCE, narrowed, results_table
from .policies import POLICIES, LearnerSettings
from .policies.base import RunSource
from .routing_table import RoutingTable, largest_pool
from .runs import Cell, More, Task, World, rows_with, run_rows
from .simulate import check_assortment_size
from .study import Study
from .study.running import run_tasks

# Policies without the learner: quick, and its exploration rate does not concern them.
BASELINES = frozenset({"ORACLE", "Q-UCB", "Q-ThS", "RANDOM"})
LONG_VECTORS = "ACQB-CL-LN"  # its refits are badly conditioned, and take longer
PAPER_POLICIES = ("ORACLE", "ACQB", "ACQB-T", "ACQB-CL", "CQB-eps", "Q-UCB", "Q-ThS", "RANDOM")


class OverloadWarning(UserWarning):
    """More queries arrive than the oracle can serve."""


@dataclass(frozen=True)
class Experiment:
    """Every policy in every cell with every seed.

    Policies that are defined for K = 1 only are left out of the other cells. The oracle runs in every
    cell, for the queue-length regret, but is reported only if it is named.

    Attributes
    ----------
    dataset : name of the data set (:func:`cqb.study.data.load`).
    cells, policies, seeds : what to combine; each without repeats, none empty.
    T : rounds of a run. pool_size : queries in a run's job pool (of a routing table).
    learner : settings of the ACQB family.
    checkpoints : after how many of the rounds results are reported.

    Raises
    ------
    ValueError
        A value is out of range, unknown, repeated or missing; the message names it.
    """

    dataset: str
    cells: tuple[Cell, ...]
    policies: tuple[str, ...]
    seeds: tuple[int, ...]
    T: int = 5000
    pool_size: int = 1000
    learner: LearnerSettings = field(default_factory=LearnerSettings)
    checkpoints: int = 50

    def __post_init__(self) -> None:
        object.__setattr__(self, "cells", _distinct("cells", self.cells))
        policies = several("policies", self.policies, "names of policies")
        object.__setattr__(self, "policies", _distinct("policies", policies))
        seeds = several("seeds", self.seeds, "whole numbers, one for each run of a policy")
        seeds = _distinct("seeds", (whole("seeds", seed) for seed in seeds))
        object.__setattr__(self, "seeds", seeds)
        for name in ("T", "pool_size", "checkpoints"):
            object.__setattr__(self, name, whole(name, getattr(self, name), 1))
        for name in self.policies:
            if name not in POLICIES:
                raise ValueError(f"policy: found {name!r}, expected one of {', '.join(POLICIES)}")
        if not isinstance(self.learner, LearnerSettings):
            raise ValueError(f"learner: found {shown(self.learner)}, expected LearnerSettings")
        rate, lowest = self.learner.exploration_rate, min(c.arrival_rate for c in self.cells)
        if not (0 <= rate <= lowest or BASELINES.issuperset(self.policies)):
            raise ValueError(
                f"exploration_rate: found {rate}, expected between 0 and the arrival rate {lowest} "
                "(only a fresh arrival is explored)"
            )

    def with_(self, **changes: Any) -> Experiment:
        """A copy with some settings changed."""
        return replace(self, **changes)

    def policies_in(self, cell: Cell) -> tuple[str, ...]:
        """The policies reported in `cell`."""
        return tuple(p for p in self.policies if cell.K == 1 or not POLICIES[p].k1_only)

    def tasks(self) -> tuple[Task, ...]:
        """Every run of the experiment, in the order in which results are reported."""
        return tuple(
            Task(cell, policy, seed, self.T, self.pool_size, self.learner)
            for cell in self.cells
            for policy in dict.fromkeys((*self.policies_in(cell), REFERENCE))
            for seed in self.seeds
        )

    def table(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The results table of :meth:`rows`, columns :data:`cqb.metrics.COLUMNS`."""
        return results_table(rows[rows["t"].notna()], self.policies)

    def study(self, name: str, version: int, more: More | None = None, **about: Any) -> Study:
        """The experiment as a study whose table is stored.

        Parameters
        ----------
        more : gives further rows of a run; it leaves the column `t` empty.
        about : further attributes of the :class:`.Study`.
        """
        return Study(
            name=name,
            version=version,
            data=self.dataset,
            tasks=self.tasks(),
            run=lambda task, world: narrowed(run_rows(task, world, self.checkpoints, more)),
            settings={"checkpoints": self.checkpoints},
            derive=self.table,
            together=lambda tasks, world, xp: (
                (key, narrowed(rows))
                for key, rows in rows_together(tasks, world, xp, self.checkpoints, more)
            ),
            stratum=lambda task: (task.policy, task.cell.K),
            cost=seconds_of,
            **about,
        )


def rows_together(
    tasks: Mapping[Any, Task],
    world: World,
    xp: ModuleType,
    count: int,
    more: More | None = None,
    arrivals: Arrivals | None = None,
) -> Iterator[tuple[Any, pd.DataFrame]]:
    """The key and the rows (:func:`run_rows`) of the tasks that can run side by side on a GPU.

    Parameters
    ----------
    xp : CuPy, or another array library to run on (:func:`cqb.batched.play_together`).
    """
    from .batched import knows, play_together  # only for a GPU

    known = {key: task for key, task in tasks.items() if knows(task, arrivals)}
    for key, finished in play_together(known, world, xp.zeros(1), backends.free_bytes(xp)):
        yield key, rows_with(tasks[key], finished, world, count, more)


def seconds_of(task: Task) -> float:
    """Roughly the CPU seconds of a run."""
    single, pair = (3.0, 40.0) if task.policy == LONG_VECTORS else (1.0, 4.0)
    each = 0.03 if task.policy in BASELINES else single if task.cell.K == 1 else pair
    return each * task.T / 5000


def run(
    world: World,
    policies: Iterable[str] | str | None = None,
    *,
    K: int = 1,
    lam: float = 0.0,
    arrival_rate: float = 0.5,
    T: int = 5000,
    seeds: Iterable[int] | int = range(42, 52),
    learner: LearnerSettings | None = None,
    pool_size: int | None = None,
    arrivals: Arrivals | None = None,
    checkpoints: int = 50,
    workers: int = 1,
    executor: Executor | None = None,
    progress: bool | None = None,
    backend: str | None = None,
) -> pd.DataFrame:
    """Run policies in one setting of the service and report how they did.

    >>> import cqb
    >>> table = cqb.datasets.load("routerbench-standin")
    >>> tidy = cqb.run(table, ["ACQB", "RANDOM"], T=300, seeds=[1])
    >>> final = tidy[tidy["t"] == 300].set_index("policy")["regret"]
    >>> bool(final["ACQB"] < final["RANDOM"])
    True

    Parameters
    ----------
    world : an encoded routing table (each seed draws a job pool of `pool_size` rows from it, by default
        as many as the rows allow, at most 1,000) or an environment (used as it is, for every seed).
    policies : printed names in :data:`cqb.POLICIES`, or one; by default the paper's, those that this K
        and this world allow for.
    K : models offered at once. arrival_rate : queries per round on average. T : rounds.
    lam : weight of a dollar against a point of score; 0 for an environment or a table without costs.
    arrivals : how many queries arrive in each round, (T,) whole numbers, or a :class:`.Trace` that is
        cut into rounds at `arrival_rate`. By default at most one arrives, with that chance.
    seeds : whole numbers, or one: one run per policy and seed.
    learner : settings of the ACQB family.
    checkpoints : after how many of the rounds to report.
    workers : processes side by side (1: all in this process). executor : takes their place, for
        instance Dask's.
    progress : show a progress bar; by default where stderr is a terminal.
    backend : "auto", "numpy" or "cupy" (:mod:`cqb.backend`): where runs advance side by side.

    Returns
    -------
    A row per policy, seed and checkpoint t, with the columns :data:`cqb.metrics.COLUMNS`, which
    :func:`cqb.metrics.measure` explains; `gap` is the queue minus that of the oracle.

    Raises
    ------
    ValueError
        A setting is of a wrong kind or out of range, a policy is unknown or not defined for this K, the
        table is not encoded or too small.
    BackendError
        The backend is unknown, or has no GPU to run on.
    """
    xp = backends.choose(backend)
    if not isinstance(world, RoutingTable | Environment):
        expected = "a routing table (cqb.datasets.load) or an environment"
        raise ValueError(f"world: found {shown(world)}, expected {expected}")
    if arrivals is None:
        number("arrival_rate", arrival_rate, high=1.0, expected="a number in [0, 1]")
    elif not isinstance(arrivals, Trace):
        arrivals = counts(arrivals, whole("T", T, 1))
        arrival_rate = arrivals.mean()
    if pool_size is None:
        pool_size = largest_pool(world) if isinstance(world, RoutingTable) else world.pool_size
    cell = Cell(K, number("lam", lam), number("arrival_rate", arrival_rate))
    names = _papers_policies(world, cell.K) if policies is None else policies
    settings = (T, pool_size, LearnerSettings() if learner is None else learner, checkpoints)
    experiment = Experiment(world.name, (cell,), names, seeds, *settings)
    _check(experiment, cell, world, arrivals)
    about = {"count": experiment.checkpoints, "arrivals": arrivals}
    how = {"workers": workers, "executor": executor, "progress": progress, "backend": xp}
    rows, together = (functools.partial(one, **about) for one in (run_rows, rows_together))
    tasks = dict(enumerate(experiment.tasks()))
    found = run_tasks(tasks, rows, world, cost=seconds_of, together=together, **how)
    return experiment.table(pd.concat([found[n] for n in tasks], ignore_index=True))


def _check(experiment: Experiment, cell: Cell, world: World, arrivals: Arrivals | None) -> None:
    """Raise ValueError for what would stop a run in the one cell of an experiment."""
    if isinstance(world, Environment) and cell.lam != 0:
        raise ValueError(f"lam: found {cell.lam}, but an environment has no costs to weigh")
    if left_out := set(experiment.policies) - set(experiment.policies_in(cell)):
        names = ", ".join(sorted(left_out))
        raise ValueError(f"policy: {names} is defined for K = 1 only, found K = {cell.K}")
    source = RunSource(world, experiment.seeds[0], cell.lam, experiment.pool_size)
    environment = source.environment()
    check_assortment_size(cell.K, environment.n_models)
    if arrivals is not None and cell.arrival_rate > (most := environment.capacity(cell.K)):
        warnings.warn(
            f"arrivals: found {cell.arrival_rate:.3g} queries a round, more than the {most:.3g} that "
            "the oracle can serve: every queue grows",
            OverloadWarning,
            stacklevel=3,
        )


def _papers_policies(world: World, K: int) -> list[str]:
    """The paper's policies that K and the world allow for."""
    on_table, found = isinstance(world, RoutingTable), [POLICIES[name] for name in PAPER_POLICIES]
    found = [entry for entry in found if K == 1 or not entry.k1_only]
    return [entry.name for entry in found if on_table or not entry.needs_table]


def _distinct(name: str, values: Iterable[Any]) -> tuple[Any, ...]:
    values = tuple(values)
    if not values:
        raise ValueError(f"{name}: found none, expected at least one")
    if twice := [value for value in values if values.count(value) > 1]:
        raise ValueError(f"{name}: {twice[0]} is named twice")
    return values
