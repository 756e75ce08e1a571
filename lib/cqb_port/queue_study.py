"""PORT and ACQB on one footing: every system on the same arrivals, outcomes, budgets and queries."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

from cqb.policies import POLICIES, Service
from cqb.routing_table import RoutingTable
from cqb.simulate import Policy
from cqb.streams import Streams
from .admission import Ledger
from .beyond import BeyondPort, plus
from .features import Estimates
from .queue_policies import FirstInFirstOut, Priced, expected_attempts
from .router import FewSamplesWarning, Port
from .stage import Stage, serve, stage
from .world import Deal, Task, World, world

SEEDS = tuple(range(42, 52))
ARRIVAL_RATE = 0.5  # queries per round, as in the ACQB paper's comparison for K = 1


def tasks(seeds: Sequence[int] = SEEDS) -> list[Task]:
    """One world a seed, on the weighted split of the budget."""
    return [Task("queue", f"arrival rate {ARRIVAL_RATE:g}", seed, tuple(SYSTEMS)) for seed in seeds]


def play(task: Task, table: RoutingTable, deal: Deal | None = None) -> list[dict[str, Any]]:
    """One row per system of a task: experiment, setting, seed, policy, and the report's fields."""
    here = world(task, deal or Deal(table, task.seed, task.models))
    platform = stage(here, ARRIVAL_RATE)
    rows = []
    for name in task.policies:
        purse = Ledger(here.budgets)
        with warnings.catch_warnings():
            # A slice of 882 queries leaves 23 to fit 11 prices on: that is part of the result.
            warnings.simplefilter("ignore", FewSamplesWarning)
            policy = SYSTEMS[name](here, platform, purse)
        about = {"experiment": task.experiment, "setting": task.setting, "seed": task.chance}
        rows.append({**about, "policy": name, **serve(platform, policy, purse)._asdict()})
    return rows


def _port(here: World, platform: Stage, purse: Ledger) -> Policy:
    known, estimates = here.deal.nearest_left_out(here.task.k), here.deal.nearest(here.task.k)
    attempts = expected_attempts(here.deal.history, known, here.budgets, here.horizon)
    router = Port(here.budgets / attempts, here.horizon, random=here.random("first phase"))
    return FirstInFirstOut(router, here.arriving(estimates), purse, attempts)


def _ours(here: World, purse: Ledger) -> tuple[BeyondPort, FirstInFirstOut, Estimates]:
    known, estimates = here.deal.predicted_left_out, here.arriving(here.deal.predicted)
    attempts = expected_attempts(here.deal.history, known, here.budgets, here.horizon)
    router = plus(here.budgets / attempts, here.horizon, known)
    return router, FirstInFirstOut(router, estimates, purse, attempts), estimates


def _port_rh_plus(here: World, platform: Stage, purse: Ledger) -> Policy:
    return _ours(here, purse)[1]


def _learner(name: str, K: int) -> Callable[[World, Stage, Ledger], Policy]:
    def make(here: World, platform: Stage, purse: Ledger) -> Policy:
        contexts, T = platform.environment.contexts, platform.outcome.size
        service = Service(contexts, len(here.budgets), K, T, platform.arrival_rate)
        return POLICIES[name].make(service, Streams(here.task.chance), platform.environment)

    return make


def _acqb_with_prices(here: World, platform: Stage, purse: Ledger) -> Policy:
    router, prices, estimates = _ours(here, purse)
    learner = _learner("ACQB", 1)(here, platform, purse)
    return Priced(learner, router, prices, platform.environment.contexts, estimates.costs)


# The PORT family is given the history; ACQB starts knowing nothing, as published.
SYSTEMS: dict[str, Callable[[World, Stage, Ledger], Policy]] = {
    "PORT": _port,
    "PORT-RH+": _port_rh_plus,
    "ACQB, K = 1": _learner("ACQB", 1),
    "ACQB, K = 2": _learner("ACQB", 2),
    "ACQB + prices": _acqb_with_prices,
    "RANDOM": _learner("RANDOM", 1),
}
