"""CQB-eta-2, the rate-optimal policy (arXiv 2606.09668): explore, explore a little, then never.

There are three phases: pure exploration until a first estimate is good; up to a cutoff each arrival is
explored with a constant probability, otherwise upper confidence bounds decide; after the cutoff, upper
confidence bounds alone. Differences between the learner's and the oracle's queue that arise before the
cutoff die out before T, and the samples gathered by then leave gaps of order T^{-1/2}.

The paper's constants are not public: those below, and their names, are OURS.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..checks import positive
from ..streams import Streams
from .acqb import radius_rule
from .base import PolicyEntry, Service
from .cqb_opt import OptimisticLearner

# Traffic slackness that a service assumes by default.
SLACKNESS = 0.1


@dataclass(frozen=True)
class Phases:
    """When CQB-eta-2 explores.

    Attributes
    ----------
    tau : rounds of pure exploration. eta : exploration probability of an arrival up to the cutoff.
    cutoff : the last round in which a coin may force exploration.
    """

    tau: int
    eta: float
    cutoff: int

    def coin(self, t: int) -> float:
        """Exploration probability of the query that arrives in round t (it acts in t + 1)."""
        return self.eta if t + 1 <= self.cutoff else 0.0


def phases(d: int, T: int, slackness: float = SLACKNESS) -> Phases:
    """Phases for horizon T in d dimensions.

    Pure exploration takes ``ceil(d log T)`` rounds, at most T/4. Then eta is ``min(0.1, epsilon/2)``, so
    that exploration uses half of the slackness. The last ``20 log T / epsilon`` rounds, at most half of
    all, do not explore.

    Parameters
    ----------
    slackness : epsilon > 0, what the arrival rate leaves of the capacity.

    Raises
    ------
    ValueError
        `slackness` is not positive.
    """
    positive("slackness", slackness)
    log_T = math.log(max(T, 2))
    return Phases(
        tau=min(T // 4, math.ceil(d * log_T)),
        eta=min(0.1, slackness / 2.0),
        cutoff=max(T // 2, T - math.ceil(20.0 / slackness * log_T)),
    )


def cqb_eta2(service: Service, streams: Streams, plan: Phases | None = None) -> OptimisticLearner:
    """CQB-eta-2 for the service's horizon, by default with the phases for :data:`SLACKNESS`."""
    plan = plan or phases(service.contexts.shape[1], service.T)
    radius = radius_rule(service, service.T)
    return OptimisticLearner(service, streams, plan.coin, radius, pure=plan.tau)


CQB_ETA2 = PolicyEntry("CQB-eta-2", cqb_eta2, needs_horizon=True)
