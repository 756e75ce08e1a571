"""One observation of one model: its probability, and the step of a Gaussian belief.

An observation has probability l1 if the model is capable of the query and l0 if not, and it is
capable with probability ``Phi(m / sqrt(s))``. Derivatives of ``log Z``, ``Z = l0 + (l1 - l0) Phi(m /
sqrt(s))``, in the mean m are all that moment matching needs (assumed-density filtering; Minka, 2001): a
belief ``N(m, v)`` in any direction with covariance c to the latent number moves by ``c slope`` and its
variance falls by ``c^2 curvature``.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from scipy.special import ndtr

ROOT_2PI = np.sqrt(2.0 * np.pi)

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
        chance = np.ones_like(low)
        total = np.ones_like(low)
        for i, state in zip(others, states, strict=True):
            chance = chance * (capable[:, i] if state else 1.0 - capable[:, i])
            total = total + odds[state]
        for own in (0, 1):
            if pick == j:
                chosen = odds[own]
            elif pick < 0:
                chosen = np.ones_like(low)
            else:
                chosen = odds[states[others.index(pick)]]
            result[own] += chance * chosen / (total + odds[own])
    return result[0], result[1]
