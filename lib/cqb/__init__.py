"""Contextual queueing bandits for LLM services: learn to route and schedule from retrials.

The public entry points are :func:`run` (policies on a table or an environment, as a tidy table),
:data:`POLICIES` (every policy by its printed name) and :mod:`cqb.datasets`.
"""

from . import datasets
from .experiment import run
from .policies import POLICIES

__version__ = "0.1.0"

__all__ = ["POLICIES", "__version__", "datasets", "run"]
