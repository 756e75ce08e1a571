"""How long runs take on many cores: the longest first, each to the core that is free soonest."""

from __future__ import annotations

import heapq
from collections.abc import Iterable


def makespan(seconds: Iterable[float], cores: int) -> float:
    """When the last of the runs ends, in seconds, with `cores` cores and nothing lost between runs.

    Longest-first list scheduling (Graham 1969), which is what a sweep does; at most 4/3 of the best.

    Raises
    ------
    ValueError
        `cores` is below 1.
    """
    if cores < 1:
        raise ValueError(f"cores: found {cores}, expected at least 1")
    free = [0.0] * cores
    for duration in sorted(seconds, reverse=True):
        heapq.heapreplace(free, free[0] + duration)
    return max(free)
