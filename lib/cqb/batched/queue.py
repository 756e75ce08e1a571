"""The rounds of R runs at once: queues, users' choices and the record, in array operations.

What happens in a round is that of :func:`cqb.simulate.simulate`, and so is every number of the record.
An empty queue is a mask here, not an ``if``. The host is asked once a round, for the longest queue and
whether the refits have ended, and the learner asks once more.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

import array_api_compat
import numpy as np

from .. import arrays, mnl
from ..arrays import Array
from ..environment import Draws, Environment
from ..simulate import IDLE, RETRY, Trajectory, trajectory


class Waiting(NamedTuple):
    """The queues before a round; position 0 is the head.

    query, row, context : (R, q) arrival numbers, pool entries and contexts; beyond the end query is -1.
    length : (R,). fresh : (R,) bool, a query arrived in the round before.
    context_of : (R, A), the context of each arrival.
    """

    query: Array
    row: Array
    context: Array
    length: Array
    fresh: Array
    context_of: Array


class Choice(NamedTuple):
    """Positions (R,), assortments (R, K), ascending, and whether they were forced (R,) bool."""

    place: Array
    assortment: Array
    forced: Array


class Served(NamedTuple):
    """A round; what it says of a run that was not busy is ignored.

    query, context : (R,) of the served. assortment : (R, K). rate : (R,) its departure rate.
    pick : (R,) a model or RETRY. busy : (R,) bool.
    """

    query: Array
    context: Array
    assortment: Array
    rate: Array
    pick: Array
    busy: Array


class Rule(Protocol):
    """A policy of R runs. `unfinished` (R,) bool: which of them need `refine` before the next round."""

    unfinished: Array

    def choose(self, t: int, waiting: Waiting) -> Choice:
        """What to serve in round t (from 1); what it says of an empty queue is ignored."""

    def observe(self, t: int, served: Served) -> None:
        """Learn from round t."""

    def refine(self) -> None:
        """Go on with what `observe` has begun."""


class Queues:
    """R runs of T rounds with pools of P entries, N models and at most one arrival a round.

    Parameters
    ----------
    environments, draws : of the runs. K : assortment size. like : an array of the namespace and device.

    Attributes
    ----------
    contexts : (R, C, d) vectors of the contexts that arrive, in the order of their first arrival.
    odds : (R, P, N). rates : (R, P), the largest departure rate of each entry.
    """

    def __init__(
        self, environments: Sequence[Environment], draws: Sequence[Draws], K: int, like: Array
    ) -> None:
        self._K, self._like = K, like
        self._xp = arrays.namespace(like)
        self._device = {"device": array_api_compat.device(like)}
        self._draws, self._T = draws, draws[0].outcome.size
        self._rows = rows = [one.row[one.arrives.astype(bool)] for one in draws]
        found = [
            _numbered(world.context_of[row]) for world, row in zip(environments, rows, strict=True)
        ]
        vectors = [world.contexts[c] for world, (c, _) in zip(environments, found, strict=True)]
        self.contexts = self._stacked(vectors)
        self.odds = self._stacked([world.odds for world in environments])
        self.rates = self._stacked([world.departure_rates(K) for world in environments])
        self._row_of = self._stacked(rows)
        self._context_of = self._stacked([number for _, number in found])
        self._arrives = self._stacked([one.arrives.astype(bool) for one in draws])
        self._number = self._stacked([np.cumsum(one.arrives) - 1 for one in draws])
        self._outcome = self._stacked([one.outcome for one in draws])

    def _stacked(self, parts: Iterable[np.ndarray]) -> Array:
        """Arrays of one dtype as one, filled up with zeros to the longest."""
        parts = list(parts)
        size = max(1, *(len(part) for part in parts))
        whole = np.zeros((len(parts), size, *parts[0].shape[1:]), parts[0].dtype)
        for r, part in enumerate(parts):
            whole[r, : len(part)] = part
        return arrays.asarray(whole, self._like)

    def run(self, rule: Rule) -> list[Trajectory]:
        """All rounds, served by `rule`."""
        xp, R = self._xp, self._arrives.shape[0]
        ints = {"dtype": xp.int64, **self._device}
        queue, length = xp.full((R, 1), -1, **ints), xp.zeros((R,), **ints)
        fresh = xp.zeros((R,), dtype=xp.bool, **self._device)
        rounds = []
        for t in range(1, self._T + 1):
            waiting = self._waiting(queue, length, fresh)
            choice = rule.choose(t, waiting)
            served = self._serve(t, waiting, choice)
            rounds.append(self._happened(waiting, choice, served))
            rule.observe(t, served)
            fresh = self._arrives[:, t - 1]
            back = served.busy & (served.pick == RETRY)
            joining = [(back, served.query), (fresh, self._number[:, t - 1])]
            queue, length = self._advance(queue, length, choice.place, served.busy, joining)
            queue = queue[:, : self._ask(length, rule)]
        columns = zip(*rounds, strict=True)
        found = [arrays.to_numpy(xp.stack(column, axis=1)) for column in columns]
        arrived = [np.flatnonzero(one.arrives) + 1 for one in self._draws]
        runs = zip(self._rows, arrived, zip(*found, strict=True), strict=True)
        return [trajectory(*own) for own in runs]

    def _ask(self, length: Array, rule: Rule) -> int:
        """The longest queue, at least 1; refits end before the answer. The one wait for the host."""
        xp = self._xp
        while True:
            open_ = xp.astype(xp.any(rule.unfinished), length.dtype)
            longest, unfinished = arrays.to_numpy(xp.stack([xp.max(length), open_])).tolist()
            if not unfinished:
                return max(1, longest)
            rule.refine()

    def _waiting(self, queue: Array, length: Array, fresh: Array) -> Waiting:
        xp = self._xp
        number = xp.where(queue >= 0, queue, 0)
        row = xp.take_along_axis(self._row_of, number, axis=1)
        context = xp.take_along_axis(self._context_of, number, axis=1)
        return Waiting(queue, row, context, length, fresh, self._context_of)

    def _serve(self, t: int, waiting: Waiting, choice: Choice) -> Served:
        """The served queries and the users' choices; outcome 0 is the retrial."""
        xp, busy, place = self._xp, waiting.length > 0, choice.place[:, None]
        query, row, context = (
            xp.take_along_axis(xp.where(waiting.query >= 0, part, 0), place, axis=1)[:, 0]
            for part in (waiting.query, waiting.row, waiting.context)
        )
        at = xp.broadcast_to(row[:, None, None], (row.shape[0], 1, self.odds.shape[2]))
        odds = xp.take_along_axis(self.odds, at, axis=1)[:, 0, :]
        odds = xp.take_along_axis(odds, choice.assortment, axis=1)
        weights = xp.concat([xp.ones_like(odds[:, :1]), odds], axis=1)
        total = 1.0 + xp.sum(odds, axis=1)
        outcome = mnl.sample_choice(weights, self._outcome[:, t - 1] * total)
        place = xp.maximum(outcome - 1, 0)[:, None]
        model = xp.take_along_axis(choice.assortment, place, axis=1)[:, 0]
        pick = xp.where(outcome > 0, model, RETRY)
        rate = 1.0 - 1.0 / total
        return Served(query, context, choice.assortment, rate, pick, busy)

    def _happened(self, waiting: Waiting, choice: Choice, served: Served) -> tuple[Array, ...]:
        """The round as :func:`cqb.simulate.trajectory` wants it."""
        xp, busy = self._xp, served.busy
        rates = xp.take_along_axis(self.rates, waiting.row, axis=1)
        best = xp.max(xp.where(waiting.query >= 0, rates, 0.0), axis=1)
        return (
            xp.where(busy, served.query, -1),
            xp.where(busy[:, None], served.assortment, -1),
            xp.where(busy, served.pick, IDLE),
            choice.forced & busy,
            xp.where(busy, best - served.rate, 0.0),
        )

    def _advance(
        self, queue: Array, length: Array, place: Array, busy: Array, joining: list
    ) -> tuple[Array, Array]:
        """Take the served query out and add those of `joining`, pairs of (whether, who), at the end."""
        xp, (R, q) = self._xp, queue.shape
        empty = xp.full((R, 3), -1, dtype=queue.dtype, **self._device)
        places = xp.arange(q + 2, **self._device)
        after = xp.astype((places >= place[:, None]) & busy[:, None], xp.int64)
        queue = xp.take_along_axis(xp.concat([queue, empty], axis=1), places + after, axis=1)
        length = length - xp.astype(busy, xp.int64)
        for whether, who in joining:
            here = (places == length[:, None]) & whether[:, None]
            queue = xp.where(here, who[:, None], queue)
            length = length + xp.astype(whether, xp.int64)
        return queue, length


def _numbered(contexts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct contexts in the order of first appearance, and the place of each given one there."""
    distinct, first, inverse = np.unique(contexts, return_index=True, return_inverse=True)
    order = np.argsort(first)
    return distinct[order], np.argsort(order)[inverse]
