"""The predictions of :mod:`cqb.theory` and the studies of their runs.

Every prediction has a check that measures it (E7 and R7 share one, R1 to R4 another) and a judgement.
The checks come in three sizes, each of which makes four studies: laws (nothing is learned), learners,
the queues of R10 round by round, and the rate runs. Those of the full size are stored, and
``theory_verdicts.json`` is derived from them. Other sizes are run where they are wanted:

>>> study("rates", "ci").name
'theory-rates-ci'
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pandas as pd

from ..study import Study
from ..theory import Check, Row, Task, exact, learning, queueing, rates, records

SIZES = ("ci", "quick", "full")
KINDS = {
    "laws": ("E1", "E2", "E3", "E4", "E5", "E8", "E10", "R6", "R10 preset"),
    "learners": ("E6", "E7", "E9", "R5", "R8", "R9", "R11"),
    "plateau": ("R10",),
    "rates": ("R1",),
}
# Columns of whole numbers, which pandas makes floats in a table where some rows have no value.
COUNTS = {"K", "M", "N", "assortments", "forced", "n", "psi", "rounds", "survived", "t"}
Rows = dict[str, pd.DataFrame]  # by check


@dataclass(frozen=True)
class Runs:
    """The runs of a check.

    Attributes
    ----------
    run : the rows of a task. cases : what is varied. seconds : CPU seconds per thousand rounds.
    sizes : for each of :data:`SIZES`, the number of seeds and T.
    """

    run: Callable[[Task], Row | list[Row] | pd.DataFrame]
    cases: Iterable[Any]
    seconds: float
    sizes: tuple[tuple[int, int | tuple[int, ...]], ...]

    def tasks(self, check: str, seeds: int, T: int | tuple[int, ...]) -> list[Task]:
        """Every case with every seed."""
        cases = [case if isinstance(case, tuple) else (case,) for case in self.cases]
        return [Task(check, case, seed, T) for case in cases for seed in range(seeds)]


MEMORY = [(N, rule) for N in (4, 11) for rule in queueing.MEMORIES]
HORIZONS = ((250, 500, 1_000), (250, 500, 1_000, 2_000, 4_000), (500, 1_000, 2_000, 4_000, 8_000))
LONG = (600, 2_500, 5_000)
SAMPLES = ((1, 20_000), (1, 200_000), (1, 1_000_000))
QUEUES = ((10, 5_000), (20, 10_000), (30, 20_000))
SWITCHES = ((20, 120), (80, 200), (300, 400))
COVERAGE = tuple(zip((6, 20, 60), LONG, strict=True))
PLATEAUS = tuple(zip((1, 4, 30), LONG, strict=True))

RUNS = {
    "E1": Runs(exact.best_assortments, [()], 0.2, ((1, 30), (1, 100), (1, 100))),
    "E2": Runs(exact.service_orders, [()], 0.5, ((6, 6), (20, 8), (20, 10))),
    "E3": Runs(queueing.one_queue, [()], 0.01, QUEUES),
    "E4": Runs(queueing.idle_share, queueing.ORDERS, 0.01, QUEUES),
    "E5": Runs(queueing.fixed_rules, queueing.RULES, 0.01, QUEUES),
    "E6": Runs(exact.switching, exact.SWITCHED, 0.8, ((5, 120), (20, 200), (75, 400))),
    "E7": Runs(exact.divergence, ["ACQB"], 1.1, SWITCHES),
    "E8": Runs(exact.optimism, (1, 2, 3, 4, 8), 0.0007, SAMPLES),
    "E9": Runs(exact.exploration, ["ACQB"], 0.3, COVERAGE),
    "E10": Runs(queueing.memory_serves, MEMORY, 0.01, QUEUES),
    "R1": Runs(rates.grow, rates.POLICIES, 0.15, tuple(zip((6, 20, 60), HORIZONS, strict=True))),
    "R5": Runs(rates.adversarial, ["CQB-Opt"], 0.2, COVERAGE),
    "R6": Runs(queueing.growth, queueing.OVERLOADS, 0.04, ((10, 2_500), (20, 5_000), (30, 10_000))),
    "R8": Runs(learning.information, ["ACQB"], 0.3, COVERAGE),
    "R9": Runs(learning.coverage, ["ACQB"], 0.4, COVERAGE),
    "R10": Runs(learning.plateau, learning.EPSILONS, 0.32, PLATEAUS),
    "R10 preset": Runs(learning.preset, [()], 0.003, ((200, 2_000),) * 3),
    "R11": Runs(learning.radius, learning.RADII, 0.4, tuple(zip((3, 4, 10), LONG, strict=True))),
}
JUDGES: dict[str, Callable[[pd.DataFrame], Check]] = {
    "E1": exact.judge_assortments,
    "E2": exact.judge_orders,
    "E3": queueing.judge_one_queue,
    "E4": queueing.judge_idle_share,
    "E5": queueing.judge_fixed_rules,
    "E6": exact.judge_switching,
    "E7": exact.judge_bound,
    "E8": exact.judge_optimism,
    "E9": exact.judge_exploration,
    "E10": queueing.judge_memory,
    **{id: partial(rates.judge_slope, *about) for id, about in rates.SLOPES.items()},
    "R5": rates.judge_adversarial,
    "R6": queueing.judge_growth,
    "R7": exact.judge_sum,
    "R8": learning.judge_information,
    "R9": learning.judge_coverage,
    "R10": learning.judge_plateau,
    "R11": learning.judge_radius,
}
# The checks whose rows a prediction is judged by, where that is not one of its own name.
JUDGED_BY = {"R2": ["R1"], "R3": ["R1"], "R4": ["R1"], "R7": ["E7"], "R10": ["R10", "R10 preset"]}


def run(task: Task, data: None = None) -> pd.DataFrame:
    """The rows of one task, with the columns `check`, `seed` and `T`."""
    found = RUNS[task.check].run(task)
    rows = pd.DataFrame([found] if isinstance(found, dict) else found)
    named = {"check": task.check, "seed": task.seed, "T": task.T}
    return rows.assign(**{name: value for name, value in named.items() if name not in rows})


def size(check: str, setting: str) -> tuple[int, int | tuple[int, ...]]:
    """The number of seeds and T of a check at one of :data:`SIZES`."""
    return RUNS[check].sizes[SIZES.index(setting)]


def study(kind: str, setting: str) -> Study:
    """The study of a kind (a key of :data:`KINDS`) and a size (one of :data:`SIZES`)."""
    tasks = [task for c in KINDS[kind] for task in RUNS[c].tasks(c, *size(c, setting))]
    # Sums of products: their last digits differ between releases of BLAS.
    tolerance = {"difference": 1e-12, "largest ratio": 1e-6}
    about = {"stratum": _stratum, "cost": _cost, "tolerance": tolerance}
    return Study(f"theory-{kind}-{setting}", 1, None, tuple(tasks), run, **about)


def _stratum(task: Task) -> tuple[str, ...]:
    """The check and its case but for real numbers (a load, a factor), which the same code reads."""
    return task.check, *(str(part) for part in task.case if not isinstance(part, float))


def _cost(task: Task) -> float:
    rounds = sum(task.T) if isinstance(task.T, tuple) else task.T
    return 0.05 + RUNS[task.check].seconds * rounds / 1_000


def measured(setting: str, **how: Any) -> Rows:
    """The rows of every check at one size; `how` is passed on to :meth:`cqb.study.Study.rows`."""
    return _by_check(study(kind, setting).rows(**how) for kind in KINDS)


def _by_check(tables: Iterable[pd.DataFrame]) -> Rows:
    """The rows of each check, with its own columns; counts are integers again."""
    parts = {}
    for check, rows in (part for table in tables for part in table.groupby("check")):
        own = rows.dropna(axis=1, how="all")
        parts[check] = own.astype(dict.fromkeys(COUNTS & {*own}, int))
    return parts


def judged(id: str, rows: Rows, setting: str = "") -> Check:
    """The verdict on prediction `id`, from the rows of :func:`measured`."""
    found = JUDGES[id](pd.concat([rows[check] for check in JUDGED_BY.get(id, [id])]))
    return replace(found, id=id, setting=setting)


def verdicts() -> pd.DataFrame:
    """The verdicts at the full size from the stored tables, a row per prediction."""
    rows = _by_check(one.stored_rows() for one in STUDIES.values())
    return records([judged(id, rows, "full") for id in JUDGES])


def fitted_slopes() -> pd.DataFrame:
    """The slopes of all policies at the full size, from the stored table."""
    return rates.slopes(STUDIES["theory-rates-full"].stored_rows()).round(4)


STUDIES = {one.name: one for one in (study(kind, "full") for kind in KINDS)}
REPORTS = {"theory_verdicts.json": verdicts, "theory_slopes.csv": fitted_slopes}
