"""Scenarios between a table's recorded answers and the paper's model, on the same contexts.

In every scenario a (query, model) pair has one departure rate, and attempts are independent draws at
that rate. The scenarios differ in how much of the rate the context explains. Recorded rates are nearly
two-valued: given the context alone, a failure predicts the next, so answers persist. Where log odds are
linear in the context nothing is left to persist: the paper's model (arXiv 2602.02061; theory A2), in
which each attempt is a fresh draw. A blend of the two lies between.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ...environment import Draws, Environment, pooled_environment
from ...mnl import BlockHistory, ridge_mle
from ...policies import LearnerSettings, Service
from ...policies.base import ScoredRows, parts
from ...routing_table import RoutingTable, departure_odds
from ...runs import Cell, Task, World, play
from ...simulate import Trajectory
from ...streams import Streams

RECORDED = "recorded answers"
HALF = "half recorded, half fitted linear"
FITTED = "fitted linear"
LINEAR = "random linear"
ONCE = "recorded answers, no prompt twice"
RECORDED_SHARE = {RECORDED: 1.0, HALF: 0.5, FITTED: 0.0, ONCE: 1.0}
SCENARIOS = (RECORDED, HALF, FITTED, LINEAR, ONCE)
SPREAD = 2.5  # standard deviation of each model's random linear utilities
RIDGE = 0.25  # of the fit of recorded rates


@dataclass(frozen=True, eq=False)
class Scenario:
    """An environment, and the scored rows outside its pool by name (:func:`cqb.policies.base.parts`)."""

    environment: Environment
    rows: dict[str, ScoredRows]

    def scored_rows(self, policy: str, which: str) -> ScoredRows:
        """The rows that a policy is given, as :class:`cqb.policies.base.RunSource` gives them."""
        return self.rows[which]


@lru_cache(maxsize=2)  # successive tasks often share one, and a fit of rates takes a second
def scenario(name: str, table: RoutingTable, seed: int, lam: float, pool_size: int) -> Scenario:
    """The scenario of this name in :data:`SCENARIOS`, on the job pool that the seed draws.

    Of the data only the contexts are the table's where utilities are random. Raises KeyError for another
    name.
    """
    where = parts(table, seed, pool_size)
    contexts = [table.embeddings[rows] for rows in where.values()]
    if name == LINEAR:
        odds = linear_odds(contexts, len(table.models), seed)
    else:
        odds = [departure_odds(table.utility(lam)[rows]) for rows in where.values()]
        odds = blended(contexts, odds, RECORDED_SHARE[name])
    found = [ScoredRows(*pair) for pair in zip(contexts, odds, strict=True)]
    made_up = table.stand_in or name == LINEAR
    title = f"{table.name}, {name}"
    environment = pooled_environment(title, made_up, contexts[0], odds[0], where["pool"])
    return Scenario(environment, dict(zip(where, found, strict=True)))


def linear_odds(contexts: list[np.ndarray], N: int, seed: int) -> list[np.ndarray]:
    """Odds (n, N) of N models with random linear utilities, for each array of contexts (n, d).

    Each model's utilities have mean 0 and standard deviation :data:`SPREAD` over the first of them.
    """
    d = contexts[0].shape[1]
    normal = Streams(seed).generator("linear world").standard_normal((N, d))
    utilities = [x @ normal.T for x in contexts]
    mean, scale = utilities[0].mean(axis=0), utilities[0].std(axis=0)
    return [np.exp(SPREAD * (u - mean) / scale) for u in utilities]


def blended(
    contexts: list[np.ndarray], odds: list[np.ndarray], recorded_share: float
) -> list[np.ndarray]:
    """Odds (n, N) of departure rates ``share * recorded + (1 - share) * linear``, for each array.

    The linear part is the ridge logistic fit of the recorded rates on the contexts, model by model. So
    both parts have about the same rates, and differ in how much of them the context explains.

    Parameters
    ----------
    contexts, odds : (n, d) and recorded (n, N), array by array; the fit is over all of them.
    """
    if recorded_share == 1.0:
        return odds
    rates = np.concatenate(odds)
    rates /= 1.0 + rates
    linear = fitted_rates(np.concatenate(contexts), rates)
    mixed = recorded_share * rates + (1.0 - recorded_share) * linear
    return np.split(mixed / (1.0 - mixed), np.cumsum([len(x) for x in contexts])[:-1])


def fitted_rates(x: np.ndarray, rates: np.ndarray) -> np.ndarray:
    """Ridge logistic fit of each model's rates (n, N) on contexts (n, d) and an intercept: (n, N)."""
    features = np.hstack([x, np.ones((x.shape[0], 1))])
    n, ones = x.shape[0], np.ones(x.shape[0])
    fitted = np.empty_like(rates)
    for j in range(rates.shape[1]):
        history = BlockHistory(features, ones[:, None], rates[:, [j]], ones, np.zeros(n))
        theta = ridge_mle(np.zeros((1, features.shape[1])), history, RIDGE, tolerance=1e-6)
        fitted[:, j] = 1.0 / (1.0 + np.exp(-features @ theta[0]))
    return fitted


def once_each(draws: Draws, seed: int, pool_size: int) -> Draws:
    """The same arrivals without repeated prompts: the pool in the order of a permutation.

    Raises
    ------
    ValueError
        More queries arrive than the pool holds.
    """
    arrivals = int(draws.arrives.sum())
    if arrivals > pool_size:
        raise ValueError(f"pool_size: found {pool_size}, expected at least {arrivals} arrivals")
    row = np.zeros_like(draws.row)
    order = Streams(seed).generator("prompts that never recur").permutation(pool_size)
    row[draws.arrives] = order[:arrivals]
    return Draws(draws.arrives, row, draws.outcome, draws.coin)


def played(
    world: World, cell: Cell, policy: str, seed: int, T: int, pool_size: int = 1000
) -> Trajectory:
    """A run of a policy with its default settings; `pool_size` is of a routing table only."""
    return play(Task(cell, policy, seed, T, pool_size, LearnerSettings()), world).trajectory


def service_of(environment: Environment, cell: Cell, T: int) -> Service:
    """What a policy knows of T rounds in this environment, with the default settings."""
    return Service(environment.contexts, environment.n_models, cell.K, T, cell.arrival_rate)
