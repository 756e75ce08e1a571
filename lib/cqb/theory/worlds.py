"""The worlds of the checks, and runs in them: learners beside the oracle, and rules that never learn.

The learners below are the policies as the theory states them, with the world's own slackness where a
policy must know it; :data:`cqb.policies.POLICIES` holds the same with the constants that a service can
set. :class:`FixedRule` is the subject of the exact statements E3 to E5, E10 and R6. A run's streams are
those of its seed, so policies and horizons are paired.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..environment import Draws, draw
from ..exploration import decaying
from ..learner.refit import OnlineEstimator
from ..policies import LearnerSettings, Service
from ..policies.acqb import ThompsonLearner, radius_rule
from ..policies.cqb_eta2 import cqb_eta2, phases
from ..policies.cqb_opt import cqb_epsilon_ucb, cqb_opt
from ..policies.oracle import ORACLE
from ..simulate import Decision, Policy, Trajectory, Waiting, simulate
from ..streams import Streams
from ..synthetic import Scenario, linear_world

# The world of the rate checks: small, realizable, |x| = 1, |theta_j| = S.
N, D, S, SLACK = 3, 3, 2.0, 0.1
# Chosen on other instances than the checks use (the U-shape over alpha_coef is R11).
TUNED = LearnerSettings(alpha_coef=0.03, rotation="balanced")
# ACQB's exploration constant. It is fixed, not solved for a horizon, so that ACQB is anytime here.
C1 = 1.0
# c in CQB-eps' tau = min(T/5, ceil(c d log T / epsilon^2)); the paper's constant is not public.
TAU_CONSTANT = 0.02

Maker = Callable[[Service, Streams, float], Policy]  # the last argument is the world's slackness
Order = Callable[[int, Waiting], int]
Offer = Callable[[int, int, int], tuple[int, ...]]


# --- Runs ------------------------------------------------------------------------------------------


def rate_world(seed: int) -> Scenario:
    """Instance `seed` of the rate checks."""
    return linear_world(seed, N=N, d=D, scale=S, epsilon=SLACK)


def service_of(world: Scenario, T: int, learner: LearnerSettings) -> Service:
    """The public side of a run of T rounds in `world`."""
    environment = world.environment
    return Service(
        environment.contexts, environment.n_models, world.K, T, world.arrival_rate, learner
    )


def run(
    world: Scenario, policy: Policy, seed: int, T: int, draws: Draws | None = None
) -> Trajectory:
    """T rounds of a policy with the arrivals and uniforms of `seed`, or with `draws`."""
    environment = world.environment
    if draws is None:
        draws = draw(Streams(seed), environment.pool_size, world.arrival_rate, T)
    return simulate(environment, policy, world.K, draws)


@dataclass(frozen=True)
class Pair:
    """A policy's run and the oracle's on the same draws."""

    world: Scenario
    draws: Draws
    learner: Trajectory
    oracle: Trajectory

    @property
    def gap(self) -> np.ndarray:
        """Queue-length regret ``Q(t) - Q*(t)`` for t = 0..T: (T + 1,) int32."""
        return self.learner.queue - self.oracle.queue


def play(
    world: Scenario,
    maker: str | Maker,
    T: int,
    seed: int,
    learner: LearnerSettings = TUNED,
    draws: Draws | None = None,
) -> Pair:
    """Run a policy (a name in :data:`MAKERS`, or a maker) for T rounds with the streams of `seed`.

    `draws` replaces the streams' own arrivals and uniforms, for a sequence that is not i.i.d.
    """
    environment, streams = world.environment, Streams(seed)
    if draws is None:
        draws = draw(streams, environment.pool_size, world.arrival_rate, T)
    make = MAKERS[maker] if isinstance(maker, str) else maker
    policy = make(service_of(world, T, learner), streams, world.slackness)
    oracle = ORACLE.from_truth(environment, world.K)
    runs = [run(world, one, seed, T, draws) for one in (policy, oracle)]
    return Pair(world, draws, *runs)


# --- Policies that learn ---------------------------------------------------------------------------


def tau(d: int, T: int, epsilon: float, c: float = TAU_CONSTANT) -> int:
    """CQB-eps' rounds of pure exploration, ``ceil(c d log T / epsilon^2)``, at most T/5."""
    return min(T // 5, math.ceil(c * d * math.log(T) / epsilon**2))


def anytime_acqb(service: Service, streams: Streams, c1: float = C1) -> ThompsonLearner:
    """ACQB with a given c1, so that it depends on no horizon."""
    return ThompsonLearner(service, streams, decaying(c1), radius_rule(service, None))


def _online(service: Service, streams: Streams, slack: float) -> Policy:
    d = service.contexts.shape[1]
    estimator = OnlineEstimator(service.n_models, d, service.K, service.learner.lambda0)
    return ThompsonLearner(service, streams, decaying(C1), radius_rule(service, None), estimator)


def _epsilon(service: Service, streams: Streams, slack: float) -> Policy:
    return cqb_epsilon_ucb(service, streams, tau(service.contexts.shape[1], service.T, slack))


def _eta2(service: Service, streams: Streams, slack: float) -> Policy:
    return cqb_eta2(service, streams, phases(service.contexts.shape[1], service.T, slack))


MAKERS: dict[str, Maker] = {
    "ACQB": lambda service, streams, slack: anytime_acqb(service, streams),
    "ACQB-online": _online,
    "CQB-eps": _epsilon,
    "CQB-Opt": lambda service, streams, slack: cqb_opt(service, streams),
    "CQB-eta-2": _eta2,
}
# These do not depend on a horizon: one long run gives all shorter ones.
ANYTIME = ("ACQB", "ACQB-online", "CQB-Opt")


# --- Rules that never learn ------------------------------------------------------------------------


class FixedRule:
    """Serves by `order` and offers by `offer`; learns nothing.

    Parameters
    ----------
    order : (round, waiting) -> queue position.
    offer : (pool entry, arrival number, serves of it so far) -> ascending model indices.
    """

    def __init__(self, order: Order, offer: Offer) -> None:
        self._order, self._offer = order, offer
        self._serves: dict[int, int] = {}

    def choose(self, t: int, waiting: Waiting) -> Decision:
        position = self._order(t, waiting)
        query = waiting.query[position]
        served = self._serves.get(query, 0)
        return Decision(position, self._offer(waiting.row[position], query, served))

    def observe(
        self, t: int, query: int, context: int, assortment: tuple[int, ...], pick: int
    ) -> None:
        self._serves[query] = self._serves.get(query, 0) + 1


def first_come(t: int, waiting: Waiting) -> int:
    """The query that arrived first, until it departs."""
    return waiting.query.index(min(waiting.query))


def last_come(t: int, waiting: Waiting) -> int:
    """The query that arrived last."""
    return waiting.query.index(max(waiting.query))


def head(t: int, waiting: Waiting) -> int:
    """First in first out with retries at the back of the queue."""
    return 0


def by_rate(rates: np.ndarray, largest: bool = True) -> Order:
    """Largest (or smallest) departure rate first; `rates` (P,) by pool entry."""
    sign = 1.0 if largest else -1.0
    values = (sign * np.asarray(rates)).tolist()
    return lambda t, waiting: int(np.argmax([values[row] for row in waiting.row]))


def shuffled(streams: Streams) -> Order:
    """A uniformly random waiting query."""
    rounds = streams.rounds("random order")
    return lambda t, waiting: int(rounds.at(t).random() * len(waiting.query))


def always(assortments: Sequence[tuple[int, ...]]) -> Offer:
    """The same assortment for the same pool entry, without memory (theory: E5)."""
    return lambda row, query, served: assortments[row]


def random_model(N: int, streams: Streams) -> Offer:
    """One of N models, each equally likely on every attempt."""
    generator = streams.generator("random offers")
    return lambda row, query, served: (int(generator.integers(N)),)


def cycling(models: Sequence[int]) -> Offer:
    """One model after another, in the given order, over the serves of a query."""
    return lambda row, query, served: (models[served % len(models)],)
