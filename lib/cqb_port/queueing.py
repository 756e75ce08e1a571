"""One queue with retrials and hard budgets, for PORT and ACQB alike (arXiv 2509.02718, 2602.02061).

Queries of one stream arrive one by one and wait. In each round one waiting query is served: every
model offered runs and is paid its full cost, whatever the user does. The user picks one of the
answers and leaves, or goes back to the end of the queue. An attempt runs only if every model's
budget admits its cost; a query that is declined, or whose attempt does not fit, leaves as lost.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import expit

from cqb.environment import Environment, pooled_environment
from cqb.mnl import Assortment, sample_choice
from cqb.policies.acqb import ThompsonLearner
from cqb.routing_table import departure_odds
from cqb.simulate import RETRY, Decision, Policy, Waiting
from cqb.streams import Streams

from . import dual
from .features import Estimates, History
from .router import PricedRouter, best_models
from .scenario import Scenario
from .session import DECLINED, Ledger

ARRIVAL_RATE = 0.5  # queries per round, as in the ACQB paper's comparison for K = 1
ATTEMPTS = 12  # rounds set aside per query; even at the lowest departure rate, 0.1, it takes 10
R_LOW, R_HIGH = 0.1, 0.99  # departure probabilities of the lowest and the highest score
REPEATS = 5  # of the fixed point of expected attempts; it converges in two or three


class Report(NamedTuple):
    """What became of a stream of n queries.

    perf : total score of the picked answers. cost : dollars, failed attempts included.
    departed, lost : queries. attempts : that ran. wait : mean rounds from arrival to departure, of those
    that departed. wait_95 : its 95% quantile. queue : mean length over the rounds played.
    """

    perf: float
    cost: float
    departed: int
    lost: int
    attempts: int
    wait: float
    wait_95: float
    queue: float


@dataclass(frozen=True, eq=False)
class QueueScenario:
    """A stream as the queue meets it.

    Attributes
    ----------
    environment : the stream's queries as a pool, entry j being arrival j. scores, costs : (M, n).
    arrives : (T,) bool. outcome : (T,) uniforms.
    """

    environment: Environment
    scores: np.ndarray
    costs: np.ndarray
    arrives: np.ndarray
    outcome: np.ndarray


def queue_scenario(here: Scenario) -> QueueScenario:
    """The queue of a scenario, with arrivals and outcomes drawn by the task's noise seed.

    Departure probabilities are those of the ACQB paper's settings at lam = 0: scores are stretched to
    0.1 to 0.99.
    """
    vectors = here.partition.vectors[here.rows]
    environment = pooled_environment("port queue", True, vectors, departure_odds(here.scores.T))
    T = int(2 * here.horizon / ARRIVAL_RATE) + ATTEMPTS * here.horizon
    streams = Streams(here.task.noise_seed)
    arrives = streams.uniforms("arrivals", T) < ARRIVAL_RATE
    outcome = streams.uniforms("outcomes", T)
    return QueueScenario(environment, here.scores, here.costs, arrives, outcome)


def serve(here: QueueScenario, policy: Policy, ledger: Ledger) -> Report:
    """Run a policy until every query has left.

    `ledger` holds the budgets; a policy that consults what is left shares it.

    Raises
    ------
    RuntimeError
        Queries still wait after the rounds that the scenario has draws for.
    """
    environment, (_, n), T = here.environment, here.scores.shape, here.outcome.size
    queue: list[int] = []
    arrived, departed, score = np.zeros(n, int), np.zeros(n, int), np.zeros(n)
    came = lost = attempts = waited = 0
    fresh = False
    for t in range(1, T + 1):
        if came == n and not queue:
            break
        if queue:
            contexts = environment.context_of[queue].tolist()
            waiting = Waiting(list(queue), contexts, list(queue), fresh)
            position, offered, _ = policy.choose(t, waiting)
            query = queue.pop(position)
            if offered and ledger.charge(offered, here.costs[:, query]):
                attempts += 1
                pick = _pick(environment.odds[query], offered, here.outcome[t - 1])
                policy.observe(t, query, contexts[position], offered, pick)
                if pick == RETRY:
                    queue.append(query)
                else:
                    departed[query], score[query] = t, here.scores[pick, query]
            else:
                lost += 1
        fresh = came < n and bool(here.arrives[t - 1])
        if fresh:
            arrived[came] = t
            queue.append(came)
            came += 1
        waited += len(queue)
    else:
        raise RuntimeError(f"{len(queue)} queries still wait after {T} rounds")
    left = departed > 0
    waits = (departed - arrived)[left] if left.any() else np.zeros(1)
    mean, late = float(waits.mean()), float(np.quantile(waits, 0.95))
    money = float(score.sum()), float(ledger.spent.sum())
    return Report(*money, int(left.sum()), lost, attempts, mean, late, waited / (t - 1))


def _pick(odds: np.ndarray, offered: Assortment, outcome: float) -> int:
    """The model that the user picks among those offered, given the odds (M,), or RETRY."""
    weights = np.concatenate([[1.0], odds[list(offered)]])
    return (RETRY, *offered)[int(sample_choice(weights / weights.sum(), outcome))]


def expected_attempts(history: History, known: Estimates, budgets: np.ndarray, n: int) -> float:
    """Attempts per served query that the history leads to expect of PORT's rule, at least 1.

    A recorded answer fails again with the same probability, so a query needs 1 / r attempts at its
    model. Which models queries are sent to depends on the prices, and these on the attempts that the
    budgets (for n arrivals) must pay for: a fixed point.

    Parameters
    ----------
    known : leave-one-out estimates (M, E) of the history.
    """
    E, attempts = len(history), 1.0
    tries = 1.0 + 1.0 / departure_odds(history.scores.T)
    for _ in range(REPEATS):
        prices = dual.solve(*known, budgets * (E / n) / attempts)
        model = best_models(prices.gamma, known)
        sent = np.flatnonzero(model != DECLINED)
        if sent.size == 0:
            return attempts
        attempts = float(tries[sent, model[sent]].mean())
    return attempts


class FirstInFirstOut:
    """PORT's routing in the queue: the head is served, first come first served.

    The router meets a query once, when it is first served, so its horizon counts arrivals. A
    retrying query is compared with the prices again.

    Parameters
    ----------
    router : made for the budgets divided by `attempts`, the number a query is expected to need.
    estimates : (M, n) of the stream. ledger : what is left.
    """

    def __init__(
        self, router: PricedRouter, estimates: Estimates, ledger: Ledger, attempts: float
    ) -> None:
        self.router, self.estimates = router, estimates
        self._ledger, self._attempts = ledger, attempts
        self._first: dict[int, int] = {}

    def choose(self, t: int, waiting: Waiting) -> Decision:
        model = self.model(waiting.query[0])
        return Decision(0, () if model == DECLINED else (model,))

    def model(self, query: int) -> int:
        """The model for a query at the current prices, or DECLINED."""
        part, left = self.estimates.at(slice(query, query + 1)), self.left
        if query not in self._first:
            self._first[query] = int(self.router.choose(part, left)[0])
            return self._first[query]
        if self.router.gamma is None:  # PORT's random first phase
            return self._first[query]
        return int(self.router.by_prices(part, left)[0])

    @property
    def left(self) -> np.ndarray:
        """What remains, (M,) dollars, per attempt that a query is expected to need."""
        return self._ledger.left / self._attempts

    def observe(self, *served: object) -> None:
        """Learns nothing from outcomes, as published."""


class Priced:
    """ACQB's learning and scheduling, K = 1, with the model chosen under PORT's prices.

    The query is the one that ACQB would serve. Its model has the largest learnt score less the price of
    the estimated cost, a score being what the learnt departure probability represents; no model, if
    none is worth its price. Forced exploration does not change.

    Parameters
    ----------
    learner : an ACQB policy. prices : updates the prices, and is asked about every query served.
    contexts : (C, d).
    """

    def __init__(
        self, learner: ThompsonLearner, prices: FirstInFirstOut, contexts: np.ndarray
    ) -> None:
        self._learner, self._prices, self._contexts = learner, prices, contexts

    def choose(self, t: int, waiting: Waiting) -> Decision:
        decision = self._learner.choose(t, waiting)
        query, context = waiting.query[decision.position], waiting.context[decision.position]
        self._prices.model(query)
        if decision.forced:
            return decision
        departs = expit(self._learner.theta @ self._contexts[context])
        score = (departs - R_LOW) / (R_HIGH - R_LOW)
        costs = self._prices.estimates.costs[:, query]
        net = score - self._prices.router.gamma * costs
        net = np.where(costs > self._prices.left, 0.0, net)
        model = int(net.argmax())
        return Decision(decision.position, (model,) if net[model] > 0 else ())

    def observe(self, t: int, query: int, context: int, assortment: Assortment, pick: int) -> None:
        self._learner.observe(t, query, context, assortment, pick)
