"""QoS-aware routing over edge experts that batch continuously (arXiv 2508.00234).

A :class:`~.workload.Workload` fixes the requests, a :class:`~.system.System` the experts; a policy
routes each request on arrival (:func:`~.episodes.serve`), and :func:`~.metrics.measure` says what came
of it. Only the front matter of the paper and facts of its authors' code were open to us: the
simulator, its constants, the baselines and all numbers are our own.
"""

from .decision import Decision, Policy
from .episodes import Episodes, InvalidAction, Outcome, serve
from .impact import impact, published_impact
from .metrics import measure
from .policies import POLICIES
from .synthetic import Load, workload
from .system import Expert, System, default_system
from .workload import Batch, RequestNeverFits, Workload, stack

__all__ = [
    "POLICIES",
    "Batch",
    "Decision",
    "Episodes",
    "Expert",
    "InvalidAction",
    "Load",
    "Outcome",
    "Policy",
    "RequestNeverFits",
    "System",
    "Workload",
    "default_system",
    "impact",
    "measure",
    "published_impact",
    "serve",
    "stack",
    "workload",
]
