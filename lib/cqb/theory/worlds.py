"""The worlds of the checks, and runs in them: of learners and the oracle, and of rules that never learn.

The learners below are the policies as the theory states them, with the world's own slackness where a
policy must know it; :data:`cqb.policies.POLICIES` holds the same with the constants that a service can
set. :class:`FixedRule` is the subject of the exact statements E3 to E5, E10 and R6. A run's streams are
those of its seed, so policies and horizons are paired.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..environment import Draws, Environment, draw
from ..exploration import decaying
from ..learner.refit import OnlineEstimator
from ..policies import LearnerSettings, Service
from ..policies.acqb import ThompsonLearner, radius_rule
from ..policies.cqb_opt import cqb_epsilon_ucb, cqb_eta2, cqb_opt, phases
from ..policies.fixed import ORACLE
from ..simulate import Assortment, Decision, Policy, Trajectory, Waiting, simulate
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

Maker = Callable[[Service, Streams], Policy]
Order = Callable[[int, Waiting], int]
Offer = Callable[[int, int, int], Assortment]


# --- Runs ------------------------------------------------------------------------------------------


def rate_world(seed: int) -> Scenario:
    """Instance `seed` of the rate checks."""
    return linear_world(seed, N=N, d=D, scale=S, epsilon=SLACK)


def service_of(world: Scenario, T: int, learner: LearnerSettings = TUNED) -> Service:
    """The public side of a run of T rounds in `world`."""
    contexts, N = world.environment.contexts, world.environment.n_models
    return Service(contexts, N, world.K, T, world.arrival_rate, learner)


def drawn(world: Scenario, seed: int, T: int) -> Draws:
    """The arrivals and outcome uniforms of `seed` for T rounds."""
    return draw(Streams(seed), world.environment.pool_size, world.arrival_rate, T)


def run(world: Scenario, policy: Policy, seed: int, T: int) -> Trajectory:
    """T rounds of a policy with the arrivals and uniforms of `seed`."""
    return simulate(world.environment, policy, world.K, drawn(world, seed, T))


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
    """Run a policy (a name of :func:`named`, or a maker) for T rounds with the streams of `seed`.

    `draws` replaces the streams' own arrivals and uniforms, for a sequence that is not i.i.d.
    """
    draws = draws or drawn(world, seed, T)
    about = service_of(world, T, learner), Streams(seed)
    policy = named(maker, *about, world.slackness) if isinstance(maker, str) else maker(*about)
    oracle = ORACLE.from_truth(world.environment, world.K)
    runs = [simulate(world.environment, one, world.K, draws) for one in (policy, oracle)]
    return Pair(world, draws, *runs)


# --- Policies that learn ---------------------------------------------------------------------------


def tau(d: int, T: int, epsilon: float, c: float = TAU_CONSTANT) -> int:
    """CQB-eps' rounds of pure exploration, ``ceil(c d log T / epsilon^2)``, at most T/5."""
    return min(T // 5, math.ceil(c * d * math.log(T) / epsilon**2))


def anytime_acqb(
    service: Service, streams: Streams, c1: float = C1, estimator: OnlineEstimator | None = None
) -> ThompsonLearner:
    """ACQB with a given c1, so that it depends on no horizon."""
    return ThompsonLearner(service, streams, decaying(c1), radius_rule(service, None), estimator)


def named(name: str, service: Service, streams: Streams, slack: float) -> Policy:
    """A learner by its name, as the theory states it, in a world of slackness `slack`."""
    N, d, T = service.n_models, service.contexts.shape[1], service.T
    if name == "ACQB-online":
        estimator = OnlineEstimator(N, d, service.K, service.learner.lambda0)
        return anytime_acqb(service, streams, estimator=estimator)
    if name == "CQB-eps":
        return cqb_epsilon_ucb(service, streams, tau(d, T, slack))
    if name == "CQB-eta-2":
        return cqb_eta2(service, streams, phases(d, T, slack))
    return {"ACQB": anytime_acqb, "CQB-Opt": cqb_opt}[name](service, streams)


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

    def observe(self, t: int, query: int, context: int, assortment: Assortment, pick: int) -> None:
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


def by_rate(rates: np.ndarray) -> Order:
    """Largest departure rate first; `rates` (P,) by pool entry."""
    values = rates.tolist()
    return lambda t, waiting: int(np.argmax([values[row] for row in waiting.row]))


def shuffled(seed: int) -> Order:
    """A uniformly random waiting query."""
    rounds = Streams(seed).rounds("random order")
    return lambda t, waiting: int(rounds.at(t).random() * len(waiting.query))


def best_offer(environment: Environment) -> Offer:
    """The best single model for each pool entry, without memory (theory: E5)."""
    best = environment.best_assortments(1)
    return lambda row, query, served: tuple(best[row].tolist())


def random_model(N: int, seed: int) -> Offer:
    """One of N models, each equally likely on every attempt."""
    generator = Streams(seed).generator("random offers")
    return lambda row, query, served: (int(generator.integers(N)),)


def cycling(models: Sequence[int]) -> Offer:
    """One model after another, in the given order, over the serves of a query."""
    return lambda row, query, served: (models[served % len(models)],)
