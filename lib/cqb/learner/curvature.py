"""An approximate inverse Hessian of the parameters of some models, kept for as long as it serves.

It takes in the rounds that offered any of its models when it is next used, each as a term of the
rank of the models concerned, at the pick rates of that moment. What a step reveals beyond that is
added as a symmetric rank-one secant term. All of it only steers the iteration of
:mod:`cqb.learner.refit`, so single precision will do.
"""

from __future__ import annotations

import numpy as np

from .history import Assortment, History
from .lazy_inverse import LazyInverse

# A secant term is learned if it turns the next step by less than this; a wild one would be undone.
WILD = 100.0
# A floor under the weight of a round, where float64 has rounded a pick rate to 0 or 1.
LEAST = 1e-12


class Curvature:
    """The approximate inverse Hessian over the joint parameters of `models`, (n d, n d)."""

    def __init__(self, models: Assortment, d: int, ridge: float) -> None:
        self.models = models
        self._d = d
        self._inverse = LazyInverse(len(models) * d, ridge, np.float32)
        self._taken = [np.zeros(0) for _ in models]

    def reset(self, hessian: np.ndarray, history: History) -> None:
        """Start anew from an exact joint Hessian, which knows all of the history."""
        self._inverse = LazyInverse.of(np.linalg.inv(hessian).astype(np.float32))
        self._taken = [history.models[j].serves.view.copy() for j in self.models]

    def catch_up(self, history: History) -> bool:
        """Take in the rounds since the last use; False if rounding has spoilt the inverse."""
        news: dict[int, tuple[float, list[tuple[int, int]]]] = {}
        for k, j in enumerate(self.models):
            model, taken = history.models[j], self._taken[k]
            extra = model.serves.view.copy()
            extra[: taken.size] -= taken
            self._taken[k] = model.serves.view.copy()
            for place in np.flatnonzero(extra).tolist():
                entry = int(model.entry.array[place])
                news.setdefault(entry, (float(extra[place]), []))[1].append((k, place))
        return all(self._take(serves, parts, history) for serves, parts in news.values())

    def _take(self, serves: float, parts: list[tuple[int, int]], history: History) -> bool:
        """Add ``serves (diag(p) - p p^T)`` times ``x x^T`` of one entry, in the slots of our models.

        Woodbury, with the root L of the weights and the rows ``M`` of the inverse times x in each
        slot: the inverse falls by ``M^T L (I + L^T G L)^{-1} L^T M``, G what M says of x. False, and
        nothing added, where the inverse is no longer positive definite.
        """
        models = [history.models[self.models[k]] for k, _ in parts]
        x = models[0].contexts.array[models[0].entry_row.array[parts[0][1]]]
        p = [float(m.rates.array[place]) for m, (_, place) in zip(models, parts, strict=True)]
        seen = [self._inverse.dot_part(x, k * self._d) for k, _ in parts]
        mine = [slice(k * self._d, (k + 1) * self._d) for k, _ in parts]
        if len(parts) == 1:
            weight = max(serves * p[0] * (1.0 - p[0]), LEAST)
            quadratic = float(x @ seen[0][mine[0]])
            if not quadratic >= 0.0:
                return False
            self._inverse.append(seen[0] / np.sqrt(1.0 / weight + quadratic), -1.0)
            return True
        gram = np.array([[float(x @ row[part]) for part in mine] for row in seen])
        weights = serves * (np.diag(p) - np.outer(p, p)) + LEAST * np.eye(len(p))
        root = np.linalg.cholesky(weights)
        if not np.diagonal(gram).min() >= 0.0:
            return False
        try:
            inner = np.linalg.cholesky(np.eye(len(p)) + root.T @ gram @ root)
        except np.linalg.LinAlgError:
            return False
        for term in np.linalg.solve(inner, root.T).astype(np.float32) @ np.array(seen):
            self._inverse.append(term, -1.0)
        return True

    def dot(self, slope: np.ndarray) -> np.ndarray:
        """The inverse times a joint gradient, shape (n, d)."""
        flat = self._inverse.dot(slope.astype(np.float32).ravel())
        return flat.astype(np.float64).reshape(slope.shape)

    def learn(self, before: np.ndarray, after: np.ndarray, step: np.ndarray) -> np.ndarray:
        """Learn from the step ``-H before``, which led from gradient `before` to `after`; ``H after``.

        With y the change of the gradient, the secant's residual ``step - H y`` is just ``-H after``,
        so the term that mends it only scales the next step.
        """
        ahead = self.dot(after)
        old, new = float(np.vdot(ahead, before)), float(np.vdot(ahead, after))
        curve = old - new
        if not 0.0 < old * np.sign(curve) < WILD * abs(curve):
            return ahead
        self._inverse.append(ahead.ravel() / np.sqrt(abs(curve)), float(np.sign(curve)))
        return ahead * (old / curve)
