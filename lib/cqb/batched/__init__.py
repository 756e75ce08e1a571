"""R runs at once: the plain learner and its environment on dense arrays with a leading runs axis.

This form suits a GPU, where a launch costs more than arithmetic: all runs advance through the same array
operations, and an empty queue is a mask, not an ``if``. It is also the plainest form of the algorithm
(dense precisions, exact Newton refits over the full history), and the fast learner of
:mod:`cqb.policies.acqb` is checked against it decision for decision.
"""

from .learner import BatchLearner
from .simulation import BatchRecord, simulate_batch

__all__ = ["BatchLearner", "BatchRecord", "simulate_batch"]
