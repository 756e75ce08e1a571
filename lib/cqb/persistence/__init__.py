"""Persistence: what a query's own picks and retrials say about its next attempt."""

from .filter import Filter, Prior
from .worlds import FRESH, WORLDS, Persistence

__all__ = ["FRESH", "WORLDS", "Filter", "Persistence", "Prior"]
