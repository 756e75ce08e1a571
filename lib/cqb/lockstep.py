"""R runs in lock-step: the plain learner and its world on dense arrays with a leading runs axis.

The shape of work that suits a GPU, where a launch costs more than arithmetic: all runs advance
through the same array operations, and an empty queue is a mask, not an ``if``. It is also the
plainest form of the algorithm (dense precisions, exact Newton refits over the full history), against
which the fast learner of :mod:`cqb.policies.acqb` is checked decision for decision.

Arrays live in the namespace of the `xp` module given; random numbers come from the same host
streams as single runs use. Two host synchronisations a round are inherent in this form: the longest
queue (it sets the width of the round's arrays) and the convergence of the refit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import array_api_compat
import numpy as np

from . import mnl, posterior
from .arrays import to_numpy
from .environment import Draws, Environment, draw
from .exploration import ROTATIONS, Schedule
from .policies.base import LearnerSettings
from .simulate import check_assortment_size
from .streams import Streams

Array = Any


@dataclass(frozen=True)
class LockstepRecord:
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


@dataclass(frozen=True)
class _World:
    """The runs' truth and chance, on the device: pools (R, P, ...), rounds (R, T)."""

    contexts: Array
    odds: Array
    arrives: Array
    row: Array
    outcome: Array


class LockstepLearner:
    """State of R plain ACQB learners: theta (R, N, d), covariance (R, N, d, d), full history.

    Parameters
    ----------
    contexts : (R, P, d) context vectors of the pools' entries.
    coin, radius : exploration probability and confidence radius by round, common to all runs.
    """

    def __init__(
        self,
        contexts: Array,
        n_models: int,
        K: int,
        T: int,
        settings: LearnerSettings,
        coin: Schedule,
        radius: Schedule,
    ) -> None:
        xp = array_api_compat.array_namespace(contexts)
        R, _, d = contexts.shape
        self._xp, self._K, self._settings = xp, K, settings
        self._coin, self._radius = coin, radius
        self._device = {"device": array_api_compat.device(contexts)}
        self.contexts = contexts
        self.theta = xp.zeros((R, n_models, d), dtype=contexts.dtype, **self._device)
        eye = xp.eye(d, dtype=contexts.dtype, **self._device) / settings.lambda0
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
        queries = _rows_of(self.contexts, queue_rows) * xp.astype(
            real[..., None], self.contexts.dtype
        )
        mean = self.theta @ xp.matrix_transpose(queries)
        spread = posterior.score_covariance(self.covariance, queries[:, None, :, :])
        sampled = posterior.sampled_scores(mean, spread, normals, self._radius(t))
        return xp.where(real[..., None], sampled, xp.full_like(sampled, -xp.inf))

    def explores(self, t: int, fresh: Array, coins: Array) -> Array:
        """(R,) bool: forced exploration, by the coin of the round before."""
        return fresh & (coins[:, t - 2] < self._coin(t - 1)) if t > 1 else fresh & False

    def observe(self, t: int, rows: Array, assortment: Array, pick: Array, busy: Array) -> None:
        """Learn from round t: `rows` (R,), `assortment` (R, K), `pick` (R,), `busy` (R,) bool."""
        xp = self._xp
        self._rows[:, t - 1] = rows
        self._offered[:, t - 1, :] = xp.where(busy[:, None], assortment, -1)
        self._picks[:, t - 1] = xp.where(busy, pick, -2)
        x = _rows_of(self.contexts, rows[:, None])[:, 0, :]
        offered = xp.any(assortment[:, :, None] == self._models, axis=1) & busy[:, None]
        seen = x[:, None, :] * xp.astype(offered[..., None], x.dtype)
        self.covariance = posterior.add_observation(self.covariance, seen)
        block = _rows_of(self.theta, assortment)
        exact = mnl.ridge_mle(block, self._history(t, assortment, busy), self._settings.lambda0)
        chosen = xp.astype((assortment[:, :, None] == self._models) & busy[:, None, None], x.dtype)
        change = xp.matrix_transpose(chosen) @ (exact - block)
        self.theta = self.theta + change

    def _history(self, t: int, assortment: Array, busy: Array) -> mnl.BlockHistory:
        """All rounds up to t, as seen by the block of models in `assortment`."""
        xp, dtype = self._xp, self.contexts.dtype
        contexts = _rows_of(self.contexts, self._rows[:, :t])
        past, picks = self._offered[:, :t, :], self._picks[:, :t]
        same = past[:, :, :, None] == assortment[:, None, None, :]
        in_block = xp.any(same, axis=-1)
        offered = xp.astype(xp.any(same, axis=2), dtype)
        utilities = contexts @ xp.matrix_transpose(self.theta)
        theirs = xp.take_along_axis(utilities, xp.where(past < 0, 0, past), axis=2)
        outside = xp.where(in_block | (past < 0), 0.0, xp.exp(theirs))
        relevant = xp.any(in_block, axis=-1) & busy[:, None]
        return mnl.BlockHistory(
            contexts=contexts,
            offered=offered,
            picks=xp.astype(picks[:, :, None] == assortment[:, None, :], dtype)
            * xp.astype(relevant[..., None], dtype),
            serves=xp.astype(relevant, dtype),
            log_base=xp.log1p(xp.sum(outside, axis=-1)),
        )


def simulate_lockstep(
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
) -> LockstepRecord:
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
    world = _to_device(environments, draws, xp, device)
    rotation = ROTATIONS[settings.rotation](environments[0].n_models, K)
    learner = LockstepLearner(
        world.contexts, environments[0].n_models, K, T, settings, coin, radius
    )
    return _Lockstep(world, learner, draws, streams, K, T, rotation).run()


class _Lockstep:
    """The loop over rounds; the queue is a (R, q) array of arrival numbers, -1 beyond its end."""

    def __init__(self, world, learner, draws, streams, K, T, rotation) -> None:
        self._xp = array_api_compat.array_namespace(world.contexts)
        self._device = {"device": array_api_compat.device(world.contexts)}
        self._world, self._learner, self._K, self._T = world, learner, K, T
        self._coins = self._xp.asarray(np.stack([d.coin for d in draws]), **self._device)
        self._normals = [s.rounds("posterior") for s in streams]
        self._draws = posterior.optimistic_draws(K)
        self._rotation: list[tuple[int, ...]] = []
        self._next_assortments = rotation

    def run(self) -> LockstepRecord:
        xp, world, R, T = self._xp, self._world, self._world.row.shape[0], self._T
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
            query = _pick_column(queue, position)
            rows = _pick_column(entry_of, xp.where(busy, query, 0))
            pick = self._outcome(t, rows, assortment)
            if bool(xp.any(busy)):
                self._learner.observe(t, rows, assortment, pick, busy)
            retry = busy & (pick < 0)
            fresh = world.arrives[:, t - 1]
            queue, length = self._advance(queue, length, position, busy, retry, fresh, arrivals)
            columns = xp.arange(T, **self._device) == arrivals[:, None]
            entry_of = xp.where(columns & fresh[:, None], world.row[:, t - 1][:, None], entry_of)
            arrivals = arrivals + xp.astype(fresh, xp.int64)
            lengths.append(length)
            served.append(xp.where(busy, query, -1))
            offers.append(xp.where(busy[:, None], assortment, -1))
            picks.append(xp.where(busy, pick, -2))
        stacked = (xp.stack(x, axis=1) for x in (lengths, served, offers, picks))
        return LockstepRecord(*map(to_numpy, stacked), theta=to_numpy(self._learner.theta))

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
        # A context may wait twice under two arrival numbers; its scores are equal up to rounding,
        # and the earliest in the queue is served.
        best = xp.max(value, axis=1, keepdims=True)
        tied = xp.where(value >= best - 1e-12 * (1.0 + xp.abs(best)), order, q)
        position = xp.min(tied, axis=1)
        rank = xp.argmin(tied, axis=1)
        assortment = _rows_of(options, rank[:, None])[:, 0, :]
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
        xp, world = self._xp, self._world
        odds = xp.take_along_axis(_rows_of(world.odds, rows[:, None])[:, 0, :], assortment, axis=1)
        total = 1.0 + xp.sum(odds, axis=1, keepdims=True)
        chances = xp.concat([xp.ones_like(total), odds], axis=1) / total
        outcome = mnl.sample_choice(chances, world.outcome[:, t - 1])
        picked = _pick_column(assortment, xp.where(outcome > 0, outcome - 1, 0))
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
        query = _pick_column(queue, position)
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


def _to_device(
    environments: Sequence[Environment], draws: Sequence[Draws], xp: ModuleType, device: Any
) -> _World:
    # The compatibility layer gives every library the standard's function names.
    xp = array_api_compat.array_namespace(xp.asarray(0.0))
    where = {"device": device} if device is not None else {}
    vectors = np.stack([e.contexts[e.context_of] for e in environments])
    return _World(
        contexts=xp.asarray(vectors, **where),
        odds=xp.asarray(np.stack([e.odds for e in environments]), **where),
        arrives=xp.asarray(np.stack([d.arrives for d in draws]), **where),
        row=xp.asarray(np.stack([d.row for d in draws]), **where),
        outcome=xp.asarray(np.stack([d.outcome for d in draws]), **where),
    )


def _rows_of(table: Array, rows: Array) -> Array:
    """``table[r, rows[r, i], :]``: (R, P, d) and (R, q) -> (R, q, d)."""
    xp = array_api_compat.array_namespace(table)
    d = table.shape[2]
    index = xp.broadcast_to(rows[:, :, None], (*rows.shape, d))
    return xp.take_along_axis(table, index, axis=1)


def _pick_column(table: Array, column: Array) -> Array:
    """``table[r, column[r]]``: (R, q) and (R,) -> (R,)."""
    xp = array_api_compat.array_namespace(table)
    return xp.take_along_axis(table, column[:, None], axis=1)[:, 0]
