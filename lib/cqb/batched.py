"""R runs at once: the plain learner and its environment on dense arrays with a leading runs axis.

This form suits a GPU, where a launch costs more than arithmetic: all runs advance through the same array
operations, and an empty queue is a mask, not an ``if``. It is also the plainest form of the algorithm
(dense precisions, exact Newton refits over the full history), and the fast learner of
:mod:`cqb.policies.acqb` is checked against it decision for decision.

Random numbers come from the host streams of single runs. Two host synchronisations a round are inherent
in this form: the longest queue (the width of the round's arrays) and the convergence of the refit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from types import ModuleType
from typing import Any

import array_api_compat
import numpy as np

from . import mnl, posterior
from .arrays import to_numpy
from .environment import Draws, Environment, draw
from .exploration import ROTATIONS, Schedule
from .mnl import Assortment
from .policies.base import LearnerSettings
from .simulate import check_assortment_size
from .streams import Streams

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
    n_models = environments[0].n_models
    rotation = ROTATIONS[settings.rotation](n_models, K)
    batch = _Batch(environments, streams, draws, K, rotation, coin, xp, device)
    return batch.run(BatchLearner(batch.contexts, n_models, K, T, settings.lambda0, radius))


class BatchLearner:
    """State of R plain ACQB learners: theta (R, N, d), covariance (R, N, d, d), full history.

    Parameters
    ----------
    contexts : (R, P, d) context vectors of the pools' entries.
    ridge : lambda0 > 0. radius : confidence radius by round, common to all runs.
    """

    def __init__(
        self, contexts: Array, n_models: int, K: int, T: int, ridge: float, radius: Schedule
    ) -> None:
        xp = array_api_compat.array_namespace(contexts)
        R, _, d = contexts.shape
        self._xp, self._ridge, self._radius = xp, ridge, radius
        self._device = {"device": array_api_compat.device(contexts)}
        self.contexts = contexts
        self.theta = xp.zeros((R, n_models, d), dtype=contexts.dtype, **self._device)
        eye = xp.eye(d, dtype=contexts.dtype, **self._device) / ridge
        self.covariance = xp.broadcast_to(eye, (R, n_models, d, d))
        self._models = xp.arange(n_models, **self._device)
        self._rows = xp.zeros((R, T), dtype=xp.int64, **self._device)
        self._offered = xp.full((R, T, K), -1, dtype=xp.int64, **self._device)
        self._picks = xp.full((R, T), -2, dtype=xp.int64, **self._device)

    def scores(self, t: int, queue_rows: Array, real: Array, normals: Array) -> Array:
        """Optimistic sampled utilities of the waiting queries: (R, q, N); -inf where none waits.

        `queue_rows` (R, q) are pool entries in the order of the normals, `real` (R, q) masks.
        """
        xp = self._xp
        shown = xp.astype(real[..., None], self.contexts.dtype)
        queries = rows_of(self.contexts, queue_rows) * shown
        mean = self.theta @ xp.matrix_transpose(queries)
        spread = posterior.score_covariance(self.covariance, queries[:, None, :, :])
        sampled = posterior.sampled_scores(mean, spread, normals, self._radius(t))
        return xp.where(real[..., None], sampled, xp.full_like(sampled, -xp.inf))

    def observe(self, t: int, rows: Array, assortment: Array, pick: Array, busy: Array) -> None:
        """Learn from round t: `rows` (R,), `assortment` (R, K), `pick` (R,), `busy` (R,) bool."""
        xp = self._xp
        self._rows[:, t - 1] = rows
        self._offered[:, t - 1, :] = xp.where(busy[:, None], assortment, -1)
        self._picks[:, t - 1] = xp.where(busy, pick, -2)
        x = rows_of(self.contexts, rows[:, None])[:, 0, :]
        offered = xp.any(assortment[:, :, None] == self._models, axis=1) & busy[:, None]
        seen = x[:, None, :] * xp.astype(offered[..., None], x.dtype)
        self.covariance = posterior.add_observation(self.covariance, seen)
        block = rows_of(self.theta, assortment)
        exact = mnl.ridge_mle(block, self._history(t, assortment, busy), self._ridge)
        chosen = xp.astype((assortment[:, :, None] == self._models) & busy[:, None, None], x.dtype)
        self.theta = self.theta + xp.matrix_transpose(chosen) @ (exact - block)

    def _history(self, t: int, assortment: Array, busy: Array) -> mnl.BlockHistory:
        """All rounds up to t, as seen by the block of models in `assortment`."""
        xp, dtype = self._xp, self.contexts.dtype
        contexts = rows_of(self.contexts, self._rows[:, :t])
        past, picks = self._offered[:, :t, :], self._picks[:, :t]
        same = past[:, :, :, None] == assortment[:, None, None, :]
        in_block = xp.any(same, axis=-1)
        offered = xp.astype(xp.any(same, axis=2), dtype)
        utilities = contexts @ xp.matrix_transpose(self.theta)
        theirs = xp.take_along_axis(utilities, xp.where(past < 0, 0, past), axis=2)
        outside = xp.where(in_block | (past < 0), 0.0, xp.exp(theirs))
        serves = xp.astype(xp.any(in_block, axis=-1) & busy[:, None], dtype)
        picked = xp.astype(picks[:, :, None] == assortment[:, None, :], dtype)
        log_base = xp.log1p(xp.sum(outside, axis=-1))
        return mnl.BlockHistory(contexts, offered, picked * serves[..., None], serves, log_base)


def rows_of(table: Array, rows: Array) -> Array:
    """``table[r, rows[r, i], :]``: (R, P, d) and (R, q) -> (R, q, d)."""
    xp = array_api_compat.array_namespace(table)
    index = xp.broadcast_to(rows[:, :, None], (*rows.shape, table.shape[2]))
    return xp.take_along_axis(table, index, axis=1)


def pick_column(table: Array, column: Array) -> Array:
    """``table[r, column[r]]``: (R, q) and (R,) -> (R,)."""
    xp = array_api_compat.array_namespace(table)
    return xp.take_along_axis(table, column[:, None], axis=1)[:, 0]


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
        rotation: Iterator[Assortment],
        coin: Schedule,
        xp: ModuleType,
        device: Any,
    ) -> None:
        # The compatibility layer gives every library the standard's function names.
        self._xp = array_api_compat.array_namespace(xp.asarray(0.0))
        where = {} if device is None else {"device": device}

        def stacked(arrays: Iterable[Any]) -> Array:
            return self._xp.asarray(np.stack(list(arrays)), **where)

        self.contexts = stacked(e.contexts[e.context_of] for e in environments)
        self._odds = stacked(e.odds for e in environments)
        self._arrives, self._uniforms, self._coins = (
            stacked(getattr(d, name) for d in draws) for name in ("arrives", "outcome", "coin")
        )
        # The number of the query that arrives in a round, and the pool entry of each by its number.
        self._number = stacked(np.cumsum(d.arrives) - 1 for d in draws)
        self._entry_of = stacked(np.pad(d.row[d.arrives], (0, (~d.arrives).sum())) for d in draws)
        self._device = {"device": array_api_compat.device(self.contexts)}
        self._normals = [s.rounds("posterior") for s in streams]
        self._K, self._coin, self._draws = K, coin, posterior.optimistic_draws(K)
        self._forced = stacked(islice(rotation, draws[0].outcome.size))

    def run(self, learner: BatchLearner) -> BatchRecord:
        """All rounds, served by `learner`."""
        self._learner = learner
        xp, (R, T) = self._xp, self._arrives.shape
        ints = {"dtype": xp.int64, **self._device}
        queue, length = xp.full((R, 1), -1, **ints), xp.zeros((R,), **ints)
        turn = xp.zeros((R,), **ints)
        fresh = xp.zeros((R,), dtype=xp.bool, **self._device)
        lengths, served, offers, picks = [xp.zeros((R,), **ints)], [], [], []
        for t in range(1, T + 1):
            busy = length > 0
            position, assortment, forced = self._choose(t, queue, length, fresh, turn)
            turn = turn + xp.astype(forced & busy, xp.int64)
            query = pick_column(queue, position)
            rows = pick_column(self._entry_of, xp.where(busy, query, 0))
            pick = self._outcome(t, rows, assortment)
            if bool(xp.any(busy)):
                self._learner.observe(t, rows, assortment, pick, busy)
            fresh = self._arrives[:, t - 1]
            joining = [(busy & (pick < 0), query), (fresh, self._number[:, t - 1])]
            queue, length = self._advance(queue, length, position, busy, joining)
            lengths.append(length)
            served.append(xp.where(busy, query, -1))
            offers.append(xp.where(busy[:, None], assortment, -1))
            picks.append(xp.where(busy, pick, -2))
        stacked = (xp.stack(x, axis=1) for x in (lengths, served, offers, picks))
        return BatchRecord(*map(to_numpy, stacked), theta=to_numpy(self._learner.theta))

    def _choose(
        self, t: int, queue: Array, length: Array, fresh: Array, turn: Array
    ) -> tuple[Array, Array, Array]:
        """Queue position (R,), assortment (R, K) and whether it was forced (R,)."""
        xp, q = self._xp, queue.shape[1]
        # The coin of the round before; in the first round no query is fresh.
        forced = fresh & (self._coins[:, t - 2] < self._coin(t - 1))
        order = xp.argsort(-queue, axis=1)
        ranked = xp.take_along_axis(queue, order, axis=1)
        real = ranked >= 0
        rows = xp.take_along_axis(self._entry_of, xp.where(real, ranked, 0), axis=1)
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
            xp.where(forced[:, None], xp.take(self._forced, turn, axis=0), assortment),
            forced,
        )

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
        self, queue: Array, length: Array, position: Array, busy: Array, joining: list
    ) -> tuple[Array, Array]:
        """Take the served query out and add those of `joining`, pairs of (whether, who), at the end."""
        xp, (R, q) = self._xp, queue.shape
        empty = xp.full((R, 3), -1, dtype=queue.dtype, **self._device)
        places = xp.arange(q + 2, **self._device)
        after = xp.astype((places >= position[:, None]) & busy[:, None], xp.int64)
        queue = xp.take_along_axis(xp.concat([queue, empty], axis=1), places + after, axis=1)
        length = length - xp.astype(busy, xp.int64)
        for joins, who in joining:
            end = (places == length[:, None]) & joins[:, None]
            queue = xp.where(end, who[:, None], queue)
            length = length + xp.astype(joins, xp.int64)
        return queue[:, : max(1, int(xp.max(length)))], length
