"""PORT as a policy of the queue, and ACQB under PORT's prices."""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from cqb.policies.acqb import ThompsonLearner
from cqb.routing_table import departure_odds
from cqb.simulate import Decision, Waiting

from . import dual
from .features import Estimates, History
from .router import DECLINED, PricedRouter, best_models
from .session import Ledger

R_LOW, R_HIGH = 0.1, 0.99  # departure probabilities of the lowest and the highest score
REPEATS = 5  # of the fixed point below; it converges in two or three


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
        part, left = self.estimates.part(query, query + 1), self.left
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

    def observe(
        self, t: int, query: int, context: int, assortment: tuple[int, ...], pick: int
    ) -> None:
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

    def observe(
        self, t: int, query: int, context: int, assortment: tuple[int, ...], pick: int
    ) -> None:
        self._learner.observe(t, query, context, assortment, pick)
