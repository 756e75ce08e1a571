"""The correlation between models' effects from fully scored rows."""

from __future__ import annotations

import numpy as np

# How many rows the prior correlation weighs as much as.
PRIOR_ROWS = 30.0
SMALLEST = 0.02  # eigenvalue


def correlation_of(rates: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """Latent correlation (N, N) of departure rates (n, N), shrunk towards `prior` and made definite.

    Recorded rates are nearly two-valued. ``sin(pi/2 r)`` turns the correlation r of two signs into that
    of the normals behind them (Sheppard, 1899: exact where both signs are equally likely, close to it
    elsewhere). A model with a constant column says nothing and keeps the prior.
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
