"""The policies, by printed name.

A policy is an object with two methods (:class:`cqb.simulate.Policy`): `choose` picks a waiting query and
an assortment, `observe` learns from what the user did. A :class:`PolicyEntry` gives it a name and says
how to build it from what is public about a run (:class:`Service`) and from named random streams. A new
policy is a file here and a name in :data:`POLICIES`.

Endings of names: "-tuned" has settings chosen for recorded answers; "-prompt" remembers a prompt's
outcomes over all its arrivals, where the name alone forgets a query that departs; "-rows" starts from
the 110 scored rows of the refinement set.

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

from .acqb import ACQB, ACQB_ONLINE, ACQB_T, ACQB_TUNED, CQB_EPS
from .acqb_cl import ACQB_CL, ACQB_CL_LN
from .acqb_memory import RECALL, RECALL_ROWS
from .acqb_p import ACQB_P, ACQB_P_TUNED, ACQB_P_TUNED_PROMPT
from .base import LearnerSettings, PolicyEntry, Service
from .cqb_opt import CQB_EPS_UCB, CQB_ETA2, CQB_OPT
from .fifo_bandits import Q_THS, Q_UCB
from .fixed import ORACLE, RANDOM
from .informed import INFORMED, INFORMED_PROMPT, INFORMED_PROMPT_ROWS, INFORMED_ROWS
from .ts_memory import CYCLE, TS_MEMORY, TS_MEMORY_PROMPT
from .warm_start import with_rows

# Simple rules that need no scored rows, and each with the rows. There the ridges were chosen again: from
# 1/16 to 64, on the tuning seeds of the sixteen settings (RouterBench and ParetoBandit at K = 1).
SIMPLE = (TS_MEMORY, TS_MEMORY_PROMPT, ACQB_TUNED, ACQB_P_TUNED, ACQB_P_TUNED_PROMPT)
SIMPLE_ROWS = (
    with_rows(TS_MEMORY),
    with_rows(TS_MEMORY_PROMPT),
    with_rows(ACQB_TUNED, lambda0=1.0),
    with_rows(ACQB_P_TUNED, lambda0=16.0),
    with_rows(ACQB_P_TUNED_PROMPT, lambda0=16.0),
)
POLICIES: dict[str, PolicyEntry] = {
    entry.name: entry
    for entry in (
        *(ORACLE, ACQB, ACQB_T, ACQB_ONLINE, ACQB_CL, ACQB_CL_LN),
        *(CQB_EPS, CQB_EPS_UCB, CQB_OPT, CQB_ETA2, Q_UCB, Q_THS, RANDOM),
        *(TS_MEMORY, CYCLE, ACQB_P, ACQB_TUNED, ACQB_P_TUNED),
        *(INFORMED, RECALL, RECALL_ROWS),
        *(TS_MEMORY_PROMPT, ACQB_P_TUNED_PROMPT, *SIMPLE_ROWS),
        *(INFORMED_PROMPT, INFORMED_ROWS, INFORMED_PROMPT_ROWS),
    )
}

__all__ = ["POLICIES", "SIMPLE", "LearnerSettings", "PolicyEntry", "Service"]
