"""What an experiment is: its cells, policies, seeds and sizes, and the runs they ask for."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from ..policies import POLICIES, LearnerSettings
from ..simulate import check_assortment_size
from .metrics import checkpoints
from .task import Cell, Task

YARDSTICK = "ORACLE"
STAND_IN = "routerbench-standin"
# Policies without the learner: quick, and its exploration rate is none of theirs.
BASELINES = frozenset({"ORACLE", "Q-UCB", "Q-ThS", "RANDOM"})
LONG_VECTORS = "ACQB-CL-LN"  # its refits are badly conditioned, and take longer


@dataclass(frozen=True)
class Settings:
    """An experiment: every policy in every cell with every seed.

    Policies that are defined for K = 1 only are left out of the other cells. The oracle runs in every
    cell, for the queue-length regret, but is reported only if it is named.

    Attributes
    ----------
    dataset : a name that :func:`cqb.experiment.load_table` knows.
    cells, policies, seeds : what to combine; each without repeats, none empty.
    k1_policies : those of `policies` that are left out where K > 1 for what they cost there.
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
    k1_policies: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "cells", _distinct("cells", self.cells))
        object.__setattr__(self, "policies", _distinct("policies", self.policies))
        seeds = _distinct("seeds", map(operator.index, self.seeds))
        object.__setattr__(self, "seeds", seeds)
        if min(seeds) < 0:
            raise ValueError(f"seeds: found {min(seeds)}, expected integers of at least 0")
        for name in self.policies:
            if name not in POLICIES:
                raise ValueError(f"policy: found {name!r}, expected one of {', '.join(POLICIES)}")
        object.__setattr__(self, "k1_policies", tuple(self.k1_policies))
        if self.pool_size < 1:
            raise ValueError(f"pool_size: found {self.pool_size}, expected at least 1 query")
        checkpoints(self.T, self.checkpoints)
        if not BASELINES.issuperset(self.policies):
            self._check_exploration()

    def _check_exploration(self) -> None:
        rate, lowest = self.learner.exploration_rate, min(c.arrival_rate for c in self.cells)
        if not 0 <= rate <= lowest:
            raise ValueError(
                f"exploration_rate: found {rate}, expected between 0 and the arrival rate {lowest} "
                "(only a fresh arrival is explored)"
            )

    def with_(self, **changes: Any) -> Settings:
        """A copy with some settings changed."""
        return replace(self, **changes)

    def policies_in(self, cell: Cell) -> tuple[str, ...]:
        """The policies reported in `cell`."""
        if cell.K == 1:
            return self.policies
        left_out = self.k1_policies
        return tuple(p for p in self.policies if p not in left_out and not POLICIES[p].k1_only)

    def check_models(self, n_models: int) -> None:
        """Raise ValueError unless every K is below the number of models."""
        for cell in self.cells:
            check_assortment_size(cell.K, n_models)

    def tasks(self) -> list[Task]:
        """Every run of the experiment, in the order in which results are reported."""
        return [
            Task(cell, policy, seed, self.T, self.pool_size, self.learner)
            for cell in self.cells
            for policy in dict.fromkeys((*self.policies_in(cell), YARDSTICK))
            for seed in self.seeds
        ]


def longest_first(tasks: Iterable[Task]) -> list[Task]:
    """The order to run tasks in, so that no core idles while another ends a long one."""
    return sorted(tasks, key=weight, reverse=True)


def weight(task: Task) -> float:
    """Roughly how long a task takes, in units of an ACQB run with K = 1."""
    if task.policy in BASELINES:
        return 0.02
    if task.policy == LONG_VECTORS:
        return 3.0 if task.cell.K == 1 else 20.0
    return 1.0 if task.cell.K == 1 else 4.0


def _distinct(name: str, values: Iterable[Any]) -> tuple[Any, ...]:
    values = tuple(values)
    if not values:
        raise ValueError(f"{name}: found none, expected at least one")
    for position, value in enumerate(values):
        if value in values[:position]:
            raise ValueError(f"{name}: {value} is named twice")
    return values


def _cells(k1: float, k2: float) -> tuple[Cell, ...]:
    """The settings of one experiment: an arrival rate for each assortment size, three lam each."""
    return tuple(Cell(K, lam, rate) for K, rate in ((1, k1), (2, k2)) for lam in (0.0, 1.0, 5.0))


# The paper's settings (arXiv 2602.02061, experiments), each at its first or middle arrival rate.
# ACQB-CL is given vectors of length 1, as ACQB is; ACQB-CL-LN the lengths of the layer norm, as
# published. Such long vectors make a refit at K = 2 five times as dear: the default run, which is to
# take minutes, shows them at K = 1.
ROUTERBENCH = Settings(
    dataset=STAND_IN,
    cells=_cells(0.5, 0.65),
    policies=(
        "ORACLE",
        "ACQB",
        "ACQB-T",
        "ACQB-CL",
        LONG_VECTORS,
        "CQB-eps",
        "Q-UCB",
        "Q-ThS",
        "RANDOM",
    ),
    seeds=tuple(range(42, 52)),
    k1_policies=(LONG_VECTORS,),
)
SPROUT = ROUTERBENCH.with_(
    dataset="sprout-standin",
    cells=_cells(0.8, 0.85),
    learner=LearnerSettings(alpha_coef=1e-3, exploration_rate=0.05),
)
EMBEDLLM = ROUTERBENCH.with_(dataset="embedllm-standin", cells=_cells(0.4, 0.55))
# What the default run shows of the two larger sets: fewer seeds and rounds, on their stand-ins.
SHORT: dict[str, Any] = {"seeds": (42, 43, 44), "T": 2000}
EXPERIMENTS = {
    "03_routerbench": ROUTERBENCH,
    "04_sprout": SPROUT.with_(**SHORT),
    "05_embedllm": EMBEDLLM.with_(**SHORT),
}


def _at_all_rates(
    settings: Settings, dataset: str, rates: dict[int, tuple[float, ...]]
) -> Settings:
    """The settings of a set with every policy at every arrival rate, stored under a name of its own."""
    cells = [Cell(K, lam, rate) for K in rates for rate in rates[K] for lam in (0.0, 1.0, 5.0)]
    return settings.with_(dataset=f"{dataset}-paper", cells=tuple(cells), k1_policies=())


# All of the paper's settings, on real rows: `make paper`.
PAPER = {
    "routerbench": _at_all_rates(
        ROUTERBENCH, "routerbench", {1: (0.5, 0.6, 0.7), 2: (0.65, 0.75, 0.85)}
    ),
    "sprout": _at_all_rates(SPROUT, "sprout", {1: (0.7, 0.8, 0.9), 2: (0.75, 0.85, 0.95)}),
    "embedllm": _at_all_rates(EMBEDLLM, "embedllm", {1: (0.3, 0.4, 0.5), 2: (0.45, 0.55, 0.65)}),
}
