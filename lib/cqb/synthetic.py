"""Synthetic scenarios in which the theory's assumptions hold, and degenerate ones with closed forms.

A scenario is an :class:`~cqb.environment.Environment` with an arrival rate. The environment's pool IS
the law of the contexts: arrivals are uniform draws from a pool of many rows. So a capacity
``1 / E[1/p*]`` over the pool is exact for the run, and an estimate for the
law that the rows were drawn from. With K = 1 the model is logistic (arXiv 2601.19300), with K >= 2
multinomial logit (arXiv 2602.02061).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from .environment import Draws, Environment, pooled_environment
from .streams import Streams

Law = Callable[[np.random.Generator, int, int], np.ndarray]

POOL_SIZE = 20_000  # rows that represent the context law
CAP = 0.98  # largest arrival rate of a scenario
SPREAD = 2.5  # of random linear utilities (log odds) at given contexts


def cube(rng: np.random.Generator, n: int, d: int) -> np.ndarray:
    """Coordinates uniform on (-1, 1), as in arXiv 2601.19300; norms reach sqrt(d)."""
    return rng.uniform(-1.0, 1.0, (n, d))


def sphere(rng: np.random.Generator, n: int, d: int) -> np.ndarray:
    """Uniform on the unit sphere: ``|x| = 1`` and ``E[x x^T] = I / d``."""
    rows = rng.standard_normal((n, d))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


LAWS: dict[str, Law] = {"cube": cube, "sphere": sphere}


@dataclass(frozen=True)
class Scenario:
    """A synthetic instance and its traffic.

    Attributes
    ----------
    environment : the pool of contexts and odds.
    theta : (N, d) float64, the true parameters; None if the utilities are not linear.
    K : assortment size for which the traffic is set.
    arrival_rate : lambda, queries per round.
    """

    environment: Environment
    theta: np.ndarray | None
    K: int
    arrival_rate: float

    @property
    def capacity(self) -> float:
        """Largest stable arrival rate of the oracle, exact for the pool (theory: E4)."""
        return self.environment.capacity(self.K)

    @property
    def slackness(self) -> float:
        """epsilon, the capacity minus the arrival rate; negative if unstable."""
        return self.capacity - self.arrival_rate

    def with_slackness(self, epsilon: float) -> Scenario:
        """The same instance at ``lambda = 1/E[1/p*] - epsilon``, at most :data:`CAP`.

        Raises
        ------
        ValueError
            No arrival rate is left: `epsilon` is not below the capacity.
        """
        if not epsilon < self.capacity:
            raise ValueError(
                f"epsilon: found {epsilon}, expected less than the capacity {self.capacity:.3f}"
            )
        return replace(self, arrival_rate=min(self.capacity - epsilon, CAP))


def linear_world(
    seed: int,
    *,
    N: int,
    d: int,
    K: int = 1,
    epsilon: float = 0.1,
    law: str = "sphere",
    scale: float = 1.0,
    pool_size: int = POOL_SIZE,
) -> Scenario:
    """A realizable instance: utilities ``<x, theta_j>`` with random contexts and parameters.

    Parameters
    ----------
    seed : the instance; parameters and pool come from their own named streams.
    N, d, K : models, context dimension, assortment size.
    epsilon : slackness; the arrival rate is ``1/E[1/p*] - epsilon``.
    law : of contexts and parameters, a name in :data:`LAWS`.
    scale : factor on the parameters (their norm bound S, where the law has norm one).

    Raises
    ------
    ValueError
        The law is unknown, or `epsilon` is not below the capacity.
    """
    if law not in LAWS:
        raise ValueError(f"law: found {law!r}, expected one of {', '.join(LAWS)}")
    streams = Streams(seed)
    theta = scale * LAWS[law](streams.generator("world parameters"), N, d)
    rows = LAWS[law](streams.generator("world contexts"), pool_size, d)
    title = f"synthetic, N = {N}, d = {d}, K = {K}"
    environment = pooled_environment(title, True, rows, np.exp(rows @ theta.T))
    return Scenario(environment, theta, K, 0.0).with_slackness(epsilon)


def predecessor(seed: int, epsilon: float = 0.1, *, published: bool = False) -> Scenario:
    """The instance of arXiv 2601.19300: 5 servers, d = 5, all coordinates uniform on (-1, 1).

    As published the arrival rate is .7 for every `epsilon`, above the capacity of most such instances
    (theory: R10); by default the rate is ``1/E[1/p*] - epsilon`` instead.
    """
    world = linear_world(seed, N=5, d=5, K=1, epsilon=epsilon, law="cube")
    return replace(world, arrival_rate=0.7) if published else world


def fixed_rates(rates: Sequence[float], arrival_rate: float, *, N: int = 2) -> Scenario:
    """Types of queries whose departure rate is the same whichever single model is offered.

    Parameters
    ----------
    rates : departure rate of each type, in (0, 1). One type gives the one-context queue of E3.
    """
    if not all(0.0 < p < 1.0 for p in rates):
        raise ValueError(f"rates: found {list(rates)}, expected numbers inside (0, 1)")
    p, types = np.asarray(rates, float), np.arange(len(rates))
    odds = np.repeat((p / (1.0 - p))[:, None], N, axis=1)
    environment = Environment(np.eye(len(rates)), types, odds, "synthetic, fixed rates", True)
    return Scenario(environment, None, 1, arrival_rate)


def linear_odds(contexts: np.ndarray, N: int, seed: int) -> np.ndarray:
    """Odds (n, N) of N models with random linear utilities at given contexts (n, d).

    Each model's utilities have mean 0 and standard deviation :data:`SPREAD` over the contexts.
    """
    normal = Streams(seed).generator("linear world").standard_normal((N, contexts.shape[1]))
    utilities = contexts @ normal.T
    return np.exp(SPREAD * (utilities - utilities.mean(axis=0)) / utilities.std(axis=0))


def hidden_fit(N: int, good: float, bad: float, arrival_rate: float) -> Scenario:
    """Contexts without information: each query has one good model, always the same (theory: E10).

    One context, N kinds of queries in equal shares; kind j departs at rate `good` with model j
    and at rate `bad` with any other.
    """
    rates = np.full((N, N), bad) + (good - bad) * np.eye(N)
    odds = rates / (1.0 - rates)
    environment = Environment(
        np.ones((1, 1)), np.zeros(N, np.int64), odds, "synthetic, hidden fit", True
    )
    return Scenario(environment, None, 1, arrival_rate)


def blockwise(world: Scenario, draws: Draws, first_block: int = 16) -> Draws:
    """The draws with an adversary's contexts: new directions just when the old ones are learned.

    Round t's arrival is drawn from the pool rows whose largest coordinate, in absolute value, is
    the axis of the block that t lies in. Blocks cycle through the d axes and double in length after
    each cycle, so the contexts are neither independent nor identically distributed: the case that
    CQB-Opt is made for (theory: R5). Arrival rounds and outcome uniforms do not change.
    """
    environment = world.environment
    vectors = environment.contexts[environment.context_of]
    d = vectors.shape[1]
    leading = np.abs(vectors).argmax(axis=1)
    groups = [np.flatnonzero(leading == axis) for axis in range(d)]
    if not all(group.size for group in groups):
        raise ValueError(f"world: found no context led by some of the {d} axes, expected one each")
    row, start, block = draws.row.copy(), 0, 0
    while start < row.size:
        stop = start + first_block * 2 ** (block // d)
        group = groups[block % d]
        share = draws.row[start:stop] / environment.pool_size
        row[start:stop] = group[(share * group.size).astype(np.int64)]
        start, block = stop, block + 1
    return replace(draws, row=row)
