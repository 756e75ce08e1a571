"""What bursts do to the queue: arrivals of the Azure trace against Bernoulli's at the same load.

The queries are ParetoBandit's, the arrivals those of the trace, cut into rounds. Policies of one seed
meet the same arrivals and outcome draws, of either kind.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from ..arrivals import Trace
from ..metrics import REFERENCE, add_gap, checkpoints
from ..policies import LearnerSettings
from ..runs import Cell, Task, play, rows_of, shares_of
from ..study import Study, data
from .experiments import PARETOBANDIT

VERSION = 1
QUERIES = "paretobandit"
KINDS = ("Bernoulli", "Azure trace")
POLICIES = (REFERENCE, "ACQB", "ACQB-tuned", "TS-memory", "RANDOM")
CELL = Cell(1, 0.0, 0.6)
SEEDS = tuple(range(42, 52))
T, POOL = 5000, 1000


@dataclass(frozen=True)
class Burst:
    """One run of `policy` with one kind of arrivals."""

    arrivals: str
    policy: str
    seed: int
    cell: Cell = CELL
    learner: LearnerSettings = PARETOBANDIT.learner

    def __str__(self) -> str:
        return f"{self.policy}, {self.arrivals}, seed {self.seed}"


def rows(burst: Burst, trace: Trace) -> pd.DataFrame:
    """A run at 50 checkpoints, and its shares of queries that wait; the column `arrivals` says which."""
    table = data.load(QUERIES)
    task = Task(burst.cell, burst.policy, burst.seed, T, POOL, burst.learner)
    run = play(task, table, trace if burst.arrivals == KINDS[1] else None)
    waits = shares_of(task, run, table)
    found = rows_of(task, run, table, checkpoints(T, 50)), waits[waits["view"] == "waits"]
    return pd.concat(found, ignore_index=True).assign(arrivals=burst.arrivals)


def table(found: pd.DataFrame) -> pd.DataFrame:
    """The rows at checkpoints, each with the queue less the oracle's under the same arrivals."""
    kinds = found[found["t"].notna()].groupby("arrivals", sort=False)
    return pd.concat([add_gap(of).assign(arrivals=kind) for kind, of in kinds], ignore_index=True)


STUDIES = {
    "bursts": Study(
        name="bursts",
        version=VERSION,
        data="azure",
        tasks=tuple(Burst(kind, name, s) for kind in KINDS for name in POLICIES for s in SEEDS),
        run=rows,
        stratum=lambda task: (task.arrivals, task.policy),
        cost=lambda task: 3.0 if task.policy.startswith("ACQB") else 0.5,
        default=True,
    )
}
