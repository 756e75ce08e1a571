"""The learner with upper confidence bounds: CQB-Opt, CQB-eps and CQB-eta-2 as their papers state them.

For K = 1 a waiting query x and a model k are scored by ``sigmoid(<x, theta_k>) + beta |x|_{V_k^{-1}}``
(arXiv 2601.19300), and the largest score is served. For K >= 2 the paper states no index; ours puts
the optimism into the utilities, ``<x, theta_j> + beta |x|_{V_j^{-1}}``, and serves the query and the K
models of largest departure rate under them. ``beta`` is the confidence radius of the Thompson
learner, with the same settings, so the two learners differ only in their optimism.

CQB-eta-2, the rate-optimal policy (arXiv 2606.09668), has three phases: pure exploration until a first
estimate is good; up to a cutoff each arrival is explored with a constant probability, otherwise upper
confidence bounds decide; after the cutoff, upper confidence bounds alone. Differences between the
learner's and the oracle's queue that arise before the cutoff die out before T, and the samples gathered
by then leave gaps of order T^{-1/2}. That paper's constants are not public: those of :class:`Phases`,
and their names, are OURS.
"""

import math
from dataclasses import dataclass

import numpy as np

from ..checks import positive
from ..exploration import Schedule, explore_then_rarely, pure_rounds
from ..learner.history import doubled
from ..mnl import best_assortment
from ..simulate import Assortment, Decision, Waiting
from ..streams import Streams
from .acqb import Learner, Radius, exploration_constant, likelihood_estimator, radius_rule
from .base import PolicyEntry, Service

# Traffic slackness that a service assumes by default.
SLACKNESS = 0.1


class OptimisticLearner(Learner):
    """Serves the (query, assortment) of largest upper confidence bound.

    Parameters
    ----------
    coin, radius : see :class:`.acqb.Learner`; the radius is beta.
    pure : up to this round every round is forced exploration: the query that arrived last, with
        the next assortment of the rotation.
    """

    def __init__(
        self, service: Service, streams: Streams, coin: Schedule, radius: Radius, pure: int = 0
    ) -> None:
        super().__init__(service, streams, coin, radius, likelihood_estimator(service))
        self._pure = pure
        # |x|^2 in the norm of V_j^{-1}, right for the contexts in `_tracked` and no others.
        self._squared = np.zeros((len(service.contexts), self._N))
        self._tracked: dict[int, None] = {}

    def admit(self, context: int, contexts: np.ndarray) -> None:
        super().admit(context, contexts)
        while context >= len(self._squared):
            self._squared = doubled(self._squared)

    def choose(self, t: int, waiting: Waiting) -> Decision:
        if t > self._pure:
            return super().choose(t, waiting)
        newest = max(range(len(waiting.query)), key=waiting.query.__getitem__)
        return Decision(newest, next(self.rotation), forced=True)

    def _decide(self, t: int, waiting: Waiting) -> Decision:
        widths = np.sqrt(self._squared_widths(waiting.context))
        utilities = self._contexts[waiting.context] @ self._estimator.theta.T
        place, assortment = best_upper_bound(utilities, widths, self.radius(t), self._K)
        return Decision(place, assortment)

    def _squared_widths(self, contexts: list[int]) -> np.ndarray:
        """(q, N) squared widths of the waiting contexts; only those of new queries are computed."""
        newcomers = [c for c in dict.fromkeys(contexts) if c not in self._tracked]
        for c in newcomers:
            x = self._contexts[c]
            self._squared[c] = [x @ inverse.dot(x) for inverse in self._covariance]
        self._tracked = dict.fromkeys(contexts)
        return np.maximum(self._squared[contexts], 0.0)

    def observe(self, t: int, query: int, context: int, assortment: Assortment, pick: int) -> None:
        x = self._contexts[context]
        tracked = list(self._tracked)
        for j in assortment:
            k = self._covariance[j].dot(x)
            seen = self._contexts[tracked] @ k
            self._squared[tracked, j] -= seen * seen / (1.0 + x @ k)
        super().observe(t, query, context, assortment, pick)


def best_upper_bound(
    utilities: np.ndarray, widths: np.ndarray, beta: float, K: int
) -> tuple[int, Assortment]:
    """The (query, assortment) of largest upper confidence bound, ties to the earliest.

    Parameters
    ----------
    utilities : (q, N) ``<x, theta_j>``. widths : (q, N) ``|x|_{V_j^{-1}}``. beta : the radius.

    Returns
    -------
    (position in 0..q-1, ascending model indices)
    """
    if K == 1:
        scores = 1.0 / (1.0 + np.exp(-utilities)) + beta * widths
        place, model = divmod(int(np.argmax(scores)), scores.shape[1])
        return place, (model,)
    optimistic = utilities + beta * widths
    top = np.partition(optimistic, -K, axis=1)[:, -K:]
    place = int(np.argmax(np.exp(top - top.max()).sum(axis=1)))
    return place, tuple(best_assortment(optimistic[place], K).tolist())


def cqb_opt(service: Service, streams: Streams) -> OptimisticLearner:
    """Upper confidence bounds in every round and no forced exploration; anytime radius.

    Made for contexts that an adversary chooses; the paper's queue-length regret there is
    O(log^2 T).
    """
    return OptimisticLearner(service, streams, lambda t: 0.0, radius_rule(service, None))


def cqb_epsilon_ucb(
    service: Service, streams: Streams, tau: int | None = None
) -> OptimisticLearner:
    """CQB-eps as its own paper states it: explore purely for tau rounds, then rarely, else UCB.

    Parameters
    ----------
    tau : rounds of pure exploration; the paper's is of the order ``d log T / epsilon^2`` with an
        unstated constant and an epsilon that a service does not know. By default the same tau as
        CQB-eps with Thompson sampling, from the target exploration rate.
    """
    T = service.T
    if tau is None:
        tau = pure_rounds(exploration_constant(service), T)
    coin = explore_then_rarely(tau, T)
    return OptimisticLearner(service, streams, coin, radius_rule(service, T), pure=tau)


@dataclass(frozen=True)
class Phases:
    """When CQB-eta-2 explores.

    Attributes
    ----------
    tau : rounds of pure exploration. eta : exploration probability of an arrival up to the cutoff.
    cutoff : the last round in which a coin may force exploration.
    """

    tau: int
    eta: float
    cutoff: int

    def coin(self, t: int) -> float:
        """Exploration probability of the query that arrives in round t (it acts in t + 1)."""
        return self.eta if t + 1 <= self.cutoff else 0.0


def phases(d: int, T: int, slackness: float = SLACKNESS) -> Phases:
    """Phases for horizon T in d dimensions.

    Pure exploration takes ``ceil(d log T)`` rounds, at most T/4. Then eta is ``min(0.1, epsilon/2)``, so
    that exploration uses half of the slackness. The last ``20 log T / epsilon`` rounds, at most half of
    all, do not explore.

    Parameters
    ----------
    slackness : epsilon > 0, what the arrival rate leaves of the capacity.

    Raises
    ------
    ValueError
        `slackness` is not positive.
    """
    positive("slackness", slackness)
    log_T = math.log(max(T, 2))
    return Phases(
        tau=min(T // 4, math.ceil(d * log_T)),
        eta=min(0.1, slackness / 2.0),
        cutoff=max(T // 2, T - math.ceil(20.0 / slackness * log_T)),
    )


def cqb_eta2(service: Service, streams: Streams, plan: Phases | None = None) -> OptimisticLearner:
    """CQB-eta-2 for the service's horizon, by default with the phases for :data:`SLACKNESS`."""
    plan = plan or phases(service.contexts.shape[1], service.T)
    radius = radius_rule(service, service.T)
    return OptimisticLearner(service, streams, plan.coin, radius, pure=plan.tau)


CQB_OPT = PolicyEntry("CQB-Opt", cqb_opt)
CQB_EPS_UCB = PolicyEntry("CQB-eps-UCB", cqb_epsilon_ucb, needs_horizon=True)
CQB_ETA2 = PolicyEntry("CQB-eta-2", cqb_eta2, needs_horizon=True)
