"""The Thompson learners of many runs at once: ACQB, ACQB-T, CQB-eps, ACQB-CL and ACQB-tuned.

Their law and their decisions are those of :class:`cqb.policies.acqb.ThompsonLearner`, which runs alone
on a CPU and skips what cannot matter. Here every score is drawn, in array operations over all runs.
The inverse precision of every model is dense, and so is the inverse Hessian that steers its refits
(:mod:`.refit`).
"""

from collections.abc import Sequence
from functools import partial

import array_api_compat
import numpy as np

from .. import arrays, mnl, posterior
from ..arrays import Array
from ..policies.acqb import ThompsonLearner
from ..streams import Streams
from .queue import Choice, Served, Waiting
from .refit import Block, descend, odds

STEPS = {1: 8, 2: 14}  # by K: steps of a refit between two questions whether it has ended
# Like the single run, a factor whose pivots are this small is made column by column.
TRUSTED = 1e3 * posterior.DEPENDENT
AHEAD = 16  # rounds whose normals are drawn at once
ROOM = 64 * 2**20  # bytes of normals drawn at once, at most


class Normals:
    """The standard normals of the rounds, drawn on the host once for all runs of a seed.

    Parameters
    ----------
    seeds : of the runs. N, M : models, and draws of each.
    """

    def __init__(self, seeds: Sequence[int], N: int, M: int, like: Array) -> None:
        distinct = list(dict.fromkeys(seeds))
        self._streams = [Streams(seed).rounds("posterior") for seed in distinct]
        self._of_run = arrays.asarray([distinct.index(seed) for seed in seeds], like)
        self._N, self._M, self._like = N, M, like
        self._first, self._block = 0, np.empty((0, 0, 0, N, M))

    def at(self, t: int, q: int) -> Array:
        """(R, N, q, M): those of round t and the q newest queries, as a single run draws them."""
        count, _, room = self._block.shape[:3]
        if not (self._first <= t < self._first + count and q <= room):
            self._draw(t, q)
        xp = arrays.namespace(self._block)
        drawn = xp.take(self._block[t - self._first, :, :q, ...], self._of_run, axis=0)
        return xp.permute_dims(drawn, (0, 2, 1, 3))

    def _draw(self, t: int, q: int) -> None:
        """Draw the next rounds for queues that may grow by one a round."""
        room = q + AHEAD
        each = 8 * len(self._streams) * room * self._N * self._M
        rounds = range(t, t + max(1, min(AHEAD, ROOM // each)))
        size = (room, self._N, self._M)
        drawn = [[s.at(r).standard_normal(size) for s in self._streams] for r in rounds]
        self._first, self._block = t, arrays.asarray(drawn, self._like)


class BatchLearner:
    """R learners with N models and context vectors of d numbers, K <= 2.

    Parameters
    ----------
    learners, seeds : of the R runs; the learners are new, as single runs would have them: coin,
        rotation, radius and settings are theirs.
    contexts : (R, C, d) float64. T, N, K : rounds, models, and models of an assortment.

    Attributes
    ----------
    theta : (R N, d) float64, the estimates of one run after another.
    unfinished : (R,) bool, runs whose refit has still to converge.
    """

    def __init__(
        self,
        learners: Sequence[ThompsonLearner],
        seeds: Sequence[int],
        contexts: Array,
        T: int,
        N: int,
        K: int,
    ) -> None:
        xp, (R, C, d) = arrays.namespace(contexts), contexts.shape
        self._device = {"device": array_api_compat.device(contexts)}
        there = partial(arrays.asarray, like=contexts)
        settings = [one.settings for one in learners]
        coin = [[one.coin(t) for t in range(1, T + 1)] for one in learners]
        coins = [one.coins[:T] for one in learners]
        self._explores = there(np.array(coins) < np.array(coin))
        self._radius = there([[one.radius(t) for t in range(1, T + 1)] for one in learners])
        self._rotation = there([next(learners[0].rotation) for _ in range(T)])
        self._ridge = there([float(s.lambda0) for s in settings])
        self._tolerance = there([0.5 * s.tolerance for s in settings])
        self._normals = Normals(seeds, N, posterior.optimistic_draws(K), contexts)
        self._contexts, self._C, self._N, self._K = contexts, C, N, K
        self._rows = xp.reshape(contexts, (R * C, d))
        self._runs = xp.arange(R, **self._device)
        self._models = xp.arange(N, **self._device)
        floats = {"dtype": contexts.dtype, **self._device}
        eye = xp.eye(d, **floats) / xp.repeat(self._ridge, N)[:, None, None]
        self._covariance, self._steering = eye, eye + 0.0
        self.theta = xp.zeros((R * N, d), **floats)
        self._utilities = xp.zeros((R * N, C), **floats)
        self._partners = N if K == 2 else 1
        self._serves = xp.zeros((R * N * C * self._partners,), **floats)
        self._picks = xp.zeros((R * N * C,), **floats)
        self._turn = xp.zeros((R,), dtype=xp.int64, **self._device)
        self.unfinished = xp.zeros((R,), dtype=xp.bool, **self._device)

    def choose(self, t: int, waiting: Waiting) -> Choice:
        """The query and assortment of largest sampled departure rate, or forced exploration."""
        xp = arrays.namespace(self.theta)
        place, assortment = self._sampled(t, waiting)
        # The coin of the round before; in the first round no query is fresh.
        forced = waiting.fresh & self._explores[:, t - 2] & (waiting.length > 0)
        place = xp.where(forced, waiting.length - 1, place)
        explored = xp.take(self._rotation, self._turn, axis=0)
        self._turn = self._turn + xp.astype(forced, xp.int64)
        return Choice(place, xp.where(forced[:, None], explored, assortment), forced)

    def _sampled(self, t: int, waiting: Waiting) -> tuple[Array, Array]:
        """Place in the queue (R,) and assortment (R, K) of the largest sampled departure rate."""
        xp = arrays.namespace(self.theta)
        # Newest first, so that a normal belongs to a query by its arrival; -1 where none waits.
        newest = xp.sort(waiting.query, axis=1, descending=True)
        number = xp.where(newest >= 0, newest, 0)
        ranked = xp.take_along_axis(waiting.context_of, number, axis=1)
        # A vector that waits twice has one score, that of its newest query.
        twice = xp.tril(ranked[:, :, None] == ranked[:, None, :], k=-1)
        alone = (newest >= 0) & ~xp.any(twice, axis=2)
        scores = self.scores(t, ranked, alone)
        options = mnl.best_assortment(scores, self._K)
        chosen = xp.where(alone[..., None], xp.take_along_axis(scores, options, axis=2), 0.0)
        value = xp.where(alone, mnl.log_departure_odds(chosen), -xp.inf)
        best = xp.argmax(value, axis=1)[:, None]
        assortment = xp.take_along_axis(options, best[..., None], axis=1)[:, 0, :]
        # The same vector may wait more than once: the earliest in the queue is served.
        same = waiting.context == xp.take_along_axis(ranked, best, axis=1)
        same = same & (waiting.query >= 0)
        return xp.argmax(xp.astype(same, xp.int64), axis=1), assortment

    def scores(self, t: int, ranked: Array, alone: Array) -> Array:
        """Optimistic sampled utilities (R, q, N) of the contexts `ranked` (R, q), newest first.

        Only those `alone` (R, q) are drawn jointly and scored; the others are -inf.
        """
        xp, (R, q) = arrays.namespace(self.theta), ranked.shape
        shown = xp.astype(alone[..., None], self.theta.dtype)
        rows = self._runs[:, None] * self._C + ranked
        queries = (arrays.take(self._rows, rows) * shown)[:, None, :, :]
        covariance = xp.reshape(self._covariance, (R, self._N, *self._covariance.shape[1:]))
        spread = posterior.score_covariance(covariance, queries)
        eye = xp.eye(q, dtype=spread.dtype, **self._device)
        spread = spread + eye * (1.0 - shown)[:, None, ...]
        utilities = xp.reshape(self._utilities, (R, self._N, self._C))
        index = xp.broadcast_to(ranked[:, None, :], (R, self._N, q))
        mean = xp.take_along_axis(utilities, index, axis=2)
        drawn = self._factor(spread) @ self._normals.at(t, q)
        radius = self._radius[:, t - 1][:, None, None]
        sampled = xp.matrix_transpose(mean + radius * xp.max(drawn, axis=-1))
        return xp.where(alone[..., None], sampled, -xp.inf)

    def _factor(self, spread: Array) -> Array:
        """Lower factors of the scores' covariance; column by column where vectors depend."""
        if spread.shape[-1] <= self.theta.shape[1]:
            lower, trusted = arrays.cholesky(spread, TRUSTED)
            if bool(arrays.to_numpy(trusted)):
                return lower
        return posterior.dependent_cholesky(spread)

    def observe(self, t: int, served: Served) -> None:
        """Learn from round t, and take the first steps of the refit."""
        xp, (R, K) = arrays.namespace(self.theta), served.assortment.shape
        blocks = self._runs[:, None] * self._N + served.assortment
        busy = xp.astype(served.busy, self.theta.dtype)
        x = arrays.take(self._rows, self._runs * self._C + served.context) * busy[:, None]
        self._count(blocks, served, busy)
        self._grow(self._covariance, blocks, x, xp.ones((R, K), dtype=x.dtype, **self._device))
        at = xp.broadcast_to(served.context[:, None, None], (R, K, 1))
        utilities = xp.take_along_axis(arrays.take(self._utilities, blocks), at, axis=2)[..., 0]
        odds = xp.exp(utilities - xp.max(utilities, axis=1, keepdims=True))
        none = xp.exp(-xp.max(utilities, axis=1, keepdims=True))
        rates = odds / (none + xp.sum(odds, axis=1, keepdims=True))
        self._grow(self._steering, blocks, x, rates * (1.0 - rates))
        self._blocks, self._busy, self._assortment = blocks, served.busy, served.assortment
        self.refine()

    def _count(self, blocks: Array, served: Served, busy: Array) -> None:
        """Add the round to the counts by model, context and partner."""
        xp = arrays.namespace(blocks)
        cells = blocks * self._C + served.context[:, None]
        partner = xp.flip(served.assortment, axis=1) if self._K == 2 else xp.zeros_like(blocks)
        places = cells * self._partners + partner
        arrays.put(self._serves, places, arrays.take(self._serves, places) + busy[:, None])
        picked = xp.astype(served.pick[:, None] == served.assortment, busy.dtype) * busy[:, None]
        arrays.put(self._picks, cells, arrays.take(self._picks, cells) + picked)

    @staticmethod
    def _grow(inverses: Array, blocks: Array, x: Array, weight: Array) -> None:
        """Add ``weight x x^T`` to what the inverses of the blocks' models are inverses of."""
        xp = arrays.namespace(x)
        root = xp.sqrt(weight)[..., None] * x[:, None, :]
        arrays.put(inverses, blocks, posterior.add_observation(arrays.take(inverses, blocks), root))

    def refine(self) -> None:
        """Further steps of the last round's refit; :attr:`unfinished` says whether they suffice."""
        xp, (R, K) = arrays.namespace(self.theta), self._blocks.shape
        blocks, shape = self._blocks, (R, K, self._C)
        cells = (R * self._N, self._C)
        if self._K == 2:
            base = 1.0 + odds(xp.reshape(self._utilities, (R, 1, self._N, self._C)))
            base = xp.matrix_transpose(base)
        else:
            base = xp.ones((1, 1, 1, 1), dtype=self.theta.dtype, **self._device)
        other = xp.flip(self._assortment, axis=1)[:, :, None, None] == self._models
        serves = arrays.take(xp.reshape(self._serves, (*cells, self._partners)), blocks)
        block = Block(
            contexts=self._contexts,
            inverse=arrays.take(self._steering, blocks),
            serves=serves,
            picks=xp.reshape(arrays.take(xp.reshape(self._picks, cells), blocks), shape),
            base=base,
            other=other,
            ridge=self._ridge[:, None, None],
        )
        tolerance = xp.where(self._busy, self._tolerance, xp.inf)
        start = arrays.take(self.theta, blocks), arrays.take(self._utilities, blocks)
        theta, utilities, self.unfinished = descend(block, *start, tolerance, STEPS[self._K])
        arrays.put(self.theta, blocks, theta)
        arrays.put(self._utilities, blocks, utilities)
