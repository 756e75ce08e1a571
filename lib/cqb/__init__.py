"""Contextual queueing bandits for LLM services: learn to route and schedule from retrials.

The public entry points are :func:`run` (policies on a table or an environment, as a tidy table),
:data:`POLICIES` (every policy by its printed name), :mod:`cqb.datasets`, :class:`Study` (what is run
and stored) and :class:`Router` (a policy on live traffic). ``python -m cqb`` lists, runs, verifies and
shows the studies.
"""

from . import datasets
from .experiments import run
from .exploration import solve_c1
from .policies import POLICIES
from .router import Router
from .study import Study

__version__ = "0.1.0"

__all__ = ["POLICIES", "Router", "Study", "__version__", "datasets", "run", "solve_c1"]
