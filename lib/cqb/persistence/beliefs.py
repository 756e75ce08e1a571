"""What the filter believes about the models' parameters and each waiting query, and how that moves.

An observation has probability l1 if the model is capable of the query and l0 if not, and it is
capable with probability ``Phi(m / sqrt(s))``. Derivatives of ``log Z``, ``Z = l0 + (l1 - l0) Phi(m /
sqrt(s))``, in the mean m are all that moment matching needs (assumed-density filtering; Minka, 2001): a
belief ``N(m, v)`` in any direction with covariance c to the latent number moves by ``c slope`` and its
variance falls by ``c^2 curvature``.

:class:`Utilities` is a Gaussian posterior of every model's parameters. The utility of model j is
``<phi(x), theta_j>``, where phi adds an intercept to the context. An update costs d^2 operations a round
whatever the history. :class:`Slots` holds the beliefs about the waiting queries, in arrays that are
reused as queries come and go.
"""

from itertools import product

import numpy as np
from scipy.special import ndtr

from ..learner.lazy_inverse import LazyInverse

ROOT_2PI = np.sqrt(2.0 * np.pi)

MOST = 0.999  # largest share of a utility's variance that one round may remove
# The arrays of Slots with one row per slot.
ARRAYS = ("_context", "utility", "doubt", "features", "effect", "spread", "covariance")

# Z, d log Z / d mean, -d^2 log Z / d mean^2.
Moments = tuple[np.ndarray, np.ndarray, np.ndarray]


def moments(mean: np.ndarray, variance: np.ndarray, l0: np.ndarray, l1: np.ndarray) -> Moments:
    """``Z``, ``d log Z / d mean`` and ``-d^2 log Z / d mean^2``; all arrays broadcast.

    Parameters
    ----------
    mean, variance : of the latent number, the noise of the attempt included.
    l0, l1 : probability of the observation if the model is incapable, and if it is capable.
    """
    root = np.sqrt(variance)
    ratio = mean / root
    Z = l0 + (l1 - l0) * ndtr(ratio)
    slope = (l1 - l0) * np.exp(-0.5 * ratio * ratio) / (ROOT_2PI * root * Z)
    return Z, slope, slope * (slope + ratio / root)


def tempered(share: float, one: Moments, other: Moments) -> Moments:
    """Moments of ``share log Z + (1 - share) log Z'``: an observation made in part of two.

    Parameters
    ----------
    share : in [0, 1]. one, other : as :func:`moments` returns them; all arrays broadcast.
    """
    (Z, *first), (Z_other, *second) = one, other
    slope, curvature = (share * a + (1.0 - share) * b for a, b in zip(first, second, strict=True))
    return Z**share * Z_other ** (1.0 - share), slope, curvature


def mix(weight: np.ndarray, slope: np.ndarray, curvature: np.ndarray) -> tuple[float, float]:
    """Slope and curvature of ``log sum_h w_h Z_h`` from those of each ``log Z_h``.

    `weight` (H,) is proportional to ``w_h Z_h`` and sums to one.
    """
    mean = float(weight @ slope)
    return mean, float(weight @ curvature - (weight @ (slope * slope) - mean * mean))


def likelihoods(
    j: int, pick: int, others: list[int], capable: np.ndarray, low: np.ndarray, high: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(l0, l1) of one round for model j of the assortment, the others summed over.

    In the multinomial logit a capable model has odds ``high / (1 - high)`` and an incapable one
    ``low / (1 - low)`` (arXiv 2602.02061, section 2).

    Parameters
    ----------
    pick : the model picked, or negative. others : the rest of the assortment.
    capable : (H, N) probability that a model is capable, by hypothesis. low, high : (H,).

    Returns
    -------
    Two arrays of shape (H,).
    """
    odds = np.stack([low / (1.0 - low), high / (1.0 - high)])
    result = np.zeros_like(odds)
    for states in product((0, 1), repeat=len(others)):
        chance, total = 1.0, 1.0
        for i, capable_i in zip(others, states, strict=True):
            chance = chance * (capable[:, i] if capable_i else 1.0 - capable[:, i])
            total = total + odds[capable_i]
        for own in (0, 1):
            state = {**dict(zip(others, states, strict=True)), j: own}
            chosen = 1.0 if pick < 0 else odds[state[pick]]
            result[own] += chance * chosen / (total + odds[own])
    return result[0], result[1]


class Utilities:
    """Posterior means and covariances of theta (N, D), and the utilities they imply.

    The prior variance of theta's coordinates is 1. D is the dimension of the features.
    """

    def __init__(self, n_models: int, D: int) -> None:
        self.theta = np.zeros((n_models, D))
        self._spread = [LazyInverse(D, 1.0) for _ in range(n_models)]

    def of(self, phi: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Means and variances of the utilities at `phi`, (N,) each."""
        return self.theta @ phi, np.array([phi @ spread.dot(phi) for spread in self._spread])

    def observe(
        self, j: int, phi: np.ndarray, slope: float, curvature: float
    ) -> tuple[np.ndarray, float]:
        """Move theta_j; returns its covariance with the utility at `phi`, and the curvature used.

        The curvature is 0 where the observation would widen the posterior.
        """
        covariance = self._spread[j].dot(phi)
        curvature = min(max(curvature, 0.0), MOST / float(phi @ covariance))
        self.theta[j] += slope * covariance
        if curvature > 0.0:
            self._spread[j].append(np.sqrt(curvature) * covariance, -1.0)
        return covariance, curvature


class Slots:
    """One slot per waiting query; `of` maps an arrival number to its slot.

    Attributes (first axis: slots)
    ----------
    utility, doubt : (n, N) posterior mean and variance of the utilities. features : (n, D).
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
        self.utility, self.doubt, self.features = (np.zeros((0, n)) for n in (N, N, D))
        self.effect, self.spread = np.zeros((0, H, N)), np.zeros((0, H, N))
        self.covariance = np.zeros((0, H, N, N))

    def open(
        self, query: int, context: int, phi: np.ndarray, known: tuple[np.ndarray, np.ndarray]
    ) -> None:
        """Open a slot for a new query, with the belief about its prompt if there is one."""
        if not self._free:
            self._grow()
        slot = self._free.pop()
        self.of[query] = slot
        self._context[slot], self.features[slot] = context, phi
        self.utility[slot], self.doubt[slot] = known
        self.effect[slot], self.covariance[slot] = 0.0, self._prior
        if context in self._prompts:
            mean, covariance = self._prompts[context]
            self.effect[slot, self._by_prompt] = mean
            self.covariance[slot, self._by_prompt] = covariance
        self.spread[slot] = np.einsum("hjj->hj", self.covariance[slot])

    def _grow(self) -> None:
        used = self._context.size
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

    def move_effect(self, slot: int, j: int, slope: np.ndarray, curvature: np.ndarray) -> None:
        """Rank-one update of one query's effect in every hypothesis, `slope`, `curvature` (H,)."""
        column = self.covariance[slot, :, :, j].copy()
        self.effect[slot] += slope[:, None] * column
        scaled = curvature[:, None] * column
        self.covariance[slot] -= scaled[:, :, None] * column[:, None, :]
        self.spread[slot] -= scaled * column

    def move_utilities(
        self, j: int, covariance: np.ndarray, slope: float, curvature: float
    ) -> None:
        """Apply a step of theta_j to every waiting query; `covariance` (D,)."""
        seen = self.features @ covariance
        self.utility[:, j] += slope * seen
        self.doubt[:, j] -= curvature * seen * seen

    def share_prompt(self, slot: int) -> None:
        """Copy the belief of this slot to its prompt and the prompt's other waiting arrivals."""
        mine, context = self._by_prompt, self._context[slot]
        mean, covariance = self.effect[slot, mine], self.covariance[slot, mine]
        self._prompts[int(context)] = (mean, covariance)
        for twin in np.flatnonzero(self._context == context):
            if twin != slot:
                self.effect[twin, mine], self.covariance[twin, mine] = mean, covariance
                self.spread[twin, mine] = self.spread[slot, mine]
