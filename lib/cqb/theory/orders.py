"""Policies that cannot learn: a fixed order of service and a fixed rule of assortments.

They are the subjects of the exact statements E4, E5, E10 and R6, and run in the real simulator.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ..simulate import Decision, Waiting
from ..streams import Streams

Order = Callable[[int, Waiting], int]
Offer = Callable[[int, int, int], tuple[int, ...]]


class FixedRule:
    """Serves by `order` and offers by `offer`; learns nothing.

    Parameters
    ----------
    order : (round, waiting) -> queue position.
    offer : (pool entry, arrival number, serves of it so far) -> ascending model indices.
    """

    def __init__(self, order: Order, offer: Offer) -> None:
        self._order, self._offer = order, offer
        self._serves: dict[int, int] = {}

    def choose(self, t: int, waiting: Waiting) -> Decision:
        position = self._order(t, waiting)
        query = waiting.query[position]
        served = self._serves.get(query, 0)
        return Decision(position, self._offer(waiting.row[position], query, served))

    def observe(
        self, t: int, query: int, context: int, assortment: tuple[int, ...], pick: int
    ) -> None:
        self._serves[query] = self._serves.get(query, 0) + 1


def first_come(t: int, waiting: Waiting) -> int:
    """The query that arrived first, until it departs."""
    return waiting.query.index(min(waiting.query))


def last_come(t: int, waiting: Waiting) -> int:
    """The query that arrived last."""
    return waiting.query.index(max(waiting.query))


def head(t: int, waiting: Waiting) -> int:
    """First in first out with retries at the back of the queue."""
    return 0


def by_rate(rates: np.ndarray, largest: bool = True) -> Order:
    """Largest (or smallest) departure rate first; `rates` (P,) by pool entry."""
    sign = 1.0 if largest else -1.0
    values = (sign * np.asarray(rates)).tolist()

    def order(t: int, waiting: Waiting) -> int:
        keys = [values[row] for row in waiting.row]
        return keys.index(max(keys))

    return order


def shuffled(streams: Streams) -> Order:
    """A uniformly random waiting query."""
    rounds = streams.rounds("random order")

    def order(t: int, waiting: Waiting) -> int:
        return int(rounds.at(t).random() * len(waiting.query))

    return order


def always(assortments: Sequence[tuple[int, ...]]) -> Offer:
    """The same assortment for the same pool entry, without memory (theory: E5)."""

    def offer(row: int, query: int, served: int) -> tuple[int, ...]:
        return assortments[row]

    return offer


def cycling(models: Sequence[int]) -> Offer:
    """One model after another, in the given order, over the serves of a query."""

    def offer(row: int, query: int, served: int) -> tuple[int, ...]:
        return (models[served % len(models)],)

    return offer
