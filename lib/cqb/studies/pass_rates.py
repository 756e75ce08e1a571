"""What the answer to "is a retry a fresh draw?" is worth, on EvalPerf's pass rates.

Two versions of one table. With fresh draws a retry succeeds at the measured pass rate, as in the paper
(arXiv 2602.02061). With recorded answers the outcome of each (prompt, model) pair is drawn once for a
seed, from that rate, and a retry repeats it. Both versions have the same odds of a first attempt, and a
seed the same prompts, arrivals and outcome draws.

Of the 118 tasks the 80 with a prompt are used: a fifth for tuning, a fifth as the scored rows of the
policies "-rows", and 48 in the pool. So each prompt comes some 30 times in 2,000 rounds; more rounds
would say more about recurring prompts than about retries. INFORMED is given the 16 tuning rows here,
not a thousand, and ACQB-CL is left out, since it refines vectors on 110 rows. The arrival rate is 85%
of what the oracle can serve on the tuning rows (.92 with fresh draws, .99 with recorded answers),
rounded to .05, and the lower of the two in both versions.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product

import numpy as np
import pandas as pd

from ..environment import Environment, from_rates
from ..experiments import PAPER_POLICIES, seconds_of
from ..metrics import narrowed, results_table
from ..policies import LearnerSettings
from ..policies.base import ScoredRows
from ..routing_table import RoutingTable, split_rows
from ..runs import Cell, Task, prepare, rows_with
from ..stats import final_summary, paired
from ..streams import Streams
from ..study import Study
from ..tables import select
from .experiments import BEYOND

FRESH, RECORDED = "fresh draws", "recorded answers"
KINDS = (FRESH, RECORDED)
ATTEMPTS = 100  # behind each pass rate
POOL, SCORED = 48, 16
CELL = Cell(1, 0.0, 0.8)
SEEDS = tuple(range(42, 52))
COMPARED = (
    *(name for name in PAPER_POLICIES if name != "ACQB-CL"),
    *BEYOND,
    *("ACQB-recall", "ACQB-recall-rows", "ACQB-tuned-rows"),
)
# Policies that know what failed a query, and the policy to compare each with: a learner of text without
# that knowledge and with as many scored rows. TS-memory reads no text; it is compared with ACQB.
WITHOUT_MEMORY = {
    "TS-memory": "ACQB",
    "ACQB-P": "ACQB",
    "ACQB-P-tuned": "ACQB-tuned",
    "ACQB-recall": "ACQB-tuned",
    "ACQB-recall-rows": "ACQB-tuned-rows",
}


@dataclass(frozen=True, eq=False)
class Scenario:
    """An environment, and the scored rows "refinement" and "rest" outside its pool."""

    environment: Environment
    rows: dict[str, ScoredRows]

    def scored_rows(self, policy: str, which: str) -> ScoredRows:
        """The rows that a policy is given, as :class:`cqb.policies.base.RunSource` gives them."""
        return self.rows[which]


@dataclass(frozen=True)
class Retry:
    """A run in one version of the table, a name in :data:`KINDS`."""

    retries: str
    task: Task

    def __str__(self) -> str:
        return f"{self.task.policy}, {self.retries}, seed {self.task.seed}"


def retry(retries: str, policy: str, seed: int, T: int = 2000) -> Retry:
    """The run of a policy with a seed, with the default settings of the learner."""
    return Retry(retries, Task(CELL, policy, seed, T, POOL, LearnerSettings()))


def with_text(table: RoutingTable) -> RoutingTable:
    """The rows of a table that have a prompt."""
    rows = np.flatnonzero([bool(prompt.strip()) for prompt in table.prompts])
    names = ("ids", "prompts", "families")
    texts = {field: [getattr(table, field)[row] for row in rows] for field in names}
    vectors = table.embeddings[rows]
    return replace(table, scores=table.scores[rows], embeddings=vectors, **texts)


def recorded(rates: np.ndarray, seed: int) -> np.ndarray:
    """An answer of each pair, 0 or 1, drawn from its rate, float64 (n, N).

    Served with the odds of a rate of 0 or 1 (:func:`.from_rates`), the chance of a first success is the
    clipped rate.
    """
    half = 0.5 / ATTEMPTS
    uniform = Streams(seed).generator("recorded answers").random(rates.shape)
    chance = (np.clip(rates, half, 1.0 - half) - half) / (1.0 - 2.0 * half)
    return (uniform < chance).astype(float)


@lru_cache(maxsize=2)  # successive tasks share one
def version(
    retries: str, table: RoutingTable, seed: int, pool_size: int = POOL, scored: int = SCORED
) -> Scenario:
    """The environment of a version, and its "refinement" rows (scored) and "rest" (tuning rows).

    Scored rows hold what the version serves: pass rates, or one recorded answer of each pair.
    """
    texts = with_text(table)
    rates = texts.scores if retries == FRESH else recorded(texts.scores, seed)
    where = split_rows(texts, seed, pool_size, scored)

    def served(rows: np.ndarray) -> Environment:
        name = f"{table.name}, {retries}"
        made = from_rates(name, texts.embeddings[rows], rates[rows], attempts=ATTEMPTS)
        return replace(made, stand_in=table.stand_in, rows=rows)

    known = {"refinement": where.refinement, "rest": where.tuning}
    scored_rows = {
        name: ScoredRows(texts.embeddings[rows], served(rows).odds) for name, rows in known.items()
    }
    return Scenario(served(where.pool), scored_rows)


def rows(run: Retry, table: RoutingTable) -> pd.DataFrame:
    """A run at 50 checkpoints; the column `dataset` says which version it is of."""
    task = run.task
    made = version(run.retries, table, task.seed, task.pool_size)
    finished = replace(prepare(task, made.environment), source=made).play()
    return narrowed(rows_with(task, finished, made.environment, 50))


def effect_of_memory(table: pd.DataFrame, t: int | None = None) -> pd.DataFrame:
    """Regret of each policy in :data:`WITHOUT_MEMORY` less that of the other, paired by seed.

    It is that after round `t`, by default the last. Columns of :func:`cqb.stats.paired` and `against`, a
    row per version and policy.
    """
    found = [
        paired(select(table, policy=(policy, base)), base, t).assign(against=base)
        for policy, base in WITHOUT_MEMORY.items()
    ]
    return pd.concat(found, ignore_index=True)


STUDIES = {
    "rates-evalperf": Study(
        name="rates-evalperf",
        version=3,
        data="evalperf",
        tasks=tuple(retry(*which) for which in product(KINDS, COMPARED, SEEDS)),
        run=rows,
        derive=results_table,
        stratum=lambda run: (run.retries, run.task.policy),
        cost=lambda run: seconds_of(run.task),
    )
}


REPORTS = {"real/rates_summary.csv": lambda: final_summary(STUDIES["rates-evalperf"].read())}
