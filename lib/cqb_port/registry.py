"""Every router of the comparison and every system of the queue, by its printed name.

The baselines and oracles have the names of arXiv 2509.02718; Predictor-* replace its Roberta-*. Greedy-*
are the rules on neighbours of an HNSW graph, KNN-* the same on exact neighbours, Predictor-* the same
on the predictions of a trained predictor. The oracles plan with the whole stream at hand. All go through
the same admission, none has a fallback.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from cqb.policies import POLICIES, Service
from cqb.simulate import Policy
from cqb.streams import Streams

from . import checks, dual
from .features import Estimates
from .queueing import ARRIVAL_RATE, FirstInFirstOut, Priced, QueueScenario, expected_attempts
from .router import EVERY, AdaptivePort, Port, few_samples_expected, port_rh_plus
from .scenario import Known, Scenario, approximate, nearest
from .session import DECLINED, Ledger, Router, measure, replay

BATCH = 256  # BatchSplit's mini-batch


class Planned(Router):
    """Follows choices (N,) that were made beforehand, query by query."""

    def __init__(self, choices: np.ndarray) -> None:
        self._rest = np.asarray(choices)

    def choose(self, estimates: Estimates, left: np.ndarray) -> np.ndarray:
        now, self._rest = np.split(self._rest, [estimates.scores.shape[1]])
        return now


class PerfRouter(Router):
    """Greedy-Perf, KNN-Perf: the model of largest estimated score, whatever it costs."""

    def choose(self, estimates: Estimates, left: np.ndarray) -> np.ndarray:
        return estimates.scores.argmax(axis=0)


class CostRouter(Router):
    """Greedy-Cost, KNN-Cost: the model with the largest budget left by its own estimates.

    The estimated cost is charged even where admission then drops the query, so this follows
    what it believes, not what was spent.
    """

    def __init__(self, budgets: np.ndarray) -> None:
        self._believed = checks.budgets(budgets).tolist()

    def choose(self, estimates: Estimates, left: np.ndarray) -> np.ndarray:
        choices, believed = [], self._believed
        for costs in estimates.costs.T.tolist():
            model = believed.index(max(believed))
            believed[model] -= costs[model]
            choices.append(model)
        return np.array(choices, np.int64)


class BatchSplit(Router):
    """Solves each mini-batch as a binary programme under the budgets that it believes are left.

    Admission is separate, under the true budgets; queries that the programme leaves out are lost.
    A batch is what is handed over, cut at `batch` queries. An assignment is x > 1/2; the published code
    tests x == 1, and so drops a few assigned queries to rounding.
    """

    def __init__(self, budgets: np.ndarray, batch: int = BATCH) -> None:
        self._believed, self._batch = checks.budgets(budgets), batch

    def block(self, arrived: int) -> int:
        return self._batch

    def choose(self, estimates: Estimates, left: np.ndarray) -> np.ndarray:
        x = dual.assign(*estimates, np.maximum(self._believed, 0.0), integral=True)
        self._believed = self._believed - (x * estimates.costs).sum(axis=1)
        return np.where(x.any(axis=0), x.argmax(axis=0), DECLINED)


def optimal_plan(estimates: Estimates, budgets: np.ndarray) -> np.ndarray:
    """The linear programme's choice for every query, (n,): argmax_i x_ij, -1 where all are 0.

    On estimates this is Approx Optimum, on true scores and costs Optimum; admission comes after.
    """
    x = dual.assign(*estimates, budgets, integral=False)
    return np.where(x.max(axis=0) > 1e-9, x.argmax(axis=0), DECLINED)


class Contender(NamedTuple):
    """A router of the comparison: the estimates that it is given, and how it is made."""

    estimates: Callable[[Scenario], Estimates]
    router: Callable[[Scenario], Router]


def published(here: Scenario) -> Estimates:
    """The published estimates of a scenario's stream, (M, N): means over exact neighbours."""
    return nearest(here.partition, here.task.k).stream.at(here.rows)


def _approximate(here: Scenario) -> Estimates:
    return approximate(here.partition, here.task.k).at(here.rows)


def _predicted(here: Scenario) -> Estimates:
    return here.partition.predicted.stream.at(here.rows)


def _truth(here: Scenario) -> Estimates:
    return Estimates(here.scores, here.costs)


def _port(here: Scenario, mode: str) -> Router:
    about = {"random": here.random("first phase"), "epsilon": here.task.epsilon}
    return Port(here.budgets, here.horizon, mode=mode, **about)


def _with_history(here: Scenario, every: int | None) -> Router:
    known = nearest(here.partition, here.task.k).history
    return AdaptivePort(here.budgets, here.horizon, every=every, history=known)


def _first_phase(here: Scenario) -> Router:
    return AdaptivePort(here.budgets, here.horizon, random=here.random("first phase"))


def _plus(here: Scenario) -> Router:
    return port_rh_plus(here.budgets, here.horizon, here.partition.predicted.history)


def _random(here: Scenario) -> Router:
    models = here.random("baseline").integers(0, len(here.budgets), size=here.horizon)
    return Planned(models)


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


def play(name: str, here: Scenario) -> dict[str, float]:
    """The metrics of a router, by its name, in a scenario."""
    contender = ROUTERS[name]
    with few_samples_expected():
        router = contender.router(here)
    outcome = replay(router, here.budgets, contender.estimates(here), here.scores, here.costs)
    return measure(outcome)


def _queued(
    here: Scenario, ledger: Ledger, known: Known, make: Callable[..., Router]
) -> FirstInFirstOut:
    """A priced router in the queue, for the budgets per attempt that a query is expected to need."""
    history = here.partition.history
    attempts = expected_attempts(history, known.history, here.budgets, here.horizon)
    with few_samples_expected():
        router = make(here.budgets / attempts, here.horizon)
    return FirstInFirstOut(router, known.stream.at(here.rows), ledger, attempts)


def _queued_port(here: Scenario, queue: QueueScenario, ledger: Ledger) -> FirstInFirstOut:
    known = nearest(here.partition, here.task.k)
    return _queued(here, ledger, known, partial(Port, random=here.random("first phase")))


def _queued_plus(here: Scenario, queue: QueueScenario, ledger: Ledger) -> FirstInFirstOut:
    known = here.partition.predicted
    return _queued(here, ledger, known, partial(port_rh_plus, known=known.history))


def _learner(name: str, K: int, here: Scenario, queue: QueueScenario, ledger: Ledger) -> Policy:
    environment, T = queue.environment, queue.outcome.size
    service = Service(environment.contexts, len(here.budgets), K, T, ARRIVAL_RATE)
    return POLICIES[name].make(service, Streams(here.task.noise_seed), environment)


def _acqb_with_prices(here: Scenario, queue: QueueScenario, ledger: Ledger) -> Policy:
    learner = _learner("ACQB", 1, here, queue, ledger)
    return Priced(learner, _queued_plus(here, queue, ledger), queue.environment.contexts)


# The PORT family is given the history; ACQB starts without any, as published.
SYSTEMS: dict[str, Callable[[Scenario, QueueScenario, Ledger], Policy]] = {
    "PORT": _queued_port,
    "PORT-RH+": _queued_plus,
    "ACQB, K = 1": partial(_learner, "ACQB", 1),
    "ACQB, K = 2": partial(_learner, "ACQB", 2),
    "ACQB + prices": _acqb_with_prices,
    "RANDOM": partial(_learner, "RANDOM", 1),
}
