"""Scenarios between a table's recorded answers and the paper's model, on the same contexts.

In every scenario a (query, model) pair has one departure rate, and attempts are independent draws at
that rate. The scenarios differ in how much of the rate the context explains. Recorded rates are nearly
two-valued: given the context alone, a failure predicts the next, so answers persist. Where log odds are
linear in the context nothing is left to persist: the paper's model (arXiv 2602.02061; theory A2), in
which each attempt is a fresh draw. A blend of the two lies between.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ...environment import Draws, Environment, draw, pooled_environment
from ...mnl import BlockHistory, ridge_mle
from ...policies import LearnerSettings, Service
from ...policies.offline import ScoredRows
from ...routing_table import RoutingTable, departure_odds, split_rows
from ...runs import Cell
from ...simulate import Policy, Trajectory, simulate
from ...streams import Streams

ROWS = ("refinement", "rest")
RECORDED = "recorded answers"
HALF = "half recorded, half fitted linear"
FITTED = "fitted linear"
LINEAR = "random linear"
ONCE = "recorded answers, no prompt twice"
RECORDED_SHARE = {RECORDED: 1.0, HALF: 0.5, FITTED: 0.0, ONCE: 1.0}
SCENARIOS = (RECORDED, HALF, FITTED, LINEAR, ONCE)


class Scenario(NamedTuple):
    """An environment, and scored rows outside its pool by the names of :mod:`cqb.policies.offline`."""

    environment: Environment
    rows: dict[str, ScoredRows]


@lru_cache(maxsize=2)  # successive tasks often share one, and a fit of rates takes a second
def scenario(name: str, table: RoutingTable, seed: int, lam: float, pool_size: int) -> Scenario:
    """The scenario of this name in :data:`SCENARIOS`, on the job pool that the seed draws.

    Raises KeyError for another name.
    """
    if name == LINEAR:
        return random_linear(table, seed, pool_size=pool_size)
    share = RECORDED_SHARE[name]
    return blend(table, seed, lam, recorded_share=share, pool_size=pool_size)


def random_linear(
    table: RoutingTable, seed: int, *, spread: float = 2.5, pool_size: int = 1000
) -> Scenario:
    """Linear utilities with random parameters: of the data only the contexts are the table's.

    Each model's utilities have mean 0 and standard deviation `spread` over the seed's pool.
    """
    parts = _parts(table, seed, pool_size)
    contexts = [table.embeddings[rows] for rows in parts]
    odds = linear_odds(contexts, len(table.models), seed, spread)
    environment = pooled_environment(f"{table.name}, linear utilities", True, contexts[0], odds[0])
    return Scenario(environment, _scored(contexts, odds))


def linear_odds(
    contexts: list[np.ndarray], N: int, seed: int, spread: float = 2.5
) -> list[np.ndarray]:
    """Odds (n, N) of N models with random linear utilities, for each array of contexts (n, d).

    Utilities are standardised over the first of them.
    """
    d = contexts[0].shape[1]
    normal = Streams(seed).generator("linear world").standard_normal((N, d))
    utilities = [x @ normal.T for x in contexts]
    mean, scale = utilities[0].mean(axis=0), utilities[0].std(axis=0)
    return [np.exp(spread * (u - mean) / scale) for u in utilities]


def blend(
    table: RoutingTable,
    seed: int,
    lam: float,
    *,
    recorded_share: float,
    ridge: float = 0.25,
    pool_size: int = 1000,
) -> Scenario:
    """Departure rates ``share * recorded + (1 - share) * linear``.

    The linear part is the ridge logistic fit of the recorded rates on the contexts, model by model. So
    both parts have about the same rates, and differ in how much of them the context explains.

    Raises
    ------
    ValueError
        `recorded_share` is outside [0, 1].
    """
    if not 0.0 <= recorded_share <= 1.0:
        raise ValueError(f"recorded_share: found {recorded_share}, expected a number in [0, 1]")
    parts = _parts(table, seed, pool_size)
    odds = [departure_odds(table.utility(lam)[rows]) for rows in parts]
    contexts = [table.embeddings[rows] for rows in parts]
    if recorded_share < 1.0:
        rates = np.concatenate(odds)
        rates /= 1.0 + rates
        linear = fitted_rates(np.concatenate(contexts), rates, ridge)
        mixed = recorded_share * rates + (1.0 - recorded_share) * linear
        ends = np.cumsum([len(rows) for rows in parts])[:-1]
        odds = np.split(mixed / (1.0 - mixed), ends)
    name = f"{table.name}, {100 * recorded_share:g}% recorded"
    environment = pooled_environment(name, table.stand_in, contexts[0], odds[0], parts[0])
    return Scenario(environment, _scored(contexts, odds))


def fitted_rates(x: np.ndarray, rates: np.ndarray, ridge: float) -> np.ndarray:
    """Ridge logistic fit of each model's rates (n, N) on contexts (n, d) and an intercept: (n, N)."""
    features = np.hstack([x, np.ones((x.shape[0], 1))])
    n, ones = x.shape[0], np.ones(x.shape[0])
    fitted = np.empty_like(rates)
    for j in range(rates.shape[1]):
        history = BlockHistory(features, ones[:, None], rates[:, [j]], ones, np.zeros(n))
        theta = ridge_mle(np.zeros((1, features.shape[1])), history, ridge, tolerance=1e-6)
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


def tuning_environment(table: RoutingTable, lam: float) -> Environment:
    """An environment of the tuning rows, none of which is ever in a reported pool."""
    rows = split_rows(table, 0, pool_size=1, refinement_size=0).tuning
    odds = departure_odds(table.utility(lam)[rows])
    name = f"{table.name}, tuning rows"
    return pooled_environment(name, table.stand_in, table.embeddings[rows], odds, rows)


def serve(
    environment: Environment,
    build: Callable[[Service, Streams], Policy],
    cell: Cell,
    seed: int,
    T: int,
    *,
    draws: Draws | None = None,
    learner: LearnerSettings | None = None,
) -> Trajectory:
    """Play the policy that `build` makes for T rounds; `draws` are the seed's own by default."""
    service = Service(
        environment.contexts,
        environment.n_models,
        cell.K,
        T,
        cell.arrival_rate,
        learner or LearnerSettings(),
    )
    draws = draws or draw(Streams(seed), environment.pool_size, cell.arrival_rate, T)
    return simulate(environment, build(service, Streams(seed)), cell.K, draws)


def _parts(table: RoutingTable, seed: int, pool_size: int) -> list[np.ndarray]:
    """Rows of the pool, of the refinement set, and all others."""
    split = split_rows(table, seed, pool_size=pool_size)
    used = np.concatenate([split.pool, split.refinement])
    return [split.pool, split.refinement, np.setdiff1d(np.arange(len(table)), used)]


def _scored(contexts: list[np.ndarray], odds: list[np.ndarray]) -> dict[str, ScoredRows]:
    pairs = zip(contexts[1:], odds[1:], strict=True)
    return {name: ScoredRows(x, o) for name, (x, o) in zip(ROWS, pairs, strict=True)}
