"""Q-UCB and Q-ThS: queueing bandits without contexts (Krishnasamy et al.), K = 1, first in first out.

Both explore round robin with probability ``min(1, 3 N log(t)^2 / t)``, and until every model has been
served. At N = 11 this covers most of 5,000 rounds and at N = 112 practically all of them. They are then
a round robin over the models, and any text that compares with them should say so.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ..arrays import namespace
from ..simulate import Assortment, Decision, Waiting
from ..streams import Streams
from .base import PolicyEntry, Service

Index = Callable[[int, np.ndarray, np.ndarray], np.ndarray]


class FifoBandit:
    """Serves the head of the queue with one model: round robin when exploring, else by an index.

    Parameters
    ----------
    index : (t, picks (N,), serves (N,)) -> (N,) values; the largest is served, ties to the lowest.
    """

    def __init__(self, service: Service, streams: Streams, index: Index) -> None:
        self._index, self._streams = index, streams
        self._coins = streams.uniforms("exploration", service.T)
        self._picks = np.zeros(service.n_models)
        self._serves = np.zeros(service.n_models)
        self._next = 0

    def choose(self, t: int, waiting: Waiting) -> Decision:
        N = self._serves.size
        self._coins = self._streams.at_least(t, "exploration", self._coins)
        if self._coins[t - 1] < exploration_rate(t, N) or not self._serves.all():
            model, self._next = self._next, (self._next + 1) % N
            return Decision(0, (model,), forced=True)
        return Decision(0, (int(np.argmax(self._index(t, self._picks, self._serves))),))

    def observe(self, t: int, query: int, context: int, assortment: Assortment, pick: int) -> None:
        self._serves[assortment[0]] += 1.0
        self._picks[assortment[0]] += pick == assortment[0]


def exploration_rate(t: int, N: int) -> float:
    """The chance of a forced round: ``min(1, 3 N log(t)^2 / t)``."""
    return min(1.0, 3.0 * N * math.log(t) ** 2 / t)


def ucb_index(t: int, picks: Any, serves: Any) -> Any:
    """``mean + sqrt(log(t)^2 / (2 n))`` by model; picks and serves (..., N)."""
    return picks / serves + namespace(serves).sqrt(math.log(t) ** 2 / (2 * serves))


def q_ths(service: Service, streams: Streams) -> FifoBandit:
    """Index: a draw from Beta(picks + 1, retrials + 1)."""
    rounds = streams.rounds("beta draws")
    return FifoBandit(service, streams, lambda t, p, n: rounds.at(t).beta(p + 1.0, n - p + 1.0))


Q_UCB = PolicyEntry("Q-UCB", partial(FifoBandit, index=ucb_index), k1_only=True)
Q_THS = PolicyEntry("Q-ThS", q_ths, k1_only=True)
