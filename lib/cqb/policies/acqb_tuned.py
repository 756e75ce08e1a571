"""ACQB-tuned and ACQB-P-tuned: the same policies with settings chosen before the reported runs.

lambda0, alpha_coef and the exploration rate were chosen on the tuning rows and seeds 100 to 105
(:mod:`cqb.beyond.tuning`), over the grid of :func:`~cqb.beyond.tuning.learner_candidates` but for
its last point; the settings of the service's own learner for these three are not read. ACQB-P takes
the values that were chosen for ACQB: its penalty is the only thing in which the two differ.
"""

from __future__ import annotations

from dataclasses import replace

from ..streams import Streams
from .acqb import ThompsonLearner, acqb
from .acqb_p import acqb_penalised
from .base import PolicyEntry, Service

SETTINGS = {"lambda0": 1.0 / 16.0, "alpha_coef": 1e-3, "exploration_rate": 0.01}


def acqb_tuned(service: Service, streams: Streams) -> ThompsonLearner:
    """ACQB with :data:`SETTINGS`."""
    return acqb(replace(service, learner=service.learner.with_(**SETTINGS)), streams)


def acqb_penalised_tuned(service: Service, streams: Streams) -> ThompsonLearner:
    """ACQB-P with :data:`SETTINGS`."""
    learner = service.learner.with_(**SETTINGS)
    return acqb_penalised(replace(service, learner=learner), streams)


ACQB_TUNED = PolicyEntry("ACQB-tuned", factory=acqb_tuned)
ACQB_P_TUNED = PolicyEntry("ACQB-P-tuned", factory=acqb_penalised_tuned)
