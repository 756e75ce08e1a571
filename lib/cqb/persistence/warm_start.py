"""Start a filter from fully scored rows: parameters, their spread, the correlation of effects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from .filter import Filter, Prior

# Values of Prior.context, from uninformative contexts to nearly decisive ones.
SPREADS = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0)

PRIOR_ROWS = 30.0  # weight of the prior correlation, in rows
SMALLEST = 0.02  # eigenvalue of the shrunk correlation


def studied(
    contexts: np.ndarray,
    rows: np.ndarray,
    rates: np.ndarray,
    prior: Prior,
    spreads: Sequence[float] = SPREADS,
) -> Filter:
    """A filter that has learned from scored rows, with the spread under which they are most probable.

    The probability of the rows is the product of the filter's probabilities of each score before
    learning from it, so a prior is judged by its predictions (empirical Bayes).

    Parameters
    ----------
    contexts : (C, d) of the queries to come. rows : (n, d). rates : (n, N) departure rates, in [0, 1].
    prior : its spread of the contexts' part is replaced by each of `spreads`. spreads : positive.
    """
    n_models = rates.shape[1]
    correlations = np.array(
        [correlation_of(rates, h.correlation(n_models)) for h in prior.hypotheses]
    )
    filters = [
        Filter(contexts, n_models, replace(prior, context=spread), correlations)
        for spread in spreads
    ]
    scores = [filter_.study(rows, rates) for filter_ in filters]
    return filters[int(np.argmax(scores))]


def correlation_of(rates: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """Latent correlation (N, N) of departure rates (n, N), shrunk towards `prior` and made definite.

    Recorded rates are nearly two-valued. ``sin(pi/2 r)`` turns the correlation r of two signs into that
    of the normals behind them (Sheppard, 1899: exact where both signs are equally likely, close to it
    elsewhere). A model with a constant column has the prior correlation.
    """
    n = rates.shape[0]
    signs = rates - rates.mean(axis=0)
    scale = np.sqrt((signs * signs).mean(axis=0))
    varies = scale > 0
    r = (signs.T @ signs) / n / np.outer(np.where(varies, scale, 1.0), np.where(varies, scale, 1.0))
    known = np.outer(varies, varies)
    latent = np.where(known, np.sin(0.5 * np.pi * r), prior)
    mixed = (n * latent + PRIOR_ROWS * prior) / (n + PRIOR_ROWS)
    np.fill_diagonal(mixed, 1.0)
    values, vectors = np.linalg.eigh(mixed)
    definite = (vectors * np.maximum(values, SMALLEST)) @ vectors.T
    root = np.sqrt(np.diagonal(definite))
    return definite / np.outer(root, root)
