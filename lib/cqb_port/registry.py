"""Every router of the comparison and every system of the queue, by its printed name.

The baselines have the names of arXiv 2509.02718; Predictor-* replace its Roberta-*.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from cqb.policies import POLICIES, Service
from cqb.simulate import Policy
from cqb.streams import Streams

from .adaptive import EVERY, AdaptivePort, port_rh_plus
from .baselines import BatchSplit, CostRouter, PerfRouter, Planned, RandomRouter, optimal_plan
from .features import Estimates
from .queue_policies import FirstInFirstOut, Priced, expected_attempts
from .queueing import QueueScenario
from .router import Port, PortSettings, Router, few_samples_expected
from .scenario import Scenario, approximate, nearest, nearest_left_out
from .session import Ledger, Metrics, measure, replay


class Contender(NamedTuple):
    """A router of the comparison: the estimates that it is given, and how it is made."""

    estimates: Callable[[Scenario], Estimates]
    router: Callable[[Scenario], Router]


def published(here: Scenario) -> Estimates:
    """The published estimates of a scenario's stream, (M, N): means over exact neighbours."""
    return here.arriving(nearest(here.partition, here.task.k))


def _approximate(here: Scenario) -> Estimates:
    return here.arriving(approximate(here.partition, here.task.k))


def _predicted(here: Scenario) -> Estimates:
    return here.arriving(here.partition.predicted)


def _truth(here: Scenario) -> Estimates:
    return Estimates(here.scores, here.costs)


def _port(here: Scenario, mode: str) -> Router:
    settings = PortSettings(epsilon=here.task.epsilon, mode=mode)
    return Port(here.budgets, here.horizon, settings, random=here.random("first phase"))


def _with_history(here: Scenario, every: int | None) -> Router:
    known = nearest_left_out(here.partition, here.task.k)
    return AdaptivePort(here.budgets, here.horizon, every=every, history=known)


def _first_phase(here: Scenario) -> Router:
    return AdaptivePort(here.budgets, here.horizon, random=here.random("first phase"))


def _plus(here: Scenario) -> Router:
    return port_rh_plus(here.budgets, here.horizon, here.partition.predicted_left_out)


def _random(here: Scenario) -> Router:
    return RandomRouter(here.budgets, here.horizon, random=here.random("baseline"))


def _planned(estimates: Callable[[Scenario], Estimates]) -> Contender:
    return Contender(estimates, lambda here: Planned(optimal_plan(estimates(here), here.budgets)))


def _best_score(estimates: Callable[[Scenario], Estimates]) -> Contender:
    return Contender(estimates, lambda here: PerfRouter())


def _most_left(estimates: Callable[[Scenario], Estimates]) -> Contender:
    return Contender(estimates, lambda here: CostRouter(here.budgets))


PUBLISHED = {
    "PORT": Contender(published, partial(_port, mode="dual")),
    "PORT-ref": Contender(published, partial(_port, mode="reference")),
}
OURS = {
    "PORT-R": Contender(published, _first_phase),
    "PORT-H": Contender(published, partial(_with_history, every=None)),
    "PORT-RH": Contender(published, partial(_with_history, every=EVERY)),
    "PORT-RH+": Contender(_predicted, _plus),
}
BASELINES = {
    "Random": Contender(published, _random),
    "Greedy-Perf": _best_score(_approximate),
    "Greedy-Cost": _most_left(_approximate),
    "KNN-Perf": _best_score(published),
    "KNN-Cost": _most_left(published),
    "BatchSplit": Contender(published, lambda here: BatchSplit(here.budgets)),
    "Predictor-Perf": _best_score(_predicted),
    "Predictor-Cost": _most_left(_predicted),
}
ORACLES = {"Approx Optimum": _planned(published), "Optimum": _planned(_truth)}
ROUTERS: dict[str, Contender] = {**PUBLISHED, **OURS, **BASELINES, **ORACLES}
REFERENCE = "Approx Optimum"  # whose Perf the relative Perf is measured by


def play(name: str, here: Scenario) -> Metrics:
    """The metrics of a router, by its name, in a scenario."""
    contender = ROUTERS[name]
    with few_samples_expected():
        router = contender.router(here)
    outcome = replay(router, here.budgets, contender.estimates(here), here.scores, here.costs)
    return measure(outcome)


def _queued(
    here: Scenario, ledger: Ledger, known: Estimates, coming: Estimates, make: Callable[..., Router]
) -> FirstInFirstOut:
    """A priced router in the queue, for the budgets per attempt that a query is expected to need."""
    attempts = expected_attempts(here.partition.history, known, here.budgets, here.horizon)
    router = make(here.budgets / attempts, here.horizon)
    return FirstInFirstOut(router, here.arriving(coming), ledger, attempts)


def _queued_port(here: Scenario, queue: QueueScenario, ledger: Ledger) -> FirstInFirstOut:
    dealt, k = here.partition, here.task.k
    make = partial(Port, random=here.random("first phase"))
    return _queued(here, ledger, nearest_left_out(dealt, k), nearest(dealt, k), make)


def _queued_plus(here: Scenario, queue: QueueScenario, ledger: Ledger) -> FirstInFirstOut:
    known = here.partition.predicted_left_out
    make = partial(port_rh_plus, known=known)
    return _queued(here, ledger, known, here.partition.predicted, make)


def _learner(name: str, K: int, here: Scenario, queue: QueueScenario, ledger: Ledger) -> Policy:
    environment, T = queue.environment, queue.outcome.size
    service = Service(environment.contexts, len(here.budgets), K, T, queue.arrival_rate)
    return POLICIES[name].make(service, Streams(here.task.noise_seed), environment)


def _acqb_with_prices(here: Scenario, queue: QueueScenario, ledger: Ledger) -> Policy:
    prices = _queued_plus(here, queue, ledger)
    learner = _learner("ACQB", 1, here, queue, ledger)
    return Priced(learner, prices, queue.environment.contexts)


# The PORT family is given the history; ACQB starts without any, as published.
SYSTEMS: dict[str, Callable[[Scenario, QueueScenario, Ledger], Policy]] = {
    "PORT": _queued_port,
    "PORT-RH+": _queued_plus,
    "ACQB, K = 1": partial(_learner, "ACQB", 1),
    "ACQB, K = 2": partial(_learner, "ACQB", 2),
    "ACQB + prices": _acqb_with_prices,
    "RANDOM": partial(_learner, "RANDOM", 1),
}
