"""One run: a policy serves the queue, one query a round (arXiv 2602.02061, section 2).

In a round, a query is served, the user's choice is observed and learned from, a retrying query goes back
to the end of the queue, and then arrivals are admitted. If the queue is empty nobody is served. The
oracle is a policy like any other; run on the same :class:`~cqb.environment.Draws`, its queue is the one
that the queue-length regret subtracts.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple, Protocol

import numpy as np

from .environment import Draws, Environment
from .mnl import Assortment

RETRY, IDLE = -1, -2


class Waiting(NamedTuple):
    """The queue as a policy sees it, in queue order (position 0 is the head).

    query : arrival numbers, unique per query. context : rows of the service's context table.
    row : pool entries; of use only to a reference policy that knows the environment.
    fresh : a query arrived in the round before; the last in the queue is the newest.
    """

    query: list[int]
    context: list[int]
    row: list[int]
    fresh: bool


class Decision(NamedTuple):
    """A queue position, the assortment (ascending model indices), and whether it was forced."""

    position: int
    assortment: Assortment
    forced: bool = False


class Policy(Protocol):
    """Two methods. A policy never sees odds: only contexts, and what users did.

    One that reads contexts and can meet new ones later has a third, `admit(context, contexts)`: the
    table of contexts, (C, d), now holds that number too. It has room for more, and zeros in it.
    """

    def choose(self, t: int, waiting: Waiting) -> Decision:
        """The query to serve in round t (from 1) and its assortment; the queue is not empty."""

    def observe(self, t: int, query: int, context: int, assortment: Assortment, pick: int) -> None:
        """Learn from the round: `pick` is the model picked, or RETRY."""


@dataclass(frozen=True)
class Trajectory:
    """What happened in T rounds; index t - 1 is round t unless said otherwise.

    Attributes
    ----------
    queue : (T + 1,) int32, queue length after round t at index t; the start at index 0.
    regret : (T,) float64, the round's routing regret (0 when idle).
    query : (T,) int32, arrival number served, or -1. row : (T,) int32, its pool entry, or -1.
    assortment : (T, K) int16, ascending model indices, -1 when idle.
    pick : (T,) int16, the model picked, RETRY, or IDLE.
    forced : (T,) bool, forced exploration.
    retrial : (T,) bool, the served query had been served before.
    repeat : (T,) bool, and the assortment holds a model that had failed this very query.
    arrived : (n,) int32, the round in which each query arrived (0: waiting at the start).
    departed : (n,) int32, the round in which it departed; 0 if it is still waiting.
    """

    queue: np.ndarray
    regret: np.ndarray
    query: np.ndarray
    row: np.ndarray
    assortment: np.ndarray
    pick: np.ndarray
    forced: np.ndarray
    retrial: np.ndarray
    repeat: np.ndarray
    arrived: np.ndarray
    departed: np.ndarray


def simulate(
    environment: Environment, policy: Policy, K: int, draws: Draws, *, start: Sequence[int] = ()
) -> Trajectory:
    """Run `policy` on `environment` for the rounds of `draws`.

    Parameters
    ----------
    K : assortment size, 1 <= K < N.
    draws : arrivals and uniforms of T rounds, shared by all policies of the run.
    start : pool entries that wait before the first round, in queue order.

    Raises
    ------
    ValueError
        K is not in [1, N), or the policy serves a position or an assortment that does not exist.
    """
    check_assortment_size(K, environment.n_models)
    T, odds, outcomes = draws.outcome.size, environment.odds.tolist(), draws.outcome.tolist()
    best, context_of = environment.departure_rates(K).tolist(), environment.context_of.tolist()
    arrives, arriving = draws.arrives.tolist(), draws.row.reshape(T, -1).tolist()
    rows, arrived = [int(r) for r in start], [0] * len(start)
    queue, fresh = list(range(len(start))), False
    served: list[tuple[int, Assortment, int, bool, float]] = []
    for t in range(1, T + 1):
        if queue:
            here = [rows[q] for q in queue]
            waiting = Waiting(list(queue), [context_of[r] for r in here], here, fresh)
            decision = policy.choose(t, waiting)
            _check_decision(decision, len(queue), K, environment.n_models)
            position, assortment, forced = decision
            query, context = queue.pop(position), waiting.context[position]
            rate, pick = _response(odds[rows[query]], assortment, outcomes[t - 1])
            regret = max([best[r] for r in here]) - rate
            served.append((query, assortment, pick, forced, regret))
            policy.observe(t, query, context, assortment, pick)
            if pick == RETRY:
                queue.append(query)
        else:
            served.append((-1, (-1,) * K, IDLE, False, 0.0))
        fresh = arrives[t - 1] > 0
        if fresh:
            new = arriving[t - 1][: arrives[t - 1]]
            queue += range(len(rows), len(rows) + len(new))
            rows += new
            arrived += [t] * len(new)
    return trajectory(rows, arrived, map(np.array, zip(*served, strict=True)))


def check_assortment_size(K: int, n_models: int) -> None:
    """Raise ValueError unless ``1 <= K < N``."""
    if not 1 <= K < n_models:
        raise ValueError(f"K: found {K}, expected at least 1 and fewer than the {n_models} models")


def _check_decision(decision: Decision, waiting: int, K: int, n_models: int) -> None:
    position, assortment, _ = decision
    if not 0 <= position < waiting:
        raise ValueError(f"decision: found position {position} in a queue of {waiting}")
    ascending = all(a < b for a, b in pairwise(assortment))
    if len(assortment) != K or not ascending or assortment[0] < 0 or assortment[-1] >= n_models:
        expected = f"expected {K} ascending indices below {n_models}"
        raise ValueError(f"decision: found assortment {assortment}, {expected}")


def _response(odds: list[float], offered: Assortment, outcome: float) -> tuple[float, int]:
    """An assortment's departure rate and the user's choice: outcome 0, the retrial, comes first."""
    weights = [odds[j] for j in offered]
    total = 1.0 + sum(weights)
    pick, edge = RETRY, 1.0
    for model, weight in zip(offered, weights, strict=True):
        if outcome * total < edge:
            break
        pick, edge = model, edge + weight
    return 1.0 - 1.0 / total, pick


def trajectory(
    rows: Sequence[int], arrived: Sequence[int], served: Iterable[np.ndarray]
) -> Trajectory:
    """The whole record of a run, from what happened in its rounds.

    Parameters
    ----------
    rows, arrived : (n,) the pool entry of each query, and the round in which it arrived.
    served : by round, `query`, `assortment`, `pick`, `forced` and `regret`, as in :class:`Trajectory`
        but of any integer type.
    """
    query, assortment, pick, forced, regret = served
    busy, gone = query >= 0, pick >= 0
    arrived, departed = np.array(arrived, np.int32), np.zeros(len(arrived), np.int32)
    departed[query[gone]] = np.flatnonzero(gone) + 1
    come = np.bincount(arrived, minlength=query.size + 1).cumsum()
    # A query that is served again was failed by every model that it was offered before.
    offers = query[:, None] * (assortment.max() + 1) + assortment
    return Trajectory(
        queue=(come - np.append(0, gone.cumsum())).astype(np.int32),
        regret=np.maximum(regret, 0.0),
        query=query.astype(np.int32),
        row=np.append(rows, -1)[query].astype(np.int32),
        assortment=assortment.astype(np.int16),
        pick=pick.astype(np.int16),
        forced=forced,
        retrial=busy & _again(query),
        repeat=busy & _again(offers).any(axis=1),
        arrived=arrived,
        departed=departed,
    )


def _again(values: np.ndarray) -> np.ndarray:
    """Whether an earlier entry has the same value: bool, of the same shape."""
    again = np.ones(values.size, bool)
    again[np.unique(values, return_index=True)[1]] = False
    return again.reshape(values.shape)
