"""ACQB-P: ACQB with a fixed penalty on a model for each time it has failed the same query.

This is the simplest form of memory. The learner is ACQB's (arXiv 2602.02061, section 3; retrials count
as fresh observations), but the sampled utility of a (query, model) pair falls by :data:`PENALTY` per
failure of the pair.

If a prompt waits twice with the same failures, both queries have the same scores. Rounding then decides
which is served, so runs agree between versions and machines only up to such ties.

ACQB-P-tuned-prompt remembers a prompt over all its arrivals (:class:`.ts_memory.Outcomes`): utilities
fall by the penalty per failure of the (prompt, model) pair, and rise by it per success. The queries of
one prompt are then alike, and the earliest is served, as in ACQB. ACQB with a memory by prompt would be
the same policy, so there is no ACQB-tuned-prompt.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np

from ..simulate import Assortment, Decision, Waiting
from ..streams import Streams
from .acqb import ThompsonLearner, acqb
from .base import PolicyEntry, Service
from .ts_memory import Outcomes

PENALTY = 6.0  # in units of utility (log odds): after one failure, odds fall by a factor of 403
# ACQB-P-tuned: chosen over one grid with ACQB-tuned's (:mod:`.acqb`); PENALTY was the best of three.
PENALISED = {"lambda0": 1.0 / 16.0, "alpha_coef": 1e-4}
PENALISED_PROMPT = {**PENALISED, "lambda0": 1.0}  # of 1/16, 1, 4 and 16, likewise


class PromptPenalisedLearner(ThompsonLearner):
    """The Thompson learner with utilities reduced by `penalty` per failure of the model on the prompt.

    They rise by as much per success.
    """

    by_prompt = True

    def __init__(self, *service_and_more, penalty: float = PENALTY) -> None:
        super().__init__(*service_and_more)
        self._penalty = penalty
        self._memory = Outcomes(self._N, self.by_prompt)

    def _penalties(self, contexts: Sequence[int]) -> np.ndarray:
        return self._penalty * self._memory.excess((), contexts)

    def observe(self, t: int, query: int, context: int, assortment: Assortment, pick: int) -> None:
        self._memory.observe(query, context, assortment, pick)
        super().observe(t, query, context, assortment, pick)


class PenalisedLearner(PromptPenalisedLearner):
    """The same with a memory of the query alone, until it departs."""

    by_prompt = False

    def _decide(self, t: int, waiting: Waiting) -> Decision:
        # Newest first, as in ACQB; but two queries of one context may differ in what failed them.
        order = np.argsort(-np.asarray(waiting.query))
        ranked = np.asarray(waiting.context)[order]
        failed = self._memory.excess(waiting.query, ())[order]
        size = (len(order), self._N, self._draws)
        normals = self._normals.at(t).standard_normal(size)
        place, assortment = self._sampled(t, ranked, normals, self._penalty * failed)
        return Decision(int(order[place]), assortment)


def acqb_penalised(
    service: Service, streams: Streams, penalty: float = PENALTY, by_prompt: bool = False
) -> PromptPenalisedLearner:
    """ACQB-P, with ACQB's own coin and anytime radius; `by_prompt` as in :class:`.Outcomes`."""
    kind = PromptPenalisedLearner if by_prompt else PenalisedLearner
    return acqb(service, streams, kind, penalty=penalty)


ACQB_P = PolicyEntry("ACQB-P", acqb_penalised)
ACQB_P_TUNED = PolicyEntry("ACQB-P-tuned", acqb_penalised, settings=PENALISED)
ACQB_P_TUNED_PROMPT = PolicyEntry(
    "ACQB-P-tuned-prompt", partial(acqb_penalised, by_prompt=True), settings=PENALISED_PROMPT
)
