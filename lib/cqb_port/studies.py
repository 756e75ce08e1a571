"""The studies of PORT, and their reports.

- comparison: every router in eight splits of the budget, on a stream sorted by family, and in many
  orders of one fixed stream
- sweeps: volume, budget, number of models, first phase, neighbours; many orders, many random splits
- queue: PORT and ACQB in one queue with retrials

All routers of a scenario share history, stream and budgets, so differences between them are paired.
On the stand-in the studies are shorter: it supports no claim.

The comparison on ParetoBandit has the same settings: a history of 60%, k = 5, a first phase of 2.5% (18
of 714 queries, for 3 prices), c = 1. Three models allow seven of the splits. At c = 1 no split gives the
dearest model more than 1.2 times its mean cost, so one more setting raises the total to what the middle
model needs for every query: c = 17. These choices follow from costs and sizes alone.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import pandas as pd

from cqb.routing_table import RoutingTable
from cqb.study import Study

from . import dual, registry, summaries
from .queueing import ARRIVAL_RATE, queue_scenario, serve
from .scenario import SPLITS, Scenario, Task, scenario
from .session import Ledger

REAL, STAND_IN, THREE_MODELS = "routerbench", "routerbench-standin", "paretobandit"
SPLITS_OF_THREE = (*SPLITS[:6], "extreme 2")  # at least one model is not favoured
MIDDLE = 17.0  # mean cost of ParetoBandit's middle model over that of its cheapest, rounded
SEEDS = tuple(range(42, 62))
# In the sweeps: the published router in both modes, the best of ours, and three to compare with.
SWEPT = ("PORT", "PORT-ref", "PORT-RH+", "Random", "KNN-Cost", "Approx Optimum")
FIXED_SEED = SEEDS[0]  # of the stream whose order alone varies
MANY = range(1000, 1100)  # orders of that stream
# CPU seconds of the slower policies; the predictor of a seed takes as long as several scenarios.
SECONDS = {"PORT-R": 0.15, "PORT-RH": 0.25, "PORT-RH+": 0.55, "BatchSplit": 0.35}
SECONDS |= {"ACQB + prices": 1.5}
PREDICTING, PREDICTOR_SECONDS = {"PORT-RH+", "ACQB + prices"}, 5.5


def comparison(seeds: Sequence[int] = SEEDS, splits: Sequence[str] = SPLITS) -> list[Task]:
    """All routers: splits of the budget, the family-sorted stream, orders of one fixed stream."""
    everyone = tuple(registry.ROUTERS)
    return [
        *(Task("split", s, seed, everyone, split=s) for s in splits for seed in seeds),
        *(Task("sorted", "weighted", seed, everyone, by_family=True) for seed in seeds),
        *(Task("order", "fixed deal", FIXED_SEED, everyone, order=seed) for seed in seeds),
    ]


def comparison_of_three(seeds: Sequence[int] = SEEDS) -> list[Task]:
    """The comparison on ParetoBandit, and there a budget that every model has a use for."""
    name, everyone = f"weighted, c = {MIDDLE:g}", tuple(registry.ROUTERS)
    larger = [Task("split", name, seed, everyone, c=MIDDLE) for seed in seeds]
    return [*comparison(seeds, SPLITS_OF_THREE), *larger]


def sweeps(seeds: Sequence[int] = SEEDS[:5]) -> list[Task]:
    """Volume, budget, number of models, first phase, neighbours; many orders, many random splits."""
    published = tuple(registry.PUBLISHED)
    base = partial(Task, seed=0, policies=SWEPT)
    phase = partial(base, "epsilon", policies=published)
    neighbours = partial(base, "k", policies=(*published, "PORT-RH"))
    varied = [
        *(base("volume", f"{n}", queries=n) for n in (100, 200, 400, 800)),
        *(base("budget", f"{c:g}", c=c) for c in (0.25, 0.5, 1.0, 2.0)),
        *(base("models", f"{m}", models=m) for m in (2, 4, 8, 11)),
        *(phase(f"{e:g}", epsilon=e) for e in (0.025, 0.05, 0.1, 0.2)),
        *(neighbours(f"{k}", k=k) for k in (3, 5, 7, 10)),
    ]
    fixed = partial(Task, seed=FIXED_SEED, policies=SWEPT)
    return [
        *(replace(task, seed=seed) for seed in seeds for task in varied),
        *(fixed("100 orders", "fixed deal", order=order) for order in MANY),
        *(fixed("100 splits", "random", split="random", order=order) for order in MANY),
    ]


def queue(seeds: Sequence[int] = SEEDS[:10]) -> list[Task]:
    """One scenario a seed, on the weighted split of the budget; a task for each system."""
    setting = f"arrival rate {ARRIVAL_RATE:g}"
    return [Task("queue", setting, seed, (name,)) for seed in seeds for name in registry.SYSTEMS]


def run(task: Task, table: RoutingTable) -> pd.DataFrame:
    """A row per policy of a task, with what it reached and the columns that name it."""
    here = scenario(task, table)
    rows = _queued(here) if task.experiment == "queue" else _routed(here)
    about = {"dataset": table.name, "stand_in": table.stand_in}
    about |= {"experiment": task.experiment, "setting": task.setting, "seed": task.noise_seed}
    return pd.DataFrame([{**about, "policy": name, **rows[name]} for name in task.policies])


def _routed(here: Scenario) -> dict[str, dict[str, float]]:
    """The metrics of each router, rp and lpr.

    rp is Perf over that of Approx Optimum, lpr over the optimum of the linear programme on true scores
    and costs.
    """
    bound = dual.lp_value(here.scores, here.costs, here.budgets)
    names = dict.fromkeys((*here.task.policies, registry.REFERENCE))
    rows = {name: registry.play(name, here) for name in names}
    reference = rows[registry.REFERENCE]["perf"]
    for row in rows.values():
        row |= {"rp": row["perf"] / reference, "lpr": row["perf"] / bound}
    return rows


def _queued(here: Scenario) -> dict[str, dict[str, float]]:
    """What each system reached in the queue, with the fields of :class:`.queueing.Report`."""
    queued, rows = queue_scenario(here), {}
    for name in here.task.policies:
        ledger = Ledger(here.budgets)
        policy = registry.SYSTEMS[name](here, queued, ledger)
        rows[name] = serve(queued, policy, ledger)._asdict()
    return rows


def cost(task: Task) -> float:
    """Rough CPU seconds of a task; many tasks share the predictor of the fixed seed."""
    own = task.seed != FIXED_SEED and not PREDICTING.isdisjoint(task.policies)
    return 0.15 + own * PREDICTOR_SECONDS + sum(SECONDS.get(name, 0.0) for name in task.policies)


def stratum(task: Task) -> tuple[str, ...]:
    """What a short replay runs once: an experiment with one way of splitting the budget."""
    system = task.policies if task.experiment == "queue" else ()
    return task.experiment, task.split.split()[0], *system


def _study(part: str, dataset: str, tasks: list[Task], version: int = 1) -> Study:
    name = f"port-{part}-{dataset}"
    return Study(name, version, dataset, tuple(tasks), run, stratum=stratum, cost=cost)


STUDIES = {
    study.name: study
    for study in (
        _study("comparison", REAL, comparison(), version=2),
        _study("sweeps", REAL, sweeps()),
        _study("queue", REAL, queue()),
        _study("comparison", THREE_MODELS, comparison_of_three()),
        _study("comparison", STAND_IN, comparison(SEEDS[:5]), version=2),
        _study("queue", STAND_IN, queue()),
    )
}


def _report(*names: str) -> pd.DataFrame:
    """The summaries of some studies' tables, one below the other."""
    return pd.concat([summaries.summarise(STUDIES[name].read()) for name in names])


REPORTS = {
    "real/port_summary.csv": partial(
        _report, "port-comparison-routerbench", "port-comparison-paretobandit"
    ),
    "real/port_sweeps.csv": partial(_report, "port-sweeps-routerbench"),
    "real/port_queue.csv": partial(_report, "port-queue-routerbench"),
    "port_summary.csv": partial(_report, "port-comparison-routerbench-standin"),
    "port_queue.csv": partial(_report, "port-queue-routerbench-standin"),
}
