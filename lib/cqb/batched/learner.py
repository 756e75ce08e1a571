"""The state of R plain ACQB learners, and their scores and updates as array operations."""

from __future__ import annotations

from typing import Any

import array_api_compat

from .. import mnl, posterior
from ..exploration import Schedule
from ..policies.base import LearnerSettings

Array = Any


class BatchLearner:
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
        queries = rows_of(self.contexts, queue_rows) * xp.astype(
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
        x = rows_of(self.contexts, rows[:, None])[:, 0, :]
        offered = xp.any(assortment[:, :, None] == self._models, axis=1) & busy[:, None]
        seen = x[:, None, :] * xp.astype(offered[..., None], x.dtype)
        self.covariance = posterior.add_observation(self.covariance, seen)
        block = rows_of(self.theta, assortment)
        exact = mnl.ridge_mle(block, self._history(t, assortment, busy), self._settings.lambda0)
        chosen = xp.astype((assortment[:, :, None] == self._models) & busy[:, None, None], x.dtype)
        change = xp.matrix_transpose(chosen) @ (exact - block)
        self.theta = self.theta + change

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
        relevant = xp.any(in_block, axis=-1) & busy[:, None]
        return mnl.BlockHistory(
            contexts=contexts,
            offered=offered,
            picks=xp.astype(picks[:, :, None] == assortment[:, None, :], dtype)
            * xp.astype(relevant[..., None], dtype),
            serves=xp.astype(relevant, dtype),
            log_base=xp.log1p(xp.sum(outside, axis=-1)),
        )


def rows_of(table: Array, rows: Array) -> Array:
    """``table[r, rows[r, i], :]``: (R, P, d) and (R, q) -> (R, q, d)."""
    xp = array_api_compat.array_namespace(table)
    d = table.shape[2]
    index = xp.broadcast_to(rows[:, :, None], (*rows.shape, d))
    return xp.take_along_axis(table, index, axis=1)


def pick_column(table: Array, column: Array) -> Array:
    """``table[r, column[r]]``: (R, q) and (R,) -> (R,)."""
    xp = array_api_compat.array_namespace(table)
    return xp.take_along_axis(table, column[:, None], axis=1)[:, 0]
