"""Closed forms and exact recursions behind the predictions of :mod:`cqb.theory`.

Single-server queues that serve before they admit, one query a round (E3 to E5, R6); the optimal order of
service (E2); optimism of sampled utilities (E8); the value of remembering failures (E10). A "departure
rate" is the probability that a served query departs in that round; lambda is the arrival probability of
a round.
"""

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from scipy.optimize import brentq

from ..environment import Environment, from_table
from ..routing_table import RoutingTable

# The rules whose capacity on a routing table has a closed form.
RULES = ("oracle", "RANDOM", "best single assortment", "cycle by mean score")

# --- E3 to E5, R6: queues --------------------------------------------------------------------------


def stationary_law(arrival_rate: float, mu: float, longest: int) -> np.ndarray:
    """E3: ``P(Q = n)`` for n = 0..longest, one departure rate mu > lambda, queue after the arrival.

    ``P(0) = 1 - lambda/mu``; then lambda / (mu (1 - lambda)) once, and
    ``lambda (1 - mu) / (mu (1 - lambda))`` per further query.

    Raises
    ------
    ValueError
        The queue has no stationary law: lambda is not below mu.
    """
    if not 0.0 < arrival_rate < mu <= 1.0:
        raise ValueError(f"arrival_rate: found {arrival_rate}, expected in (0, mu) with mu = {mu}")
    ratio = arrival_rate * (1.0 - mu) / (mu * (1.0 - arrival_rate))
    idle = 1.0 - arrival_rate / mu
    first = idle * arrival_rate / (mu * (1.0 - arrival_rate))
    return np.append(idle, first * ratio ** np.arange(longest))


def mean_sojourn(arrival_rate: float, mu: float) -> float:
    """E3: rounds from arrival to departure, ``(1 - lambda)/(mu - lambda)``."""
    return (1.0 - arrival_rate) / (mu - arrival_rate)


def mean_queue(arrival_rate: float, mu: float) -> float:
    """E3: ``lambda (1 - lambda)/(mu - lambda)``, Little's law applied to the sojourn."""
    return arrival_rate * mean_sojourn(arrival_rate, mu)


def chain_law(arrival_rate: float, mu: float, longest: int) -> np.ndarray:
    """The same law from the transition matrix itself, cut off at `longest` queries.

    Independent of the closed form: it solves ``pi P = pi`` for serve, then admit.
    """
    states, one = longest + 1, np.eye(longest + 1)
    serve = (1.0 - mu) * one + mu * np.eye(states, k=-1)
    admit = (1.0 - arrival_rate) * one + arrival_rate * np.eye(states, k=1)
    serve[0, 0] = admit[-1, -1] = 1.0
    matrix = serve @ admit
    system = np.vstack([matrix.T - one, np.ones(states)])
    return np.linalg.lstsq(system, np.append(np.zeros(states), 1.0), rcond=None)[0]


def load(arrival_rate: float, rates: np.ndarray) -> float:
    """E4: ``rho = lambda E[1/p]`` over equally likely queries with per-serve departure rates p."""
    return float(arrival_rate * np.mean(1.0 / np.asarray(rates)))


def capacity(rates: np.ndarray) -> float:
    """E4: the largest stable arrival rate, ``1/E[1/p]``."""
    return 1.0 / load(1.0, rates)


def growth(arrival_rate: float, rates: np.ndarray) -> float:
    """R6: queries per round by which an overloaded random-order queue grows; 0 if it is stable.

    The positive root s of ``lambda E[1/(s + p)] = 1``: in a queue that grows as ``s t`` every
    waiting query is served about equally often, so a type with rate p leaves in proportion.
    """
    p = np.asarray(rates, float)

    def excess(s: float) -> float:
        return arrival_rate * float(np.mean(1.0 / (s + p))) - 1.0

    return float(brentq(excess, 0.0, 1.0, xtol=1e-13)) if excess(0.0) > 0.0 else 0.0


def cycle_capacity(rates: np.ndarray) -> float:
    """E5: largest stable rate when a query is offered the models in turn until it departs.

    `rates` (P, N) are single-model departure rates, columns in the order of the cycle. The mean
    number of serves of a query is the sum of its survival chances over one cycle, divided by the
    chance that the cycle ends with a departure.
    """
    survival = np.cumprod(1.0 - np.asarray(rates, float), axis=1)
    before = np.concatenate([np.ones((survival.shape[0], 1)), survival[:, :-1]], axis=1)
    serves = before.sum(axis=1) / (1.0 - survival[:, -1])
    return float(1.0 / serves.mean())


def capacities(environment: Environment, K: int, ranking: Sequence[int]) -> dict[str, float]:
    """E5: largest stable arrival rates of rules that need not learn, for assortments of K models.

    Each of :data:`RULES` offers the same query the same models, or the same sequence of models, so its
    mean number of serves per query is fixed and its capacity the reciprocal.

    Parameters
    ----------
    ranking : the models from best to worst, the order of the cycle, which is defined for K = 1.
    """
    sets = combinations(range(environment.n_models), K)
    total = np.stack([environment.odds[:, list(s)].sum(axis=1) for s in sets], axis=1)
    rates = total / (1.0 + total)
    found = [capacity(rates.max(axis=1)), capacity(rates.mean(axis=1)), max(map(capacity, rates.T))]
    if K == 1:
        found.append(cycle_capacity(rates[:, list(ranking)]))
    return dict(zip(RULES, found, strict=False))


def table_capacities(
    table: RoutingTable,
    cells: Sequence[tuple[int, float]],
    seeds: Sequence[int],
    pool_size: int = 1000,
) -> pd.DataFrame:
    """Capacities on the job pools that the seeds draw: a row per cell, columns as in `RULES`.

    `cells` are pairs (K, lam). The mean over the pools; NaN where a rule is not defined.
    """
    rows = []
    for K, lam in cells:
        ranking = np.argsort(-table.utility(lam).mean(axis=0), kind="stable").tolist()
        pools = [capacities(from_table(table, seed, lam, pool_size), K, ranking) for seed in seeds]
        rows.append({"K": K, "lam": lam, **pd.DataFrame(pools).mean()})
    return pd.DataFrame(rows, columns=["K", "lam", *RULES])


# --- E2: order of service --------------------------------------------------------------------------


def terminal_queue_gap(
    rates: np.ndarray, arrival_rate: float, shares: np.ndarray, horizon: int, order: np.ndarray
) -> float:
    """E2: largest excess of a fixed order's expected terminal queue over the optimum.

    By exact recursion. The state is how many queries of each type wait. With ``V_0 = Q``, the expected
    terminal queue with h rounds to go is ``V_h = min over decisions of E[V_{h-1}]``, the decisions
    being every waiting type and idling. Arrays hold V for all states at once and shrink by one arrival
    per round. The maximum is over all horizons up to `horizon` and all starts of 0 to 2 queries of each
    type: 27 starts for three types.

    Parameters
    ----------
    rates : (m,) departure rate of each type. shares : (m,) probabilities of an arrival's type.
    order : (m,) types in the order of service.

    Returns
    -------
    Queries; 0 (to rounding) where the order is optimal.
    """
    types = rates.size
    total = np.indices((horizon + 3,) * types).sum(axis=0).astype(float)
    optimal = followed = total
    starts = (slice(0, 3),) * types
    worst = 0.0
    for _ in range(horizon):
        values = [_after_arrival(v, arrival_rate, shares) for v in (optimal, followed)]
        options = [_served(values[0], i, rates[i]) for i in range(types)]
        optimal = np.minimum.reduce([values[0], *options])
        followed = _by_order(values[1], rates, order)
        worst = max(worst, float(np.max(followed[starts] - optimal[starts])))
    return worst


def _after_arrival(value: np.ndarray, arrival_rate: float, shares: np.ndarray) -> np.ndarray:
    """Expected value once the round's arrival is admitted; every axis one shorter."""
    inner = (slice(0, -1),) * value.ndim
    result = (1.0 - arrival_rate) * value[inner]
    for i, share in enumerate(shares):
        shifted = tuple(slice(1, None) if k == i else slice(0, -1) for k in range(value.ndim))
        result = result + arrival_rate * share * value[shifted]
    return result


def _served(value: np.ndarray, i: int, rate: float) -> np.ndarray:
    """Expected value when type i is served; infinite where none of it waits."""
    value = np.moveaxis(value, i, 0)
    result = np.full(value.shape, np.inf)
    result[1:] = rate * value[:-1] + (1.0 - rate) * value[1:]
    return np.moveaxis(result, 0, i)


def _by_order(value: np.ndarray, rates: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Expected value when the first type of `order` that waits is served."""
    result = value
    for i in order[::-1]:
        served = _served(value, i, rates[i])
        result = np.where(np.isfinite(served), served, result)
    return result


# --- E8: optimism ----------------------------------------------------------------------------------

# With the theoretical radius the truth lies within one radius of the estimate, so a Gaussian draw
# exceeds it with probability at least P(Z >= 1), which arXiv 2602.02061 bounds from below by this.
BOUND = 1.0 / (4.0 * math.sqrt(math.e * math.pi))


def all_optimistic(M: int, K: int) -> float:
    """Chance that each of K models has an optimistic one among its own M independent draws.

    The truth lies exactly one radius above the estimate: one draw exceeds it with ``P(Z >= 1)``.
    """
    single = 0.5 * math.erfc(1.0 / math.sqrt(2.0))
    return (1.0 - (1.0 - single) ** M) ** K


def guaranteed(M: int, K: int) -> float:
    """The least such chance by :data:`BOUND` and the union bound, which needs no independence."""
    return 1.0 - K * (1.0 - BOUND) ** M


# --- E10: memory -----------------------------------------------------------------------------------
#
# Contexts say nothing, and each query has one good model among N, equally likely to be any. That model
# departs it at rate g, every other at rate b, on every attempt. Each function below gives the mean
# number of serves per query, of which the largest stable arrival rate is the reciprocal.


def same_model_serves(N: int, good: float, bad: float) -> float:
    """The same model on every attempt: ``(1/N)/g + (1 - 1/N)/b``."""
    return (1.0 / N) / good + (1.0 - 1.0 / N) / bad


def random_model_serves(N: int, good: float, bad: float) -> float:
    """A fresh random model for each serve: ``N / (g + (N - 1) b)``."""
    return N / (good + (N - 1.0) * bad)


def greedy_memory_serves(N: int, good: float, bad: float, tolerance: float = 1e-14) -> float:
    """The model that is most probably the good one, given the query's own failures.

    A recursion over serves: `weight[j]` is the joint probability that model j is the good one and
    that all serves so far failed. The largest weight is offered, ties to the lowest index; the
    chances that a further serve is needed add up to the mean.
    """
    weight = [1.0 / N] * N
    serves = 0.0
    while (alive := sum(weight)) > tolerance:
        serves += alive
        offered = weight.index(max(weight))
        weight = [w * (1.0 - (good if j == offered else bad)) for j, w in enumerate(weight)]
    return serves
