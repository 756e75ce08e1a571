"""What the filter believes: about the models' parameters, and about each waiting query.

:class:`Utilities` is a Gaussian posterior of every model's parameters. The utility of model j is
``<phi(x), theta_j + w>``: phi adds an intercept to the context, and all models share w, so that one
model's outcome on a query also informs the others. Each posterior moves by moment matching
(:mod:`.evidence`), at d^2 operations a round whatever the history; the correlation between theta_j and w
that a round creates is ignored.

:class:`Slots` holds the beliefs about the waiting queries, in arrays that are reused as queries come and
go.
"""

from __future__ import annotations

import numpy as np

from ..learner.lazy_inverse import LazyInverse

MOST = 0.999  # largest share of a utility's variance that one round may remove
# The arrays of Slots with one row per slot.
ARRAYS = ("_context", "utility", "own", "common", "features", "effect", "spread", "covariance")


class Utilities:
    """Posterior means and covariances of theta (N, D) and w (D,), and the utilities they imply.

    Parameters
    ----------
    n_models : N. D : dimension of the features.
    shared : prior variance of w's coordinates; theta's is 1. 0 leaves w out.
    """

    def __init__(self, n_models: int, D: int, shared: float) -> None:
        self.theta = np.zeros((n_models, D))
        self.w = np.zeros(D)
        self._spread = [LazyInverse(D, 1.0) for _ in range(n_models)]
        self._spread_w = LazyInverse(D, 1.0 / shared) if shared > 0 else None

    def of(self, phi: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        """Means (N,), variances of the models' own parts (N,), and of the shared part, at `phi`."""
        own = np.array([phi @ spread.dot(phi) for spread in self._spread])
        common = float(phi @ self._spread_w.dot(phi)) if self._spread_w else 0.0
        return self.theta @ phi + self.w @ phi, own, common

    def observe(
        self, j: int, phi: np.ndarray, slope: float, curvature: float
    ) -> tuple[np.ndarray, np.ndarray | None, float]:
        """Move theta_j and w; returns their covariances with the utility at `phi`, and the curvature
        used (0 where the observation would widen the posterior)."""
        own = self._spread[j].dot(phi)
        common = self._spread_w.dot(phi) if self._spread_w else None
        total = float(phi @ own) + (float(phi @ common) if common is not None else 0.0)
        curvature = min(max(curvature, 0.0), MOST / total)
        self.theta[j] += slope * own
        if common is not None:
            self.w += slope * common
        if curvature > 0.0:
            self._spread[j].append(np.sqrt(curvature) * own, -1.0)
            if common is not None:
                self._spread_w.append(np.sqrt(curvature) * common, -1.0)
        return own, common, curvature


class Slots:
    """One slot per waiting query; `of` maps an arrival number to its slot.

    Attributes (first axis: slots)
    ----------
    utility, own : (n, N) posterior mean of the utilities, variance of the models' own parts.
    common : (n,) variance of the shared part. features : (n, D).
    effect, spread : (n, H, N) mean and variance of the query's effect, by hypothesis.
    covariance : (n, H, N, N) of which `spread` is the diagonal.

    Parameters
    ----------
    prior : (H, N, N) covariance of a new query's effect.
    by_prompt : (H,) bool, the hypotheses in which the effect belongs to the prompt.
    """

    def __init__(self, prior: np.ndarray, by_prompt: np.ndarray, D: int) -> None:
        H, N, _ = prior.shape
        self._prior, self._by_prompt = prior, by_prompt
        self.of: dict[int, int] = {}
        self._free: list[int] = []
        self._prompts: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self._context = np.zeros(0, np.int64)
        self.utility, self.own = np.zeros((0, N)), np.zeros((0, N))
        self.common, self.features = np.zeros(0), np.zeros((0, D))
        self.effect, self.spread = np.zeros((0, H, N)), np.zeros((0, H, N))
        self.covariance = np.zeros((0, H, N, N))

    def at(self, queries: list[int]) -> np.ndarray:
        """(q,) slots of the queries."""
        return np.array([self.of[query] for query in queries])

    def open(
        self, query: int, context: int, phi: np.ndarray, known: tuple[np.ndarray, np.ndarray, float]
    ) -> None:
        """Open a slot for a new query, with the belief about its prompt if there is one."""
        if not self._free:
            self._grow()
        slot = self._free.pop()
        self.of[query] = slot
        self._context[slot], self.features[slot] = context, phi
        self.utility[slot], self.own[slot], self.common[slot] = known
        self.effect[slot], self.covariance[slot] = 0.0, self._prior
        if context in self._prompts:
            mean, covariance = self._prompts[context]
            self.effect[slot, self._by_prompt] = mean
            self.covariance[slot, self._by_prompt] = covariance
        self.spread[slot] = np.einsum("hjj->hj", self.covariance[slot])

    def _grow(self) -> None:
        used = self.common.size
        more = max(16, used)
        for name in ARRAYS:
            array = getattr(self, name)
            room = np.zeros((more, *array.shape[1:]), array.dtype)
            setattr(self, name, np.concatenate([array, room]))
        self._context[used:] = np.iinfo(np.int64).min
        self._free = list(range(used + more - 1, used - 1, -1))

    def close(self, query: int) -> None:
        """Free the slot of a departed query."""
        slot = self.of.pop(query)
        self._context[slot] = np.iinfo(np.int64).min
        self._free.append(slot)

    def forget(self, context: int) -> None:
        """Drop the belief about a prompt."""
        self._prompts.pop(context, None)

    def move_effect(self, slot: int, j: int, slope: np.ndarray, curvature: np.ndarray) -> None:
        """Rank-one update of one query's effect in every hypothesis, `slope`, `curvature` (H,)."""
        column = self.covariance[slot, :, :, j].copy()
        self.effect[slot] += slope[:, None] * column
        scaled = curvature[:, None] * column
        self.covariance[slot] -= scaled[:, :, None] * column[:, None, :]
        self.spread[slot] -= scaled * column

    def move_utilities(
        self, j: int, own: np.ndarray, common: np.ndarray | None, slope: float, curvature: float
    ) -> None:
        """Apply a step of theta_j (and w) to every waiting query; covariances (D,)."""
        seen = self.features @ own
        self.utility[:, j] += slope * seen
        self.own[:, j] -= curvature * seen * seen
        if common is not None:
            seen = self.features @ common
            self.utility += slope * seen[:, None]
            self.common -= curvature * seen * seen

    def share_prompt(self, slot: int) -> None:
        """Copy the belief of this slot to its prompt and the prompt's other waiting arrivals."""
        mine, context = self._by_prompt, self._context[slot]
        mean, covariance = self.effect[slot, mine], self.covariance[slot, mine]
        self._prompts[int(context)] = (mean, covariance)
        for twin in np.flatnonzero(self._context == context):
            if twin != slot:
                self.effect[twin, mine], self.covariance[twin, mine] = mean, covariance
                self.spread[twin, mine] = self.spread[slot, mine]
