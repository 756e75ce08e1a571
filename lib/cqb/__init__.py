"""Contextual queueing bandits for LLM services: learn to route and schedule from retrials.

The public entry points are :func:`run` (policies on a table or an environment, as a tidy table),
:data:`POLICIES` (every policy by its printed name), :mod:`cqb.datasets`, :class:`Study` (what is run
and stored) and :class:`Router` (a policy on live traffic). ``python -m cqb`` lists, runs, verifies and
shows the studies.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for editors and type checkers, which do not run __getattr__
    from . import datasets as datasets
    from .experiments import run as run
    from .exploration import solve_c1 as solve_c1
    from .policies import POLICIES as POLICIES
    from .router import Router as Router
    from .study import Study as Study

__version__ = "0.1.0"

# The module of each public name. Loading all of them takes seconds, most of it pandas, SciPy and Numba.
_MODULES = {
    "POLICIES": "policies",
    "Router": "router",
    "Study": "study",
    "datasets": "datasets",
    "run": "experiments",
    "solve_c1": "exploration",
}
__all__ = ["__version__", *_MODULES]


def __getattr__(name: str) -> Any:
    """A public name, whose module is imported at its first use."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f".{_MODULES[name]}", __name__)
    return module if name == "datasets" else getattr(module, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
