"""The comparison and the sweeps: which worlds are played, and what comes of each router in them.

All routers of a task share its history, stream and budgets, so differences between them are paired.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from cqb.routing_table import RoutingTable
from . import oracles
from .contenders import CONTENDERS, PUBLISHED
from .metrics import Metrics, measure
from .router import FewSamplesWarning
from .session import replay
from .world import Deal, Task, World, world

SEEDS = tuple(range(42, 62))
SPLITS = (
    *("weighted", "cost", "perf", "uniform", "random"),
    *("extreme 1", "extreme 3", "extreme 5"),
)
# In the sweeps: the published router in both modes, the best of ours, and what they are held against.
SWEPT = ("PORT", "PORT-ref", "PORT-RH+", "Random", "KNN-Cost", "Approx Optimum")
VOLUMES, BUDGETS = (100, 200, 400, 800), (0.25, 0.5, 1.0, 2.0)
MODELS, SHARES, NEIGHBOURS = (2, 4, 8, 11), (0.025, 0.05, 0.1, 0.2), (3, 5, 7, 10)
FIXED_DEAL = SEEDS[0]


def comparison(seeds: Iterable[int] = SEEDS) -> list[Task]:
    """All routers: eight splits of the budget, the family-sorted stream, orders of one fixed deal."""
    seeds, everyone = tuple(seeds), tuple(CONTENDERS)
    return [
        *(Task("split", s, seed, everyone, split=s) for s in SPLITS for seed in seeds),
        *(Task("sorted", "weighted", seed, everyone, by_family=True) for seed in seeds),
        *(Task("order", "fixed deal", FIXED_DEAL, everyone, order=seed) for seed in seeds),
    ]


def sweeps(seeds: Iterable[int] = SEEDS[:10], orders: int = 100) -> list[Task]:
    """Volume, budget, number of models, first phase, neighbours; many orders, many random splits."""
    seeds, published = tuple(seeds), tuple(PUBLISHED)
    base = Task("", "", 0, SWEPT)
    varied = [
        *(replace(base, experiment="volume", setting=f"{n}", queries=n) for n in VOLUMES),
        *(replace(base, experiment="budget", setting=f"{c:g}", c=c) for c in BUDGETS),
        *(replace(base, experiment="models", setting=f"{m}", models=m) for m in MODELS),
        *(
            replace(base, experiment="epsilon", setting=f"{e:g}", epsilon=e, policies=published)
            for e in SHARES
        ),
        *(
            replace(base, experiment="k", setting=f"{k}", k=k, policies=(*published, "PORT-RH"))
            for k in NEIGHBOURS
        ),
    ]
    order = Task("100 orders", "fixed deal", FIXED_DEAL, SWEPT)
    split = Task("100 splits", "random", FIXED_DEAL, SWEPT, split="random")
    return [
        *(replace(task, seed=seed) for seed in seeds for task in varied),
        *(replace(order, order=1000 + o) for o in range(orders)),
        *(replace(split, order=1000 + o) for o in range(orders)),
    ]


def play(task: Task, table: RoutingTable, deal: Deal | None = None) -> list[dict[str, Any]]:
    """One row per policy of a task: experiment, setting, seed, policy, metrics, rp, lpr.

    rp is Perf over that of Approx Optimum, lpr over the optimum of the linear programme on true scores
    and costs. `deal` may be given where one of the task's seed and number of models is at hand.
    """
    here = world(task, deal or Deal(table, task.seed, task.models))
    bound = oracles.lp_value(here.scores, here.costs, here.budgets)
    found = {
        name: outcome(name, here) for name in dict.fromkeys((*task.policies, "Approx Optimum"))
    }
    return [
        {
            "experiment": task.experiment,
            "setting": task.setting,
            "seed": task.chance,
            "policy": name,
            **vars(found[name]),
            "rp": found[name].perf / found["Approx Optimum"].perf,
            "lpr": found[name].perf / bound,
        }
        for name in task.policies
    ]


def outcome(policy: str, here: World) -> Metrics:
    """Metrics of a policy on a world."""
    with warnings.catch_warnings():
        # A slice of 882 queries leaves 23 to fit 11 prices on: that is part of the result.
        warnings.simplefilter("ignore", FewSamplesWarning)
        router, estimates = CONTENDERS[policy](here)
        return measure(replay(router, here.budgets, estimates, here.scores, here.costs))
