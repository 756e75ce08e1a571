"""A small trained predictor: ridge regression on similarities, cross-validated part by part.

It replaces the text encoder that arXiv 2509.02718 fine-tunes (its Roberta baselines): the routers
take any (M, n) matrices of scores and costs.

What models have in common (how hard a query is) can be predicted better than how they differ, and
needs a weaker penalty. So the models' scores are turned into their principal components, and so
are their costs, and each component gets the width and the penalty of the least leave-one-out error.
That error follows in closed form (residual over one minus leverage), from the history alone: no
width or penalty is chosen on a reported query.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.linalg import eigh

from . import checks
from .features import Estimates, History

ANCHORS = 1500  # historical queries that similarities are taken to, at most
WIDTHS = (0.5, 1.0, 2.0, 4.0)  # how fast similarity falls off
RIDGES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)  # penalties


class Regressions:
    """One regression per principal component of some targets, with the settings of its least error.

    Parameters
    ----------
    bases : of the history's similarities. targets : (E, t). ridges : penalties to select from.

    Attributes
    ----------
    error : (t,) mean leave-one-out squared error. width, ridge : (t,) the settings it is reached at.
    weights : (anchors, t). left_out : (E, t) predictions of the history, each without its own outcome.
    mean : (t,) of the components. back : (t, t) that turns components into targets.
    """

    def __init__(self, bases: list[Basis], targets: np.ndarray, ridges: Sequence[float]) -> None:
        into, self.back = principal(targets)
        components = targets @ into
        self.mean = components.mean(axis=0)
        t = self.mean.size
        self.error, self.width, self.ridge = np.full(t, np.inf), np.empty(t), np.empty(t)
        self.weights, self.left_out = np.empty((len(bases[0].back), t)), np.empty_like(components)
        for base in bases:
            along = base.features.T @ (components - self.mean)
            for penalty in ridges:
                shrunk = along / (base.spectrum + penalty)[:, None]
                leverage = (np.square(base.features) / (base.spectrum + penalty)).sum(axis=1)
                fitted = base.features @ shrunk
                residual = (components - self.mean - fitted) / (1.0 - leverage)[:, None]
                found = np.square(residual).mean(axis=0)
                better = found < self.error
                self.error[better], self.ridge[better] = found[better], penalty
                self.width[better] = base.width
                self.weights[:, better] = base.back @ shrunk[:, better]
                self.left_out[:, better] = (components - residual)[:, better]

    def predict(self, vectors: np.ndarray, anchors: np.ndarray) -> np.ndarray:
        """Predicted targets (n, t) for unit rows (n, D)."""
        components = np.tile(self.mean, (len(vectors), 1))
        for width in np.unique(self.width):
            these = self.width == width
            components[:, these] += similarity(vectors, anchors, width) @ self.weights[:, these]
        return components @ self.back


class SimilarityRidge:
    """Predicts every model's score and cost from similarities exp(width (cosine - 1)).

    With as many anchors as historical queries this is kernel ridge regression; with fewer, evenly
    spaced ones, its Nystrom approximation.

    Parameters
    ----------
    shared : :func:`similarities` of the history's vectors, which take most of the time.
    ridges : candidates, above 0; the leave-one-out errors select among them and the widths.
    """

    def __init__(
        self, history: History, shared: Similarities | None = None, ridges: Sequence[float] = RIDGES
    ) -> None:
        self._anchors, bases = shared or similarities(history.vectors)
        self.scores = Regressions(bases, history.scores.T, ridges)
        self.costs = Regressions(bases, history.costs.T, ridges)

    def estimate(self, embeddings: np.ndarray) -> Estimates:
        """Predictions for queries with the vectors (n, D), of any length but 0."""
        queries = checks.unit_rows("embeddings", embeddings, (None, self._anchors.shape[1]))
        fits = (self.scores, self.costs)
        return _estimates(*(fit.predict(queries, self._anchors) for fit in fits))

    def leave_one_out(self) -> Estimates:
        """Predictions for the history, each query without its own outcome (but in the mean)."""
        return _estimates(*(fit.left_out @ fit.back for fit in (self.scores, self.costs)))


class Basis(NamedTuple):
    """Similarities of one width, decomposed: features (E, r) that are orthogonal to each other.

    spectrum : (r,) their squared lengths. back : (anchors, r) that makes them from similarities.
    """

    width: float
    features: np.ndarray
    spectrum: np.ndarray
    back: np.ndarray


Similarities = tuple[np.ndarray, list[Basis]]


def similarities(vectors: np.ndarray, widths: Sequence[float] = WIDTHS) -> Similarities:
    """Evenly spaced anchors (a, D) among unit rows (E, D), and the basis of each width, above 0."""
    rows = vectors.astype(np.float64)
    anchors = rows[np.linspace(0, len(rows) - 1, min(ANCHORS, len(rows))).astype(int)]
    return anchors, [basis(rows, anchors, width) for width in widths]


def basis(vectors: np.ndarray, anchors: np.ndarray, width: float) -> Basis:
    """The features of unit rows (E, D) and anchors (a, D)."""
    values, axes = eigh(similarity(anchors, anchors, width))
    large = values > 1e-10 * values[-1]  # what rounding leaves
    whiten = axes[:, large] / np.sqrt(values[large])
    plain = similarity(vectors, anchors, width) @ whiten
    spectrum, axes = eigh(plain.T @ plain)
    return Basis(width, plain @ axes, spectrum, whiten @ axes)


def similarity(vectors: np.ndarray, anchors: np.ndarray, width: float) -> np.ndarray:
    """exp(width (cosine - 1)) between unit rows (n, D) and (a, D): (n, a)."""
    return np.exp(width * (vectors.astype(np.float64) @ anchors.T - 1.0))


def principal(targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Matrices (t, t) that turn targets (E, t) into principal components, and back."""
    spread = targets.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    standard = (targets - targets.mean(axis=0)) / spread
    _, axes = eigh(standard.T @ standard)
    return axes / spread[:, None], axes.T * spread


def _estimates(scores: np.ndarray, costs: np.ndarray) -> Estimates:
    """From targets as columns, (n, M); no cost is predicted below 0."""
    return Estimates(np.ascontiguousarray(scores.T), np.maximum(costs.T, 0.0, order="C"))
