"""ORACLE: knows every departure rate and serves the largest first, with its best assortment."""

from __future__ import annotations

from ..environment import Environment
from ..simulate import Assortment, Decision, Waiting
from .base import PolicyEntry


class Oracle:
    """Largest departure rate first (optimal for the queue: arXiv 2601.19300).

    Equal rates go to the earliest in the queue; its best assortment is the K largest odds.
    """

    def __init__(self, truth: Environment, K: int) -> None:
        self._rates = truth.departure_rates(K).tolist()
        self._assortments = [tuple(s) for s in truth.best_assortments(K).tolist()]

    def choose(self, t: int, waiting: Waiting) -> Decision:
        rates = [self._rates[r] for r in waiting.row]
        position = rates.index(max(rates))
        return Decision(position, self._assortments[waiting.row[position]])

    def observe(self, t: int, query: int, context: int, assortment: Assortment, pick: int) -> None:
        """Learns nothing: it knows all rates."""


ORACLE = PolicyEntry("ORACLE", from_truth=Oracle)
