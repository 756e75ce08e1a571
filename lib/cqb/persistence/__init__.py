"""Persistence: predicting a query's next attempt from its own picks and retrials."""

from .filter import Filter, Prior
from .hypotheses import FRESH, HYPOTHESES, Persistence

__all__ = ["FRESH", "HYPOTHESES", "Filter", "Persistence", "Prior"]
