"""ACQB-P: ACQB, with a fixed penalty on a model for each time it has failed this very query.

The crude form of memory: the learner is ACQB's in every respect (arXiv 2602.02061, section 3; retrials
count as fresh observations), only the sampled utility of a (query, model) falls by
:data:`PENALTY` per failure there before the largest departure rate is served.

The same prompt waiting twice with the same failures has the same scores twice: rounding decides which of
the two is served, so that runs agree between versions and machines only up to such ties.
"""

from __future__ import annotations

import numpy as np

from ..exploration import decaying
from ..simulate import Decision, Waiting
from ..streams import Streams
from .acqb import ThompsonLearner, exploration_constant, radius_rule
from .base import PolicyEntry, Service
from .failures import Failures

PENALTY = 6.0  # in units of utility (log odds): after one failure, odds fall by a factor of 403


class PenalisedLearner(ThompsonLearner):
    """The Thompson learner whose utilities fall by `penalty` per failure of the model there."""

    def __init__(self, *service_and_more, penalty: float = PENALTY) -> None:
        super().__init__(*service_and_more)
        self._penalty = penalty
        self._failures = Failures(self._information.shape[1])

    def choose(self, t: int, waiting: Waiting) -> Decision:
        if waiting.fresh and self._coins[t - 2] < self._coin(t - 1):
            return Decision(len(waiting.query) - 1, next(self._rotation), forced=True)
        # Newest first, as in ACQB; but twins of one context differ here in what failed them.
        order = np.argsort(-np.asarray(waiting.query))
        ranked = np.asarray(waiting.context)[order]
        failed = self._failures.of(waiting.query)[order]
        size = (len(order), self._information.shape[1], self._draws)
        normals = self._normals.at(t).standard_normal(size)
        place, assortment = self._sampled(t, ranked, normals, self._penalty * failed)
        return Decision(int(order[place]), assortment)

    def observe(
        self, t: int, query: int, context: int, assortment: tuple[int, ...], pick: int
    ) -> None:
        self._failures.observe(query, assortment, pick)
        super().observe(t, query, context, assortment, pick)


def acqb_penalised(
    service: Service, streams: Streams, penalty: float = PENALTY
) -> PenalisedLearner:
    """ACQB-P with ACQB's own coin and anytime radius."""
    coin = decaying(exploration_constant(service))
    return PenalisedLearner(service, streams, coin, radius_rule(service, None), penalty=penalty)


ACQB_P = PolicyEntry("ACQB-P", factory=acqb_penalised)
