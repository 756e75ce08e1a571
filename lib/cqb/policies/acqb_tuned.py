"""ACQB-tuned and ACQB-P-tuned: the same policies with settings chosen before the reported runs.

lambda0 and alpha_coef of each were chosen on the tuning rows and seeds from 100 on, for recorded answers
(:mod:`cqb.studies.beyond.tuning`, over one grid for both; for ACQB-P the penalty too). They replace
those of the service's learner.
"""

from __future__ import annotations

from dataclasses import replace

from ..streams import Streams
from .acqb import ThompsonLearner, acqb
from .acqb_p import acqb_penalised
from .base import PolicyEntry, Service

SETTINGS = {"lambda0": 1.0 / 64.0, "alpha_coef": 1e-3}
PENALISED = {"lambda0": 1.0 / 16.0, "alpha_coef": 1e-4}


def acqb_tuned(service: Service, streams: Streams) -> ThompsonLearner:
    """ACQB with :data:`SETTINGS`."""
    return acqb(replace(service, learner=service.learner.with_(**SETTINGS)), streams)


def acqb_penalised_tuned(service: Service, streams: Streams) -> ThompsonLearner:
    """ACQB-P with :data:`PENALISED` and its usual penalty, which was the best of three."""
    learner = service.learner.with_(**PENALISED)
    return acqb_penalised(replace(service, learner=learner), streams)


ACQB_TUNED = PolicyEntry("ACQB-tuned", factory=acqb_tuned)
ACQB_P_TUNED = PolicyEntry("ACQB-P-tuned", factory=acqb_penalised_tuned)
