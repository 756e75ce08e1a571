"""Worlds between the table's recorded answers and the paper's model, on the same contexts.

In every world of this project a (query, model) pair has one departure rate and each attempt is an
independent draw at that rate. What differs is how much of the rate the context tells. Recorded rates
are nearly two-valued, so to one who knows the context alone a failure foretells the next: (a), answers
persist. Where log odds are linear in the context, nothing is left to persist: (b), the paper's model
(arXiv 2602.02061; theory A2), in which answers are resampled on every attempt. (c) lies between.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..environment import Draws, Environment, pooled_environment
from ..mnl import BlockHistory, ridge_mle
from ..policies.offline import ScoredRows
from ..routing_table import RoutingTable, departure_odds, split_rows
from ..streams import Streams

ROWS = ("refinement", "rest")


class World(NamedTuple):
    """An environment, and the scored rows outside its pool by the names of :mod:`..policies.offline`."""

    environment: Environment
    rows: dict[str, ScoredRows]


def recorded(table: RoutingTable, seed: int, lam: float, pool_size: int = 1000) -> World:
    """World (a): the table's own rates."""
    return blend(table, seed, lam, persistence=1.0, pool_size=pool_size)


def random_linear(
    table: RoutingTable, seed: int, *, spread: float = 2.5, pool_size: int = 1000
) -> World:
    """World (b) with random parameters: utilities of mean 0 and standard deviation `spread`.

    Per model, over the seed's pool, with parameters from a named stream: of the data only the contexts
    are the table's.
    """
    parts = _parts(table, seed, pool_size)
    contexts = [table.embeddings[rows] for rows in parts]
    odds = linear_odds(contexts, len(table.models), seed, spread)
    environment = pooled_environment(f"{table.name}, linear utilities", True, contexts[0], odds[0])
    return World(environment, _scored(contexts, odds))


def linear_odds(
    contexts: list[np.ndarray], N: int, seed: int, spread: float = 2.5
) -> list[np.ndarray]:
    """Odds of N models with random linear utilities, standardised over the first of the lists."""
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
    persistence: float,
    ridge: float = 0.25,
    pool_size: int = 1000,
) -> World:
    """World (c): departure rates ``persistence * recorded + (1 - persistence) * linear``.

    The linear part is the ridge logistic fit of the recorded rates on the contexts, model by model, so
    that both parts have about the same rates and differ in what stays with a query: with `persistence` 1
    this is (a), with 0 it is (b), fitted.

    Raises
    ------
    ValueError
        `persistence` is outside [0, 1].
    """
    if not 0.0 <= persistence <= 1.0:
        raise ValueError(f"persistence: found {persistence}, expected a number in [0, 1]")
    parts = _parts(table, seed, pool_size)
    odds = [departure_odds(table.utility(lam)[rows]) for rows in parts]
    contexts = [table.embeddings[rows] for rows in parts]
    if persistence < 1.0:
        rates = np.concatenate(odds)
        rates /= 1.0 + rates
        linear = fitted_rates(np.concatenate(contexts), rates, ridge)
        mixed = persistence * rates + (1.0 - persistence) * linear
        ends = np.cumsum([len(rows) for rows in parts])[:-1]
        odds = np.split(mixed / (1.0 - mixed), ends)
    name = f"{table.name}, {100 * persistence:g}% recorded"
    environment = pooled_environment(name, table.stand_in, contexts[0], odds[0], parts[0])
    return World(environment, _scored(contexts, odds))


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
    """The same arrivals, but no prompt comes twice: the pool in the order of a permutation.

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


def _parts(table: RoutingTable, seed: int, pool_size: int) -> list[np.ndarray]:
    """Rows of the pool, of the refinement set, and all others."""
    split = split_rows(table, seed, pool_size=pool_size)
    kept_out = np.concatenate([split.pool, split.refinement])
    return [split.pool, split.refinement, np.setdiff1d(np.arange(len(table)), kept_out)]


def _scored(contexts: list[np.ndarray], odds: list[np.ndarray]) -> dict[str, ScoredRows]:
    pairs = zip(contexts[1:], odds[1:], strict=True)
    return {name: ScoredRows(x, o) for name, (x, o) in zip(ROWS, pairs, strict=True)}
