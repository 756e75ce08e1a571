"""The policies without contexts for many runs at once: ORACLE, RANDOM, Q-UCB and Q-ThS.

Each takes the decisions of the policy that runs alone (:mod:`cqb.policies`).
"""

from collections.abc import Sequence

import array_api_compat
import numpy as np

from .. import arrays
from ..arrays import Array
from ..environment import Environment
from ..policies.fifo_bandits import exploration_rate, ucb_index
from ..policies.fixed import drawn
from ..streams import Streams
from .queue import Choice, Served, Waiting


class Fixed:
    """A rule that learns nothing.

    Attributes
    ----------
    unfinished : (R,) bool, all false.
    """

    def __init__(self, R: int, like: Array) -> None:
        xp = arrays.namespace(like)
        self._device = {"device": array_api_compat.device(like)}
        self.unfinished = xp.zeros((R,), dtype=xp.bool, **self._device)

    def observe(self, t: int, served: Served) -> None:
        """Learns nothing."""

    def refine(self) -> None:
        """Has nothing to refine."""


class OracleRule(Fixed):
    """Largest departure rate first, with its best assortment."""

    def __init__(self, environments: Sequence[Environment], K: int, like: Array) -> None:
        super().__init__(len(environments), like)
        self._rates = arrays.asarray([world.departure_rates(K) for world in environments], like)
        self._best = arrays.asarray([world.best_assortments(K) for world in environments], like)

    def choose(self, t: int, waiting: Waiting) -> Choice:
        xp = arrays.namespace(self._rates)
        rates = xp.take_along_axis(self._rates, waiting.row, axis=1)
        place = xp.argmax(xp.where(waiting.query >= 0, rates, -xp.inf), axis=1)
        row = xp.take_along_axis(waiting.row, place[:, None], axis=1)
        at = xp.broadcast_to(row[..., None], (*row.shape, self._best.shape[2]))
        best = xp.take_along_axis(self._best, at, axis=1)[:, 0, :]
        return Choice(place, best, self.unfinished)


class UniformRule(Fixed):
    """A random query and a random assortment; a run's numbers are drawn on the host beforehand."""

    def __init__(self, seeds: Sequence[int], T: int, N: int, K: int, like: Array) -> None:
        super().__init__(len(seeds), like)
        of_seed = {seed: drawn(Streams(seed), T, N, K) for seed in dict.fromkeys(seeds)}
        where, which = zip(*(of_seed[seed] for seed in seeds), strict=True)
        self._where = arrays.asarray(where, like)
        self._which = arrays.asarray(which, like)

    def choose(self, t: int, waiting: Waiting) -> Choice:
        xp = arrays.namespace(self._where)
        length = xp.astype(waiting.length, self._where.dtype)
        place = xp.astype(self._where[:, t - 1] * length, xp.int64)
        return Choice(place, self._which[:, t - 1, :], self.unfinished)


class FifoRule(Fixed):
    """Q-UCB, or Q-ThS where `thompson`: the head of the queue, with one model.

    The draws of Q-ThS depend on the counts of a run, so the host makes them, run by run.
    """

    def __init__(
        self, seeds: Sequence[int], T: int, N: int, like: Array, thompson: bool = False
    ) -> None:
        super().__init__(len(seeds), like)
        xp, streams = arrays.namespace(like), [Streams(seed) for seed in seeds]
        coins = np.stack([one.uniforms("exploration", T) for one in streams])
        rates = [exploration_rate(t, N) for t in range(1, T + 1)]
        self._explores = arrays.asarray(coins < rates, like)
        self._beta = [one.rounds("beta draws") for one in streams] if thompson else None
        floats = {"dtype": like.dtype, **self._device}
        self._picks = xp.zeros((len(seeds), N), **floats)
        self._serves = xp.zeros((len(seeds), N), **floats)
        self._models = xp.arange(N, **self._device)
        self._next = xp.zeros((len(seeds),), dtype=xp.int64, **self._device)

    def choose(self, t: int, waiting: Waiting) -> Choice:
        xp = arrays.namespace(self._picks)
        forced = self._explores[:, t - 1] | ~xp.all(self._serves > 0.0, axis=1)
        forced = forced & (waiting.length > 0)
        served = xp.maximum(self._serves, 1.0)
        if self._beta is None:
            values = ucb_index(t, self._picks, served)
        else:
            values = arrays.asarray(self._draw(t), self._picks)
        model = xp.where(forced, self._next, xp.argmax(values, axis=1))
        self._next = (self._next + xp.astype(forced, xp.int64)) % self._models.shape[0]
        return Choice(xp.zeros_like(waiting.length), model[:, None], forced)

    def _draw(self, t: int) -> np.ndarray:
        """(R, N) draws from Beta(picks + 1, retrials + 1)."""
        picks, serves = arrays.to_numpy(self._picks), arrays.to_numpy(self._serves)
        runs = zip(self._beta, picks + 1.0, serves - picks + 1.0, strict=True)
        return np.array([one.at(t).beta(a, b) for one, a, b in runs])

    def observe(self, t: int, served: Served) -> None:
        xp = arrays.namespace(self._picks)
        here = (served.assortment == self._models) & served.busy[:, None]
        self._serves = self._serves + xp.astype(here, self._serves.dtype)
        picked = here & (served.pick >= 0)[:, None]
        self._picks = self._picks + xp.astype(picked, self._picks.dtype)
