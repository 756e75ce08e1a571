"""Does ACQB-recall depend on what its tuning rows happen to be? Three worlds on the same texts.

All have ParetoBandit's vectors. The first has its recorded answers. In the second departure rates lie in
[.25, .75] instead of [.1, .99], so no hypothesis of ACQB-recall has the right rates. In the third each
model's utility is a random linear function of the vector, as in the paper (arXiv 2602.02061; theory
A2): a failure says nothing that the text does not, and a learner that trusts it little should lose.

K = 1, lam = 0. The arrival rate is .6, or what is about 80% of the oracle's capacity where that is less.
"""

from dataclasses import dataclass, replace
from itertools import product

import pandas as pd

from ...environment import Environment, from_table
from ...metrics import REFERENCE, narrowed, results_table
from ...policies import LearnerSettings
from ...routing_table import RoutingTable, departure_odds
from ...runs import Cell, Task, run_rows
from ...study import Study
from ...synthetic import linear_odds

RECORDED, SQUEEZED, LINEAR = "recorded answers", "rates in [.25, .75]", "random linear utilities"
RATES = {RECORDED: 0.6, SQUEEZED: 0.6, LINEAR: 0.45}  # arrivals a round, by world
OURS = "ACQB-recall"
POLICIES_COMPARED = (
    *(OURS, "TS-memory", "TS-memory-prompt"),
    *("ACQB-tuned", "ACQB-P-tuned", "ACQB-P-tuned-prompt", REFERENCE),
)
SEEDS = tuple(range(200, 210))
CHECKPOINTS = 25


@dataclass(frozen=True)
class RobustTask:
    """One policy in one world, a key of :data:`RATES`, with one seed."""

    world: str
    policy: str
    seed: int
    arrival_rate: float
    T: int = 2000
    pool_size: int = 1000

    def __str__(self) -> str:
        return f"{self.policy}, {self.world}, seed {self.seed}"


def environment(world: str, table: RoutingTable, seed: int, pool_size: int) -> Environment:
    """The world of this name on the job pool that the seed draws; its name is in the environment's."""
    made = from_table(table, seed, 0.0, pool_size)
    odds, generated = made.odds, table.stand_in
    if world == SQUEEZED:
        odds = departure_odds(table.utility(0.0)[made.rows], 0.25, 0.75)
    elif world == LINEAR:
        odds, generated = linear_odds(made.contexts[made.context_of], made.n_models, seed), True
    return replace(made, odds=odds, name=f"{table.name}, {world}", stand_in=generated)


def run(task: RobustTask, table: RoutingTable) -> pd.DataFrame:
    """The rows of a run (:func:`cqb.runs.rows_of`); the column `dataset` says in which world."""
    made = environment(task.world, table, task.seed, task.pool_size)
    cell = Cell(1, 0.0, task.arrival_rate)
    plain = Task(cell, task.policy, task.seed, task.T, task.pool_size, LearnerSettings())
    return narrowed(run_rows(plain, made, CHECKPOINTS))


TASKS = tuple(
    RobustTask(world, policy, seed, RATES[world])
    for world, policy, seed in product(RATES, POLICIES_COMPARED, SEEDS)
)
STUDIES = (
    Study(
        "robust-paretobandit",
        3,
        "paretobandit",
        TASKS,
        run,
        derive=results_table,
        cost=lambda task: 2.0 if task.policy.startswith("ACQB") else 0.3,
        # Linear utilities are sums of products, whose last digits differ between releases of BLAS.
        tolerance={"regret": 1e-4},
    ),
)
