"""QoS-aware routing over edge experts that batch continuously (arXiv 2508.00234).

Several language models ("experts") serve requests in continuous batches, and a router sends each
arriving request to one of them, or drops it. A request earns the score of its answer if the latency per
token is below a limit, and nothing otherwise: its quality of service (QoS).

A run takes four steps: a :class:`~.workloads.Workload` of requests (:func:`~.workloads.workload`
generates one or takes it from a recorded trace), a :class:`~.system.System` of experts, a policy
(:mod:`.policies` has the rules, :mod:`.trained_models` the trained ones), and :func:`~.episodes.serve`,
whose outcome :func:`~.episodes.measure` turns into numbers:

>>> from cqb_qos import POLICIES, Load, default_system, measure, serve, stack, workload
>>> batch = stack([workload(Load("Poisson", 3.0), seed=0, T=100)])
>>> outcome = serve(batch, default_system(), POLICIES["Feasible+drop"]((0,), 100, 0.0))
>>> bool(0.0 < measure(outcome)["qos"].item() < 1.0)
True

:mod:`.studies` declares the stored comparisons, :mod:`.bridge` lets ACQB serve the same arrivals, and
``python -m cqb_qos.rl`` trains. Only the front matter of the paper and facts of its authors' code were
open to us: the simulator, its constants, the rules and all numbers are our own.
"""

from .episodes import Episodes, InvalidAction, Outcome, measure, serve
from .forecast import impact, published_impact
from .policies import POLICIES
from .simulator import Decision, Policy
from .system import Expert, System, default_system
from .workloads import Batch, Load, RequestNeverFits, Workload, stack, workload

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
