"""ACQB-online: ACQB whose estimate costs the same in every round, however long the history.

Everything but the estimator is ACQB's (arXiv 2602.02061, section 3), the confidence radius too: the
estimator's own radius (Lee and Oh, 2024) has a different constant, which `alpha_coef` stands for.
"""

from __future__ import annotations

from ..exploration import decaying
from ..learner.online_estimator import CoupledOnlineEstimator, OnlineEstimator
from ..streams import Streams
from .acqb import ThompsonLearner, exploration_constant, radius_rule
from .base import PolicyEntry, Service


def acqb_online(service: Service, streams: Streams, coupled: bool = False) -> ThompsonLearner:
    """ACQB with the constant-time estimator; `coupled` keeps the whole curvature (N d <= 500)."""
    kind = CoupledOnlineEstimator if coupled else OnlineEstimator
    d = service.contexts.shape[1]
    estimator = kind(service.n_models, d, service.K, service.learner.lambda0)
    coin = decaying(exploration_constant(service))
    return ThompsonLearner(service, streams, coin, radius_rule(service, None), estimator)


ACQB_ONLINE = PolicyEntry("ACQB-online", factory=acqb_online)
