"""One run: a policy serves the queue, one query a round (arXiv 2602.02061, section 2).

In a round, a query is served, the user's choice is observed and learned from, a retrying query goes back
to the end of the queue, and then arrivals are admitted. If the queue is empty nobody is served. The
oracle is a policy like any other; run on the same :class:`~cqb.environment.Draws`, its queue is the one
that the queue-length regret subtracts.
"""

from __future__ import annotations

from collections.abc import Sequence
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
    T = draws.outcome.size
    log = _Log(T, K, environment)
    queue = list(range(len(start)))
    rows = [int(r) for r in start]
    log.admit(rows, 0)
    log.queue[0] = len(rows)
    context_of = environment.context_of.tolist()
    arrives, arriving = draws.arrives.tolist(), draws.row.reshape(T, -1).tolist()
    fresh = False
    for t in range(1, T + 1):
        if queue:
            here = [rows[q] for q in queue]
            waiting = Waiting(list(queue), [context_of[r] for r in here], here, fresh)
            decision = policy.choose(t, waiting)
            _check_decision(decision, len(queue), K, environment.n_models)
            pick = log.serve(t, waiting, decision, draws.outcome[t - 1])
            query, context = queue.pop(decision.position), waiting.context[decision.position]
            policy.observe(t, query, context, decision.assortment, pick)
            if pick == RETRY:
                queue.append(query)
        fresh = arrives[t - 1] > 0
        if fresh:
            new = arriving[t - 1][: arrives[t - 1]]
            queue += range(len(rows), len(rows) + len(new))
            rows += new
            log.admit(new, t)
        log.queue[t] = len(queue)
    return log.trajectory()


def check_assortment_size(K: int, n_models: int) -> None:
    """Raise ValueError unless ``1 <= K < N``."""
    if not 1 <= K < n_models:
        raise ValueError(f"K: found {K}, expected at least 1 and fewer than the {n_models} models")


def _check_decision(decision: Decision, waiting: int, K: int, n_models: int) -> None:
    position, assortment, _ = decision
    if not 0 <= position < waiting:
        raise ValueError(f"decision: found position {position} in a queue of {waiting}")
    ascending = all(a < b for a, b in pairwise((-1, *assortment, n_models)))
    if len(assortment) != K or not ascending:
        expected = f"expected {K} ascending indices below {n_models}"
        raise ValueError(f"decision: found assortment {assortment}, {expected}")


class _Log:
    """Collects the records of a run, and draws the users' choices."""

    def __init__(self, T: int, K: int, environment: Environment) -> None:
        self._odds = environment.odds.tolist()
        self._best = environment.departure_rates(K).tolist()
        self.queue = np.zeros(T + 1, np.int32)
        self.regret = np.zeros(T)
        self.query = np.full(T, -1, np.int32)
        self.row = np.full(T, -1, np.int32)
        self.assortment = np.full((T, K), -1, np.int16)
        self.pick = np.full(T, IDLE, np.int16)
        self.forced, self.retrial, self.repeat = np.zeros((3, T), bool)
        self._arrived: list[int] = []
        self._departed: list[int] = []
        self._failed: dict[int, set[int]] = {}

    def admit(self, rows: list[int], t: int) -> None:
        self._arrived += [t] * len(rows)
        self._departed += [0] * len(rows)

    def serve(self, t: int, waiting: Waiting, decision: Decision, outcome: float) -> int:
        """Record round t and return the user's choice: outcome 0, the retrial, comes first."""
        i, (place, offered, _) = t - 1, decision
        query, row = waiting.query[place], waiting.row[place]
        odds = [self._odds[row][j] for j in offered]
        total = 1.0 + sum(odds)
        self.regret[i] = max(self._best[r] for r in waiting.row) - (1.0 - 1.0 / total)
        pick, edge = RETRY, 1.0
        target = outcome * total
        for model, weight in zip(offered, odds, strict=True):
            if target < edge:
                break
            pick, edge = model, edge + weight
        failed = self._failed.get(query)
        if failed is not None:
            self.retrial[i] = True
            self.repeat[i] = not failed.isdisjoint(offered)
        if pick == RETRY:
            self._failed[query] = set(offered) | (failed or set())
        else:
            self._departed[query] = t
        self.query[i], self.row[i], self.pick[i] = query, row, pick
        self.assortment[i], self.forced[i] = offered, decision.forced
        return pick

    def trajectory(self) -> Trajectory:
        recorded = {name: value for name, value in vars(self).items() if not name.startswith("_")}
        return Trajectory(
            **recorded | {"regret": np.maximum(self.regret, 0.0)},
            arrived=np.array(self._arrived, np.int32),
            departed=np.array(self._departed, np.int32),
        )
