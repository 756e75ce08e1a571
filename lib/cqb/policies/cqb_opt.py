"""CQB-Opt and CQB-eps with upper confidence bounds (arXiv 2601.19300)."""

from __future__ import annotations

from ..exploration import explore_then_rarely, pure_rounds
from ..streams import Streams
from .acqb import exploration_constant, radius_rule
from .base import PolicyEntry, Service
from .optimistic import OptimisticLearner


def cqb_opt(service: Service, streams: Streams) -> OptimisticLearner:
    """Upper confidence bounds in every round and no forced exploration; anytime radius.

    Made for contexts that an adversary chooses; the paper's queue-length regret there is
    O(log^2 T).
    """
    return OptimisticLearner(service, streams, lambda t: 0.0, radius_rule(service, None))


def cqb_epsilon_ucb(
    service: Service, streams: Streams, tau: int | None = None
) -> OptimisticLearner:
    """CQB-eps as its own paper states it: explore purely for tau rounds, then rarely, else UCB.

    Parameters
    ----------
    tau : rounds of pure exploration; the paper's is of the order ``d log T / epsilon^2`` with an
        unstated constant and an epsilon that a service does not know. By default the same tau as
        CQB-eps with Thompson sampling, from the target exploration rate.
    """
    T = service.T
    if tau is None:
        tau = pure_rounds(exploration_constant(service), T)
    coin = explore_then_rarely(tau, T)
    return OptimisticLearner(service, streams, coin, radius_rule(service, T), pure=tau)


CQB_OPT = PolicyEntry("CQB-Opt", factory=cqb_opt)
CQB_EPS_UCB = PolicyEntry("CQB-eps-UCB", factory=cqb_epsilon_ucb)
