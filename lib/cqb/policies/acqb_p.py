"""ACQB-P: ACQB with a fixed penalty on a model for each time it has failed the same query.

This is the simplest form of memory. The learner is ACQB's (arXiv 2602.02061, section 3; retrials count
as fresh observations), but the sampled utility of a (query, model) pair falls by :data:`PENALTY` per
failure of the pair.

If a prompt waits twice with the same failures, both queries have the same scores. Rounding then decides
which is served, so runs agree between versions and machines only up to such ties.
"""

from __future__ import annotations

import numpy as np

from ..simulate import Assortment, Decision, Waiting
from ..streams import Streams
from .acqb import ThompsonLearner, acqb
from .base import PolicyEntry, Service
from .ts_memory import Failures

PENALTY = 6.0  # in units of utility (log odds): after one failure, odds fall by a factor of 403
# ACQB-P-tuned: chosen over one grid with ACQB-tuned's (:mod:`.acqb`); PENALTY was the best of three.
PENALISED = {"lambda0": 1.0 / 16.0, "alpha_coef": 1e-4}


class PenalisedLearner(ThompsonLearner):
    """The Thompson learner with utilities reduced by `penalty` per failure of the model on the query."""

    def __init__(self, *service_and_more, penalty: float = PENALTY) -> None:
        super().__init__(*service_and_more)
        self._penalty = penalty
        self._failures = Failures(self._N)

    def _decide(self, t: int, waiting: Waiting) -> Decision:
        # Newest first, as in ACQB; but two queries of one context may differ in what failed them.
        order = np.argsort(-np.asarray(waiting.query))
        ranked = np.asarray(waiting.context)[order]
        failed = self._failures.of(waiting.query)[order]
        size = (len(order), self._N, self._draws)
        normals = self._normals.at(t).standard_normal(size)
        place, assortment = self._sampled(t, ranked, normals, self._penalty * failed)
        return Decision(int(order[place]), assortment)

    def observe(self, t: int, query: int, context: int, assortment: Assortment, pick: int) -> None:
        self._failures.observe(query, assortment, pick)
        super().observe(t, query, context, assortment, pick)


def acqb_penalised(
    service: Service, streams: Streams, penalty: float = PENALTY
) -> PenalisedLearner:
    """ACQB-P, with ACQB's own coin and anytime radius."""
    return acqb(service, streams, PenalisedLearner, penalty=penalty)


ACQB_P = PolicyEntry("ACQB-P", acqb_penalised)
ACQB_P_TUNED = PolicyEntry("ACQB-P-tuned", acqb_penalised, settings=PENALISED)
