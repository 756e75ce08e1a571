"""Persistence: how the past rounds of a query bear on its next attempt, as a Bayesian filter."""

from .filter import Filter, Prior
from .worlds import FRESH, WORLDS, Persistence

__all__ = ["FRESH", "WORLDS", "Filter", "Persistence", "Prior"]
