"""Closed forms of single-server queues that serve before they admit, one query a round.

Numbered predictions (E3, E4, R6 and so on) are those of :mod:`cqb.theory`. A "departure rate" is the
probability that a served query departs in that round; lambda is the arrival probability of a round.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq


def stationary_law(arrival_rate: float, mu: float, longest: int) -> np.ndarray:
    """E3: ``P(Q = n)`` for n = 0..longest, one departure rate mu > lambda, queue after the arrival.

    ``P(0) = 1 - lambda/mu``; then lambda / (mu (1 - lambda)) once, and
    ``lambda (1 - mu) / (mu (1 - lambda))`` per further query.

    Raises
    ------
    ValueError
        The queue has no stationary law: lambda is not below mu.
    """
    if not 0.0 < arrival_rate < mu <= 1.0:
        raise ValueError(f"arrival_rate: found {arrival_rate}, expected in (0, mu) with mu = {mu}")
    ratio = arrival_rate * (1.0 - mu) / (mu * (1.0 - arrival_rate))
    law = np.empty(longest + 1)
    law[0] = 1.0 - arrival_rate / mu
    law[1:] = law[0] * arrival_rate / (mu * (1.0 - arrival_rate)) * ratio ** np.arange(longest)
    return law


def mean_sojourn(arrival_rate: float, mu: float) -> float:
    """E3: rounds from arrival to departure, ``(1 - lambda)/(mu - lambda)``."""
    return (1.0 - arrival_rate) / (mu - arrival_rate)


def mean_queue(arrival_rate: float, mu: float) -> float:
    """E3: ``lambda (1 - lambda)/(mu - lambda)``, Little's law applied to the sojourn."""
    return arrival_rate * mean_sojourn(arrival_rate, mu)


def chain_law(arrival_rate: float, mu: float, longest: int) -> np.ndarray:
    """The same law from the transition matrix itself, cut off at `longest` queries.

    Independent of the closed form: it solves ``pi P = pi`` for serve, then admit.
    """
    states = longest + 1
    matrix = np.zeros((states, states))
    for n in range(states):
        served = [(n, 1.0)] if n == 0 else [(n - 1, mu), (n, 1.0 - mu)]
        for left, chance in served:
            matrix[n, left] += chance * (1.0 - arrival_rate)
            matrix[n, min(left + 1, longest)] += chance * arrival_rate
    system = np.vstack([matrix.T - np.eye(states), np.ones(states)])
    return np.linalg.lstsq(system, np.append(np.zeros(states), 1.0), rcond=None)[0]


def load(arrival_rate: float, rates: np.ndarray) -> float:
    """E4: ``rho = lambda E[1/p]`` over equally likely queries with per-serve departure rates p."""
    return float(arrival_rate * np.mean(1.0 / np.asarray(rates)))


def capacity(rates: np.ndarray) -> float:
    """E4: the largest stable arrival rate, ``1/E[1/p]``."""
    return 1.0 / load(1.0, rates)


def growth(arrival_rate: float, rates: np.ndarray) -> float:
    """R6: queries per round by which an overloaded random-order queue grows; 0 if it is stable.

    The positive root s of ``lambda E[1/(s + p)] = 1``: in a queue that grows as ``s t`` every
    waiting query is served about equally often, so a type with rate p leaves in proportion.
    """
    p = np.asarray(rates, float)

    def excess(s: float) -> float:
        return arrival_rate * float(np.mean(1.0 / (s + p))) - 1.0

    return float(brentq(excess, 0.0, 1.0, xtol=1e-13)) if excess(0.0) > 0.0 else 0.0


def cycle_capacity(rates: np.ndarray) -> float:
    """E5: largest stable rate when a query is offered the models in turn until it departs.

    `rates` (P, N) are single-model departure rates, columns in the order of the cycle. The mean
    number of serves of a query is the sum of its survival chances over one cycle, divided by the
    chance that the cycle ends with a departure.
    """
    survival = np.cumprod(1.0 - np.asarray(rates, float), axis=1)
    before = np.concatenate([np.ones((survival.shape[0], 1)), survival[:, :-1]], axis=1)
    serves = before.sum(axis=1) / (1.0 - survival[:, -1])
    return float(1.0 / serves.mean())
