"""ORACLE, which knows every departure rate, and RANDOM, which knows nothing: neither learns."""

import numpy as np

from ..environment import Environment
from ..simulate import Assortment, Decision, Waiting
from ..streams import Streams
from .base import PolicyEntry, Service


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


class Uniform:
    """A random waiting query and a random assortment, both uniform: what every learner must beat."""

    def __init__(self, service: Service, streams: Streams) -> None:
        self._N, self._K = service.n_models, service.K
        self._rounds = streams.rounds("uniform policy")

    def choose(self, t: int, waiting: Waiting) -> Decision:
        uniform, assortment = _draw(self._rounds.at(t), self._N, self._K)
        return Decision(int(uniform * len(waiting.query)), assortment)

    def observe(self, t: int, query: int, context: int, assortment: Assortment, pick: int) -> None:
        """Learns nothing."""


def drawn(streams: Streams, T: int, N: int, K: int) -> tuple[np.ndarray, np.ndarray]:
    """What :class:`Uniform` draws in rounds 1 to T, whatever waits.

    Returns
    -------
    (T,) uniforms that say where in the queue, and (T, K) assortments
    """
    rounds = streams.rounds("uniform policy")
    found = [_draw(rounds.at(t), N, K) for t in range(1, T + 1)]
    where, which = zip(*found, strict=True)
    return np.array(where), np.array(which)


def _draw(generator: np.random.Generator, N: int, K: int) -> tuple[float, Assortment]:
    uniform = generator.random()
    return uniform, tuple(sorted(generator.permutation(N)[:K].tolist()))


ORACLE = PolicyEntry("ORACLE", from_truth=Oracle)
RANDOM = PolicyEntry("RANDOM", Uniform)
