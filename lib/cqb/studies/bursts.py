"""What bursts do to the queue: arrivals of the Azure trace against Bernoulli's at the same load.

The queries are ParetoBandit's, the arrivals those of the trace, cut into rounds. Policies of one seed
meet the same arrivals and outcome draws, of either kind.
"""

from dataclasses import dataclass

import pandas as pd

from ..arrivals import Trace
from ..metrics import REFERENCE, add_gap
from ..runs import Cell, Task, run_rows, shares_of
from ..study import Study, data
from .experiments import PARETOBANDIT

KINDS = ("Bernoulli", "Azure trace")
POLICIES = (REFERENCE, "ACQB", "ACQB-tuned", "ACQB-recall", "TS-memory", "RANDOM")
CELL = Cell(1, 0.0, 0.6)
SEEDS = tuple(range(42, 52))


@dataclass(frozen=True)
class Burst:
    """A run with one kind of arrivals, a name in :data:`KINDS`."""

    arrivals: str
    task: Task

    def __str__(self) -> str:
        return f"{self.task.policy}, {self.arrivals}, seed {self.task.seed}"


def burst(arrivals: str, policy: str, seed: int, T: int = 5000) -> Burst:
    """The run of a policy with a seed; pool and learner are those of the experiment on the queries."""
    of = PARETOBANDIT
    return Burst(arrivals, Task(CELL, policy, seed, T, of.pool_size, of.learner))


def rows(run: Burst, trace: Trace) -> pd.DataFrame:
    """A run at 50 checkpoints, and its shares of queries that wait; the column `arrivals` says which."""
    queries, arrivals = data.load(PARETOBANDIT.dataset), trace if run.arrivals == KINDS[1] else None
    found = run_rows(run.task, queries, 50, shares_of, arrivals).assign(arrivals=run.arrivals)
    kept = found["t"].notna() | (found["view"] == "waits")
    return found[kept].reset_index(drop=True)


def table(found: pd.DataFrame) -> pd.DataFrame:
    """The rows at checkpoints, each with the queue less the oracle's under the same arrivals."""
    kinds = found[found["t"].notna()].groupby("arrivals", sort=False)
    return pd.concat([add_gap(of).assign(arrivals=kind) for kind, of in kinds], ignore_index=True)


STUDIES = {
    "bursts": Study(
        name="bursts",
        version=2,
        data="azure",
        tasks=tuple(burst(kind, name, s) for kind in KINDS for name in POLICIES for s in SEEDS),
        run=rows,
        stratum=lambda run: (run.arrivals, run.task.policy),
        cost=lambda run: 3.0 if run.task.policy.startswith("ACQB") else 0.5,
        default=True,
    )
}
