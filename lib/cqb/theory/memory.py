"""E10: what remembering a query's failures is worth when its context says nothing.

Each query has one good model among N, equally likely to be any; that model departs it at rate g,
every other at rate b, for ever. Mean serves per query, of which the largest stable arrival rate is
the reciprocal.
"""

from __future__ import annotations


def same_model_serves(N: int, good: float, bad: float) -> float:
    """One model per context, for ever: ``(1/N)/g + (1 - 1/N)/b``."""
    return (1.0 / N) / good + (1.0 - 1.0 / N) / bad


def random_model_serves(N: int, good: float, bad: float) -> float:
    """A model drawn anew for each serve: ``N / (g + (N - 1) b)``."""
    return N / (good + (N - 1.0) * bad)


def greedy_memory_serves(N: int, good: float, bad: float, tolerance: float = 1e-14) -> float:
    """The model that is most probably the good one, given the query's own failures.

    A recursion over serves: `weight[j]` is the joint probability that model j is the good one and
    that all serves so far failed. The largest weight is offered, ties to the lowest index; the
    chances that a further serve is needed add up to the mean.
    """
    weight = [1.0 / N] * N
    serves = 0.0
    while (alive := sum(weight)) > tolerance:
        serves += alive
        offered = weight.index(max(weight))
        weight = [w * (1.0 - (good if j == offered else bad)) for j, w in enumerate(weight)]
    return serves
