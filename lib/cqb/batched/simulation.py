"""The queue of R runs: serve, observe, put retrials back, admit arrivals, for all runs in one step.

Arrays live in the namespace of the `xp` module given; random numbers come from the same host streams as
single runs use. Two host synchronisations a round are inherent in this form: the longest queue (it sets
the width of the round's arrays) and the convergence of the refit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import array_api_compat
import numpy as np

from .. import mnl, posterior
from ..arrays import to_numpy
from ..environment import Draws, Environment, draw
from ..exploration import ROTATIONS, Schedule
from ..mnl import Assortment
from ..policies.base import LearnerSettings
from ..simulate import check_assortment_size
from ..streams import Streams
from .learner import BatchLearner, pick_column, rows_of

Array = Any


@dataclass(frozen=True)
class BatchRecord:
    """What R runs did, in host memory; index t - 1 is round t.

    queue : (R, T + 1) int, length after round t at index t. query : (R, T) int, arrival number
    served or -1. assortment : (R, T, K) int, ascending, -1 when idle. pick : (R, T) int, the model
    picked, -1 a retrial, -2 idle. theta : (R, N, d) the last estimates.
    """

    queue: np.ndarray
    query: np.ndarray
    assortment: np.ndarray
    pick: np.ndarray
    theta: np.ndarray


def simulate_batch(
    environments: Sequence[Environment],
    seeds: Sequence[int],
    K: int,
    arrival_rate: float,
    T: int,
    settings: LearnerSettings,
    coin: Schedule,
    radius: Schedule,
    xp: ModuleType = np,
    device: Any = None,
) -> BatchRecord:
    """Run the plain learner on R environments of one shape at once.

    Parameters
    ----------
    environments, seeds : one each per run; pools of one size, models of one number.
    K, arrival_rate, T : as in :func:`cqb.simulate.simulate` and :func:`cqb.environment.draw`.
    coin, radius : exploration probability and confidence radius, by round.
    xp, device : the array module to run on, and the device of its arrays.

    Raises
    ------
    ValueError
        K is not in [1, N), or the environments differ in shape.
    """
    check_assortment_size(K, environments[0].n_models)
    if len({(e.odds.shape, e.contexts.shape[1]) for e in environments}) != 1:
        raise ValueError("environments: found different shapes, expected one (P, N) and d for all")
    streams = [Streams(seed) for seed in seeds]
    draws = [draw(s, environments[0].pool_size, arrival_rate, T) for s in streams]
    batch = _Batch(environments, streams, draws, K, xp, device)
    rotation = ROTATIONS[settings.rotation](environments[0].n_models, K)
    learner = BatchLearner(batch.contexts, environments[0].n_models, K, T, settings, coin, radius)
    return batch.run(learner, rotation)


class _Batch:
    """The runs' truth and draws on the device, and the loop over rounds.

    Pools are (R, P, ...), rounds (R, T). The queue is a (R, q) array of arrival numbers, -1 beyond its
    end.
    """

    def __init__(
        self,
        environments: Sequence[Environment],
        streams: Sequence[Streams],
        draws: Sequence[Draws],
        K: int,
        xp: ModuleType,
        device: Any,
    ) -> None:
        # The compatibility layer gives every library the standard's function names.
        self._xp = array_api_compat.array_namespace(xp.asarray(0.0))
        where = {} if device is None else {"device": device}

        def stacked(arrays: Iterable[np.ndarray]) -> Array:
            return self._xp.asarray(np.stack(list(arrays)), **where)

        self.contexts = stacked(e.contexts[e.context_of] for e in environments)
        self._odds = stacked(e.odds for e in environments)
        self._arrives, self._row, self._uniforms, self._coins = (
            stacked(getattr(d, name) for d in draws)
            for name in ("arrives", "row", "outcome", "coin")
        )
        self._device = {"device": array_api_compat.device(self.contexts)}
        self._K, self._normals = K, [s.rounds("posterior") for s in streams]
        self._draws = posterior.optimistic_draws(K)
        self._rotation: list[Assortment] = []

    def run(self, learner: BatchLearner, rotation: Iterator[Assortment]) -> BatchRecord:
        """All rounds, served by `learner`; forced assortments come from `rotation`."""
        self._learner, self._next_assortments = learner, rotation
        xp, (R, T) = self._xp, self._row.shape
        ints = {"dtype": xp.int64, **self._device}
        queue, length = xp.full((R, 1), -1, **ints), xp.zeros((R,), **ints)
        arrivals, turn = xp.zeros((R,), **ints), xp.zeros((R,), **ints)
        entry_of = xp.zeros((R, T), **ints)
        fresh = xp.zeros((R,), dtype=xp.bool, **self._device)
        lengths, served, offers, picks = [xp.zeros((R,), **ints)], [], [], []
        for t in range(1, T + 1):
            busy = length > 0
            position, assortment, forced = self._choose(t, queue, length, entry_of, fresh, turn)
            turn = turn + xp.astype(forced & busy, xp.int64)
            query = pick_column(queue, position)
            rows = pick_column(entry_of, xp.where(busy, query, 0))
            pick = self._outcome(t, rows, assortment)
            if bool(xp.any(busy)):
                self._learner.observe(t, rows, assortment, pick, busy)
            retry = busy & (pick < 0)
            fresh = self._arrives[:, t - 1]
            queue, length = self._advance(queue, length, position, busy, retry, fresh, arrivals)
            columns = xp.arange(T, **self._device) == arrivals[:, None]
            entry_of = xp.where(columns & fresh[:, None], self._row[:, t - 1][:, None], entry_of)
            arrivals = arrivals + xp.astype(fresh, xp.int64)
            lengths.append(length)
            served.append(xp.where(busy, query, -1))
            offers.append(xp.where(busy[:, None], assortment, -1))
            picks.append(xp.where(busy, pick, -2))
        stacked = (xp.stack(x, axis=1) for x in (lengths, served, offers, picks))
        return BatchRecord(*map(to_numpy, stacked), theta=to_numpy(self._learner.theta))

    def _choose(
        self, t: int, queue: Array, length: Array, entry_of: Array, fresh: Array, turn: Array
    ) -> tuple[Array, Array, Array]:
        """Queue position (R,), assortment (R, K) and whether it was forced (R,)."""
        xp, q = self._xp, queue.shape[1]
        forced = self._learner.explores(t, fresh, self._coins)
        order = xp.argsort(-queue, axis=1)
        ranked = xp.take_along_axis(queue, order, axis=1)
        real = ranked >= 0
        rows = xp.take_along_axis(entry_of, xp.where(real, ranked, 0), axis=1)
        N = self._learner.theta.shape[1]
        normals = np.stack([s.at(t).standard_normal((q, N, self._draws)) for s in self._normals])
        normals = xp.asarray(normals, **self._device)
        scores = self._learner.scores(t, rows, real, normals)
        options = mnl.best_assortment(scores, self._K)
        chosen = xp.where(real[..., None], xp.take_along_axis(scores, options, axis=2), 0.0)
        value = xp.where(real, mnl.log_departure_odds(chosen), -xp.inf)
        # A context may wait twice under two arrival numbers; their scores are equal up to rounding,
        # and the earliest in the queue is served.
        best = xp.max(value, axis=1, keepdims=True)
        tied = xp.where(value >= best - 1e-12 * (1.0 + xp.abs(best)), order, q)
        position = xp.min(tied, axis=1)
        rank = xp.argmin(tied, axis=1)
        assortment = rows_of(options, rank[:, None])[:, 0, :]
        position = xp.where(forced, length - 1, position)
        return (
            xp.where(length > 0, position, 0),
            xp.where(forced[:, None], self._forced_assortments(turn), assortment),
            forced,
        )

    def _forced_assortments(self, turn: Array) -> Array:
        """The rotation's next assortment of every run: (R, K)."""
        most = int(self._xp.max(turn)) + 1
        while len(self._rotation) < most:
            self._rotation.append(next(self._next_assortments))
        table = self._xp.asarray(np.array(self._rotation), **self._device)
        return self._xp.take(table, turn, axis=0)

    def _outcome(self, t: int, rows: Array, assortment: Array) -> Array:
        """The users' choices (R,): a model index, or -1 for a retrial."""
        xp = self._xp
        odds = xp.take_along_axis(rows_of(self._odds, rows[:, None])[:, 0, :], assortment, axis=1)
        total = 1.0 + xp.sum(odds, axis=1, keepdims=True)
        chances = xp.concat([xp.ones_like(total), odds], axis=1) / total
        outcome = mnl.sample_choice(chances, self._uniforms[:, t - 1])
        picked = pick_column(assortment, xp.where(outcome > 0, outcome - 1, 0))
        return xp.where(outcome > 0, picked, -1)

    def _advance(
        self,
        queue: Array,
        length: Array,
        position: Array,
        busy: Array,
        retry: Array,
        fresh: Array,
        arrivals: Array,
    ) -> tuple[Array, Array]:
        """Take the served query out, put a retrying one back at the end, admit the arrival."""
        xp, (R, q) = self._xp, queue.shape
        query = pick_column(queue, position)
        places = xp.arange(q, **self._device)
        shifted = places + xp.astype(places >= position[:, None], xp.int64)
        inside = shifted < q
        moved = xp.take_along_axis(queue, xp.where(inside, shifted, q - 1), axis=1)
        moved = xp.where(inside, moved, -1)
        queue = xp.where(busy[:, None], moved, queue)
        length = length - xp.astype(busy, xp.int64)
        longest = int(xp.max(length)) + 2
        if longest > q:
            padding = xp.full((R, longest - q), -1, dtype=queue.dtype, **self._device)
            queue = xp.concat([queue, padding], axis=1)
        places = xp.arange(queue.shape[1], **self._device)
        for joins, who in ((retry, query), (fresh, arrivals)):
            end = (places == length[:, None]) & joins[:, None]
            queue = xp.where(end, who[:, None], queue)
            length = length + xp.astype(joins, xp.int64)
        return queue[:, : max(1, int(xp.max(length)))], length
