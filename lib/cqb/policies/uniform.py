"""RANDOM: a uniformly random waiting query and a uniformly random assortment."""

from __future__ import annotations

from ..simulate import Assortment, Decision, Waiting
from ..streams import Streams
from .base import PolicyEntry, Service


class Uniform:
    """Learns nothing: the baseline that every learner must beat."""

    def __init__(self, service: Service, streams: Streams) -> None:
        self._N, self._K = service.n_models, service.K
        self._rounds = streams.rounds("uniform policy")

    def choose(self, t: int, waiting: Waiting) -> Decision:
        generator = self._rounds.at(t)
        position = int(generator.random() * len(waiting.query))
        assortment = sorted(generator.permutation(self._N)[: self._K].tolist())
        return Decision(position, tuple(assortment))

    def observe(self, t: int, query: int, context: int, assortment: Assortment, pick: int) -> None:
        """Learns nothing."""


RANDOM = PolicyEntry("RANDOM", Uniform)
