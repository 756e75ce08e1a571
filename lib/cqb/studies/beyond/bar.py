"""The comparison of policies with every simple rule that has the same knowledge: settings and policies.

Sixteen settings: four tables, K = 1 and 2, and two regimes. Where prompts come "once", the pool is all
rows but the tuning and refinement rows, none of them comes twice, and the run lasts as long as the pool,
but at most 5,000 rounds. Where they are "recurring", prompts are drawn with replacement from a pool of
at most 1,000, for 5,000 rounds. The arrival rate is 80% of what the oracle can serve of the tuning rows,
rounded to .05.

A policy knows nothing before the first query, or the 110 scored rows of the refinement set, or the
scores of all rows outside pool and refinement set (where prompts come once, these are the tuning rows).
Policies are compared within these classes only, and the last one holds references: no service has such
scores. Where no prompt comes twice, a memory by prompt is one by query, so the rules "-prompt" are left
out there.

Seeds from 100 on are for choosing settings. Those from 200 to 209 judged a first form of our policies,
those from 210 to 219 a second one, and those from 220 to 229 the present one. Those from 230 to 239
judge it again, with another count of lock-ins (:func:`cqb.metrics.lock_ins`). The comparison was written
down before the first reported run, in data/preregistered.json (:func:`preregistered`). Each seed draws
its pool from the rows outside the tuning set, so the pools of different seeds overlap.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from ...environment import from_table, rounds_once
from ...metrics import REFERENCE, checkpoints, lock_ins, narrowed, widened
from ...policies import SIMPLE, LearnerSettings
from ...routing_table import RoutingTable, departure_odds, largest_pool, split_rows
from ...runs import Cell, Task, play, rows_of
from ...study import Study
from ...theory.laws import capacity

ONCE, RECURRING = "once", "recurring"
REGIMES = (ONCE, RECURRING)
LOAD = 0.8  # of the oracle's capacity on the tuning rows
LAM = {"routerbench": 5.0, "paretobandit": 5.0, "zeroeval": 0.0, "llmrouter": 0.0}
# By data set and K; :func:`arrival_rate` of the table.
RATES = {
    "routerbench": {1: 0.7, 2: 0.75},
    "paretobandit": {1: 0.75, 2: 0.75},
    "zeroeval": {1: 0.7, 2: 0.75},
    "llmrouter": {1: 0.3, 2: 0.45},
}
T = 5000  # rounds where prompts recur
CHECKPOINTS = 25

NOTHING, ROWS, SCORES = "nothing", "110 scored rows", "full scores"
WITHOUT_ROWS = tuple(entry.name for entry in SIMPLE)
OPPONENTS = {
    NOTHING: WITHOUT_ROWS,
    ROWS: (*(f"{name}-rows" for name in WITHOUT_ROWS), "INFORMED-rows", "INFORMED-prompt-rows"),
}
OURS = {NOTHING: ("ACQB-recall",), ROWS: ("ACQB-recall-rows",)}
REFERENCES = (REFERENCE, "INFORMED", "INFORMED-prompt")
KNOWLEDGE = {
    **{known: (*OPPONENTS[known], *OURS[known]) for known in OPPONENTS},
    SCORES: REFERENCES,
}
TUNING_SEEDS = (100, 101, 102)
REPORTED_SEEDS = tuple(range(230, 240))


@dataclass(frozen=True)
class Setting:
    """One of the sixteen: a data set, a cell of the service, and a regime of :data:`REGIMES`."""

    data: str
    cell: Cell
    regime: str

    def extent(self, table: RoutingTable) -> tuple[int, int]:
        """The size of the pool, and the rounds of a run."""
        if self.regime == RECURRING:
            return largest_pool(table), T
        size = largest_pool(table, len(table))
        return size, min(T, rounds_once(size, self.cell.arrival_rate))


SETTINGS = tuple(
    Setting(data, Cell(K, LAM[data], RATES[data][K]), regime)
    for data, K, regime in product(LAM, (1, 2), REGIMES)
)


@dataclass(frozen=True)
class BarTask:
    """One policy in one setting with one seed."""

    setting: Setting
    policy: str
    seed: int

    def __str__(self) -> str:
        return f"{self.policy}, {self.setting.regime}, {self.setting.cell}, seed {self.seed}"


def arrival_rate(table: RoutingTable, K: int, lam: float) -> float:
    """The arrival rate of a setting: :data:`LOAD` of the oracle's capacity, rounded to .05."""
    rows = split_rows(table, 0, pool_size=1, refinement_size=0).tuning
    total = np.sort(departure_odds(table.utility(lam)[rows]), axis=1)[:, -K:].sum(axis=1)
    return round(20.0 * LOAD * capacity(total / (1.0 + total))) / 20.0


def policies(regime: str) -> tuple[str, ...]:
    """The policies of a regime, class by class."""
    names = (name for known in KNOWLEDGE.values() for name in known)
    return tuple(name for name in names if regime == RECURRING or "-prompt" not in name)


def run(task: BarTask, table: RoutingTable) -> pd.DataFrame:
    """The rows of a run (:func:`cqb.runs.rows_of`) at 25 checkpoints, with its `regime` and lock-ins.

    The columns `lock_ins` and `served_often` are of the whole run (:func:`cqb.metrics.lock_ins`).
    """
    setting, cell, seed = task.setting, task.setting.cell, task.seed
    size, rounds = setting.extent(table)
    plain = Task(cell, task.policy, seed, rounds, size, LearnerSettings())
    finished = play(plain, table, once=setting.regime == ONCE)
    rows = rows_of(plain, finished, table, checkpoints(rounds, CHECKPOINTS))
    stuck = lock_ins(finished.trajectory, from_table(table, seed, cell.lam, size).odds)
    return narrowed(rows.assign(regime=setting.regime, **stuck))


def comparison(data: str, seeds: Iterable[int], name: str) -> Study:
    """Every policy in every setting of a data set with every seed."""
    which = product((setting for setting in SETTINGS if setting.data == data), seeds)
    return Study(
        name,
        4,
        data,
        tuple(
            BarTask(setting, policy, seed)
            for setting, seed in which
            for policy in policies(setting.regime)
        ),
        run,
        derive=widened,
        cost=lambda task: 1.5 if task.setting.cell.K == 1 else 5.0,
    )


TUNING = tuple(comparison(data, TUNING_SEEDS, f"bar-tuning-{data}") for data in LAM)
REPORTED = tuple(comparison(data, REPORTED_SEEDS, f"bar-{data}") for data in LAM)
STUDIES = (*TUNING, *REPORTED)


def preregistered() -> dict[str, Any]:
    """What data/preregistered.json must say of the code: settings, rounds, seeds, policies."""
    return {
        "settings": [
            {"data": one.data, **asdict(one.cell), "regime": one.regime} for one in SETTINGS
        ],
        "most_rounds": T,
        "seeds": list(REPORTED_SEEDS),
        "policies": {
            known: {"ours": list(OURS[known]), "opponents": list(OPPONENTS[known])}
            for known in OURS
        },
        "references": list(REFERENCES),
    }
