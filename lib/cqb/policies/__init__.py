"""The policies, by printed name. A new one is a file here and a line in :data:`POLICIES`."""

from __future__ import annotations

from .acqb import ACQB, ACQB_T, CQB_EPS
from .acqb_cl import ACQB_CL, ACQB_CL_LN
from .acqb_memory import ACQB_M, ACQB_M_AGED, ACQB_M_QUERY, ACQB_MW, ACQB_MW_QUERY, ACQB_W
from .acqb_online import ACQB_ONLINE
from .acqb_p import ACQB_P
from .acqb_tuned import ACQB_P_TUNED, ACQB_TUNED
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
        ORACLE,
        ACQB,
        ACQB_T,
        ACQB_ONLINE,
        ACQB_CL,
        ACQB_CL_LN,
        CQB_EPS,
        CQB_EPS_UCB,
        CQB_OPT,
        CQB_ETA2,
        Q_UCB,
        Q_THS,
        RANDOM,
        TS_MEMORY,
        CYCLE,
        ACQB_P,
        ACQB_TUNED,
        ACQB_P_TUNED,
        ACQB_M,
        ACQB_W,
        ACQB_MW,
        ACQB_M_QUERY,
        ACQB_MW_QUERY,
        ACQB_M_AGED,
        INFORMED,
    )
}

__all__ = ["POLICIES", "LearnerSettings", "PolicyEntry", "Service"]
