"""Worlds between the table's recorded answers and the paper's model, on the same contexts.

In every world of this project a (query, model) pair has one departure rate and each attempt is an
independent draw at that rate. What differs is how much of the rate the context tells. Recorded rates
are nearly two-valued, so to one who knows the context alone a failure foretells the next: (a), answers
persist. Where log odds are linear in the context, nothing is left to persist: (b), the paper's model
(arXiv 2602.02061; theory A2), in which answers are resampled on every attempt. (c) lies between.
"""

from __future__ import annotations

import numpy as np

from ..environment import Environment, from_table, pooled_environment
from ..mnl import BlockHistory, ridge_mle
from ..routing_table import RoutingTable
from ..streams import Streams


def random_linear(
    table: RoutingTable, seed: int, *, spread: float = 2.5, pool_size: int = 1000
) -> Environment:
    """World (b) with random parameters: utilities of mean 0 and standard deviation `spread`.

    Per model, over the seed's pool, with parameters from a named stream: of the data only the contexts
    are the table's.
    """
    world = from_table(table, seed, 0.0, pool_size)
    x = world.contexts[world.context_of]
    normal = Streams(seed).generator("linear world").standard_normal((world.n_models, x.shape[1]))
    utilities = x @ normal.T
    utilities = spread * (utilities - utilities.mean(axis=0)) / utilities.std(axis=0)
    return pooled_environment(f"{table.name}, linear utilities", True, x, np.exp(utilities))


def blend(
    table: RoutingTable,
    seed: int,
    lam: float,
    *,
    persistence: float,
    ridge: float = 0.25,
    pool_size: int = 1000,
) -> Environment:
    """World (c): departure rates ``persistence * recorded + (1 - persistence) * linear``.

    The linear part is the ridge logistic fit of the recorded rates on the pool's contexts, model by
    model, so that both parts have about the same rates and differ in what stays with a query: with
    `persistence` 1 this is (a), with 0 it is (b), fitted.

    Raises
    ------
    ValueError
        `persistence` is outside [0, 1].
    """
    if not 0.0 <= persistence <= 1.0:
        raise ValueError(f"persistence: found {persistence}, expected a number in [0, 1]")
    world = from_table(table, seed, lam, pool_size)
    x = world.contexts[world.context_of]
    recorded = world.odds / (1.0 + world.odds)
    mixed = persistence * recorded + (1.0 - persistence) * fitted_rates(x, recorded, ridge)
    name = f"{table.name}, {100 * persistence:g}% recorded"
    return pooled_environment(name, table.stand_in, x, mixed / (1.0 - mixed), world.rows)


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
