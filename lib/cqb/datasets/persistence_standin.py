"""A stand-in for RouterBench whose failures persist as they do in the real rows.

Its prompts, contexts and costs are those of the RouterBench stand-in. Its scores are generated from a
recipe in ``data/standin``, which holds a few means over all real rows: how often each model succeeds,
and how the successes of two models correlate. :func:`measures` shows what the two tables share.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.stats import multivariate_normal, norm

from .. import paths
from ..contrastive.diagnostics import linear_fit
from ..routing_table import RoutingTable, departure_odds
from ..streams import Streams
from . import standin
from .reading import read_json

RECIPE = "persistence_recipe.json"
FORMAT = "cqb persistence recipe 1"


def load(folder: Path | str | None = None) -> RoutingTable:
    """The RouterBench stand-in with the recipe's scores; both files are read from `folder`.

    Raises FileNotFoundError if a file is not there, ValueError if one is damaged.
    """
    return calibrated(standin.load(folder), read_recipe(folder))


def measures(table: RoutingTable) -> pd.Series:
    """Shares in [0, 1] at lam 0, over all rows of an encoded table.

    "Again" and "too" are conditional on a first failure of a model drawn uniformly; the latent
    correlation is the mean over pairs of models; the last is the share of the variance of unseen scores.
    """
    scores = table.scores
    fails = 1.0 / (1.0 + departure_odds(table.utility(0.0)))
    pairs = ~np.eye(len(table.models), dtype=bool)
    mixed = Streams(0).generator("rows of the fit").permutation(len(table))
    both = fails.T @ fails / len(table) / fails.mean(axis=0)[:, None]
    values = {
        "two-valued scores": np.mean((scores < 0.01) | (scores > 0.99)),
        "first attempt fails": fails.mean(),
        "same model fails again": np.mean((fails**2).mean(axis=0) / fails.mean(axis=0)),
        "another model fails too": both[pairs].mean(),
        "no model succeeds": np.mean((scores <= 0.5).all(axis=1)),
        "latent correlation of models": tetrachoric(scores > 0.5)[pairs].mean(),
        "told by a linear model of the context": linear_fit(
            table.embeddings[mixed], scores[mixed], len(table) // 2
        ),
    }
    return pd.Series(values, name=table.name, dtype=float)


def tetrachoric(capable: np.ndarray) -> np.ndarray:
    """Correlations (N, N) of the normal variables whose signs are `capable`, bool (n, N).

    A pair's correlation is the one at which both are negative as often as observed (Pearson, 1900).
    """
    fails = ~np.asarray(capable, dtype=bool)
    cut = norm.ppf(fails.mean(axis=0))
    found = np.eye(fails.shape[1])
    for i in range(1, fails.shape[1]):
        for j in range(i):
            seen = np.mean(fails[:, i] & fails[:, j])
            found[i, j] = found[j, i] = _matching(seen, cut[[i, j]])
    return found


def _matching(seen: float, cut: np.ndarray) -> float:
    def excess(r: float) -> float:
        return multivariate_normal.cdf(cut, cov=[[1.0, r], [r, 1.0]]) - seen

    edge = 0.99
    if excess(-edge) >= 0.0:
        return -edge
    return edge if excess(edge) <= 0.0 else float(brentq(excess, -edge, edge, xtol=1e-4))


def recipe_of(table: RoutingTable, context: float) -> dict[str, Any]:
    """The recipe of a stand-in for `table`.

    Parameters
    ----------
    context : share of the latent variance that the context explains, found by trial: it decides the
        last of the measures.
    """
    capable = table.scores > 0.5
    return {
        "format": FORMAT,
        "source": table.name,
        "rows": len(table),
        "models": list(table.models),
        "success": capable.mean(axis=0).round(3).tolist(),
        "correlation": tetrachoric(capable).round(2).tolist(),
        "context": context,
        "directions": 24,
        "seed": 20260207,
        "measures": {key: round(float(value), 3) for key, value in measures(table).items()},
    }


def read_recipe(folder: Path | str | None = None) -> dict[str, Any]:
    """The committed recipe. Raises FileNotFoundError, or ValueError if it is of another format."""
    folder = paths.data_dir() / "standin" if folder is None else Path(folder)
    return read_json(folder / RECIPE, FORMAT)


def calibrated(table: RoutingTable, recipe: dict[str, Any]) -> RoutingTable:
    """`table` with scores of the recipe's success rates and correlation between models.

    A model answers a prompt if a normal number is above the model's threshold. The number is the sum of
    a part that is linear in the context's leading directions and a part of the prompt's own, which
    never changes; both have the recipe's correlation between models. The scores are 0 or 1.

    Raises
    ------
    ValueError
        The recipe has another number of models than the table.
    """
    N, n = len(recipe["models"]), len(table)
    if len(table.models) != N:
        raise ValueError(f"recipe: found {N} models, expected the table's {len(table.models)}")
    root = _root(np.array(recipe["correlation"]))
    rng = Streams(recipe["seed"]).generator("calibrated stand-in")
    weights = rng.standard_normal((recipe["directions"], N)) @ root.T
    linear = _leading(table.embeddings, recipe["directions"]) @ weights
    linear /= np.sqrt(recipe["directions"])
    own = rng.standard_normal((n, N)) @ root.T
    share = recipe["context"]
    latent = np.sqrt(share) * linear + np.sqrt(1.0 - share) * own
    threshold = np.array(
        [np.quantile(latent[:, j], 1.0 - success) for j, success in enumerate(recipe["success"])]
    )
    name = f"{table.name}, persistence calibrated"
    return replace(table, name=name, scores=(latent > threshold).astype(float))


def _leading(x: np.ndarray, directions: int) -> np.ndarray:
    """The first principal components, each with variance 1 and a definite sign."""
    left, _, right = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    sign = np.sign(right[np.arange(directions), np.abs(right[:directions]).argmax(axis=1)])
    return left[:, :directions] * sign * np.sqrt(len(x))


def _root(correlation: np.ndarray) -> np.ndarray:
    """Symmetric square root of a correlation, made definite where rounding broke it."""
    values, vectors = np.linalg.eigh(correlation)
    return vectors * np.sqrt(np.maximum(values, 0.0)) @ vectors.T
