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
from .scenario import Scenario
from .session import Ledger, Metrics, measure, replay


class Contender(NamedTuple):
    """A router of the comparison: the estimates that it is given, and how it is made."""

    estimates: Callable[[Scenario], Estimates]
    router: Callable[[Scenario], Router]


def nearest(here: Scenario) -> Estimates:
    """The published estimates of a scenario's stream, (M, N): means over exact neighbours."""
    return here.arriving(here.partition.nearest(here.task.k))


def _approximate(here: Scenario) -> Estimates:
    return here.arriving(here.partition.approximate(here.task.k))


def _predicted(here: Scenario) -> Estimates:
    return here.arriving(here.partition.predicted)


def _truth(here: Scenario) -> Estimates:
    return Estimates(here.scores, here.costs)


def _port(mode: str, here: Scenario) -> Router:
    settings = PortSettings(epsilon=here.task.epsilon, mode=mode)
    return Port(here.budgets, here.horizon, settings, random=here.random("first phase"))


def _port_r(here: Scenario) -> Router:
    return AdaptivePort(here.budgets, here.horizon, random=here.random("first phase"))


def _with_history(every: int | None, here: Scenario) -> Router:
    known = here.partition.nearest_left_out(here.task.k)
    return AdaptivePort(here.budgets, here.horizon, every=every, history=known)


def _port_rh_plus(here: Scenario) -> Router:
    return port_rh_plus(here.budgets, here.horizon, here.partition.predicted_left_out)


def _random(here: Scenario) -> Router:
    return RandomRouter(here.budgets, here.horizon, random=here.random("baseline"))


def _best_score(here: Scenario) -> Router:
    return PerfRouter()


def _most_left(here: Scenario) -> Router:
    return CostRouter(here.budgets)


def _batch_split(here: Scenario) -> Router:
    return BatchSplit(here.budgets)


def _optimum(estimates: Callable[[Scenario], Estimates], here: Scenario) -> Router:
    return Planned(optimal_plan(estimates(here), here.budgets))


PUBLISHED = {
    "PORT": Contender(nearest, partial(_port, "dual")),
    "PORT-ref": Contender(nearest, partial(_port, "reference")),
}
OURS = {
    "PORT-R": Contender(nearest, _port_r),
    "PORT-H": Contender(nearest, partial(_with_history, None)),
    "PORT-RH": Contender(nearest, partial(_with_history, EVERY)),
    "PORT-RH+": Contender(_predicted, _port_rh_plus),
}
BASELINES = {
    "Random": Contender(nearest, _random),
    "Greedy-Perf": Contender(_approximate, _best_score),
    "Greedy-Cost": Contender(_approximate, _most_left),
    "KNN-Perf": Contender(nearest, _best_score),
    "KNN-Cost": Contender(nearest, _most_left),
    "BatchSplit": Contender(nearest, _batch_split),
    "Predictor-Perf": Contender(_predicted, _best_score),
    "Predictor-Cost": Contender(_predicted, _most_left),
}
ORACLES = {
    "Approx Optimum": Contender(nearest, partial(_optimum, nearest)),
    "Optimum": Contender(_truth, partial(_optimum, _truth)),
}
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
    known: Estimates,
    estimates: Estimates,
    make: Callable[..., Router],
    here: Scenario,
    ledger: Ledger,
) -> FirstInFirstOut:
    """A priced router in the queue, for the budgets per attempt that a query is expected to need."""
    attempts = expected_attempts(here.partition.history, known, here.budgets, here.horizon)
    router = make(here.budgets / attempts, here.horizon)
    return FirstInFirstOut(router, here.arriving(estimates), ledger, attempts)


def _queued_port(here: Scenario, queue: QueueScenario, ledger: Ledger) -> FirstInFirstOut:
    known = here.partition.nearest_left_out(here.task.k)
    make = partial(Port, random=here.random("first phase"))
    return _queued(known, here.partition.nearest(here.task.k), make, here, ledger)


def _queued_port_rh_plus(here: Scenario, queue: QueueScenario, ledger: Ledger) -> FirstInFirstOut:
    known = here.partition.predicted_left_out
    make = partial(port_rh_plus, known=known)
    return _queued(known, here.partition.predicted, make, here, ledger)


def _learner(name: str, K: int, here: Scenario, queue: QueueScenario, ledger: Ledger) -> Policy:
    environment, T = queue.environment, queue.outcome.size
    service = Service(environment.contexts, len(here.budgets), K, T, queue.arrival_rate)
    return POLICIES[name].make(service, Streams(here.task.noise_seed), environment)


def _acqb_with_prices(here: Scenario, queue: QueueScenario, ledger: Ledger) -> Policy:
    prices = _queued_port_rh_plus(here, queue, ledger)
    learner = _learner("ACQB", 1, here, queue, ledger)
    return Priced(learner, prices, queue.environment.contexts)


# The PORT family is given the history; ACQB starts without any, as published.
SYSTEMS: dict[str, Callable[[Scenario, QueueScenario, Ledger], Policy]] = {
    "PORT": _queued_port,
    "PORT-RH+": _queued_port_rh_plus,
    "ACQB, K = 1": partial(_learner, "ACQB", 1),
    "ACQB, K = 2": partial(_learner, "ACQB", 2),
    "ACQB + prices": _acqb_with_prices,
    "RANDOM": partial(_learner, "RANDOM", 1),
}
