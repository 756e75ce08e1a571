"""The policies, by printed name.

A policy is an object with two methods (:class:`cqb.simulate.Policy`): `choose` picks a waiting query and
an assortment, `observe` learns from what the user did. A :class:`PolicyEntry` gives it a name and says
how to build it from what is public about a run (:class:`Service`) and from named random streams. A new
policy is a file here and a name in :data:`POLICIES`.

>>> from cqb.environment import draw
>>> from cqb.policies import POLICIES, Service
>>> from cqb.simulate import simulate
>>> from cqb.streams import Streams
>>> from cqb.synthetic import linear_world
>>> world, streams, T = linear_world(seed=1, N=3, d=4, pool_size=200), Streams(42), 300
>>> service = Service(world.environment.contexts, 3, 1, T, world.arrival_rate)
>>> draws = draw(streams, world.environment.pool_size, world.arrival_rate, T)
>>> policy = POLICIES["ACQB"].make(service, streams, world.environment)
>>> trajectory = simulate(world.environment, policy, 1, draws)
>>> trajectory.queue.shape, int((trajectory.departed > 0).sum()) <= trajectory.departed.size
((301,), True)
"""

from __future__ import annotations

from .acqb import ACQB, ACQB_ONLINE, ACQB_T, ACQB_TUNED, CQB_EPS
from .acqb_cl import ACQB_CL, ACQB_CL_LN
from .acqb_memory import ACQB_M, ACQB_M_AGED, ACQB_M_QUERY, ACQB_MW, ACQB_MW_QUERY, ACQB_W
from .acqb_p import ACQB_P, ACQB_P_TUNED
from .base import LearnerSettings, PolicyEntry, Service
from .cqb_eta2 import CQB_ETA2
from .cqb_opt import CQB_EPS_UCB, CQB_OPT
from .fifo_bandits import Q_THS, Q_UCB
from .informed import INFORMED
from .oracle import ORACLE
from .ts_memory import CYCLE, TS_MEMORY
from .uniform import RANDOM

POLICIES: dict[str, PolicyEntry] = {
    entry.name: entry
    for entry in (
        *(ORACLE, ACQB, ACQB_T, ACQB_ONLINE, ACQB_CL, ACQB_CL_LN),
        *(CQB_EPS, CQB_EPS_UCB, CQB_OPT, CQB_ETA2, Q_UCB, Q_THS, RANDOM),
        *(TS_MEMORY, CYCLE, ACQB_P, ACQB_TUNED, ACQB_P_TUNED),
        *(ACQB_M, ACQB_W, ACQB_MW, ACQB_M_QUERY, ACQB_MW_QUERY, ACQB_M_AGED, INFORMED),
    )
}

__all__ = ["POLICIES", "LearnerSettings", "PolicyEntry", "Service"]
