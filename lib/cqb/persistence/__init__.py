"""Persistence: how the past rounds of a query bear on its next attempt, as a Bayesian filter."""

from .filter import Filter, Prior
from .hypotheses import FRESH, HYPOTHESES, Persistence

__all__ = ["FRESH", "HYPOTHESES", "Filter", "Persistence", "Prior"]
