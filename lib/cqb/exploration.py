"""Forced exploration: how often (the coin) and with which assortment (the rotation)."""

import math
from collections.abc import Callable, Iterator
from functools import partial
from itertools import combinations, islice

import numpy as np

from .mnl import Assortment

Schedule = Callable[[int], float]


def decaying(c1: float) -> Schedule:
    """ACQB's coin: ``eta_t = min(1, c1 / sqrt(t + 1))`` (arXiv 2602.02061, section 3)."""
    return lambda t: min(1.0, c1 / math.sqrt(t + 1))


def explore_then_rarely(tau: int, T: int) -> Schedule:
    """CQB-eps' coin: 1 while ``t + 1 <= tau``, then ``T^{-1/2}`` (arXiv 2601.19300)."""
    return lambda t: 1.0 if t + 1 <= tau else T**-0.5


def pure_rounds(c1: float, T: int) -> int:
    """tau, the first t with ``eta_t < 1``: ``max(1, floor(c1^2))``, at most T."""
    return min(T, max(1, math.floor(c1 * c1)))


def solve_c1(exploration_rate: float, arrival_rate: float, T: int) -> float:
    """The c1 at which ``arrival_rate * mean_{t<=T} min(1, c1/sqrt(t+1))`` is the target rate.

    Raises
    ------
    ValueError
        The target is negative or above the arrival rate: an arrival can be explored only once.
    """
    if not 0.0 <= exploration_rate <= arrival_rate:
        raise ValueError(
            f"exploration_rate: found {exploration_rate}, expected between 0 and the arrival rate "
            f"{arrival_rate} (only a fresh arrival is explored)"
        )
    if exploration_rate == 0.0:
        return 0.0
    from scipy.optimize import brentq  # half a second, which few callers need

    decay = 1.0 / np.sqrt(np.arange(1, T + 1) + 1.0)

    def excess(c1: float) -> float:
        return arrival_rate * float(np.minimum(1.0, c1 * decay).mean()) - exploration_rate

    largest = math.sqrt(T + 1)
    return largest if excess(largest) <= 0.0 else float(brentq(excess, 0.0, largest, xtol=1e-12))


def lexicographic(N: int, K: int) -> Iterator[Assortment]:
    """All K-subsets of N models in lexicographic order, endlessly (the paper's rotation)."""
    while True:
        yield from combinations(range(N), K)


def balanced(N: int, K: int) -> Iterator[Assortment]:
    """An endless rotation that offers every model equally often.

    Consecutive windows of K over the sequence ``p -> p s mod N``; after N windows, which offer
    every model K times, the stride s moves on to the next number prime to N. At any moment the
    models' counts differ by at most one, where the lexicographic order spends its first N - 1
    windows on pairs with model 0.
    """
    strides = [s for s in range(1, max(2, N)) if math.gcd(s, N) == 1]
    while True:
        for stride in strides:
            for window in range(N):
                yield tuple(sorted((window * K + k) * stride % N for k in range(K)))


class Rotation:
    """The assortments of a rotation, one by one; what is saved of it is how many were taken.

    Parameters
    ----------
    order : a name in :data:`ROTATIONS`. N, K : models, and models of an assortment.

    Attributes
    ----------
    taken : how many assortments were taken. Set before the first, it says where to begin.
    """

    AS_BUILT = ("_left",)

    def __init__(self, order: str, N: int, K: int) -> None:
        self._make = partial(ROTATIONS[order], N, K)
        self._left: Iterator[Assortment] | None = None
        self.taken = 0

    def __next__(self) -> Assortment:
        if self._left is None:
            self._left = islice(self._make(), self.taken, None)
        self.taken += 1
        return next(self._left)


ROTATIONS = {"lexicographic": lexicographic, "balanced": balanced}
