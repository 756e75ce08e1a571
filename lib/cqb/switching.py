"""The policy-switching queue: the learner serves up to a round, the oracle after it.

``Q(s, T)`` is the queue after T rounds when the learner serves in rounds 1 to s and the oracle
afterwards, all on one set of :class:`~cqb.environment.Draws`. Neighbouring switches differ in one
round's decision, so ``psi(s, T) = Q(s, T) - Q(s-1, T)`` is -1, 0 or 1 on every path, and the psi sum
to the queue-length regret ``Q(T) - Q*(T)`` exactly (arXiv 2601.19300, lemma 4.1).
"""

from heapq import heapify, heappop, heappush

import numpy as np

from .environment import Draws, Environment
from .simulate import RETRY, Trajectory


def waiting_rows(trajectory: Trajectory, draws: Draws) -> list[list[int]]:
    """Pool entries that wait after each round, in queue order: item t is the queue after round t.

    Replayed from the records of a run that began with an empty queue, by the rules of
    :mod:`cqb.simulate`: a retrying query goes to the back, then the arrival is admitted.
    """
    queue: list[tuple[int, int]] = []
    after: list[list[int]] = [[]]
    arrivals = 0
    for t in range(draws.outcome.size):
        if trajectory.query[t] >= 0:
            served = (int(trajectory.query[t]), int(trajectory.row[t]))
            queue.remove(served)
            if trajectory.pick[t] == RETRY:
                queue.append(served)
        if draws.arrives[t]:
            queue.append((arrivals, int(draws.row[t])))
            arrivals += 1
        after.append([row for _, row in queue])
    return after


def terminal_queues(
    environment: Environment, K: int, draws: Draws, learner: Trajectory
) -> np.ndarray:
    """``Q(s, T)`` for s = 0..T: (T + 1,) int64, T the rounds of `draws`.

    Entry 0 is the oracle's queue, entry T the learner's own.
    """
    odds = oracle_odds(environment, K)
    queues = enumerate(waiting_rows(learner, draws), start=1)
    return np.array([oracle_queue(odds, draws, rows, first) for first, rows in queues])


def oracle_odds(environment: Environment, K: int) -> list[float]:
    """Total odds of the oracle's assortment, per pool entry (summed in the simulator's order)."""
    best = environment.best_assortments(K)
    return [sum(environment.odds[row, models].tolist()) for row, models in enumerate(best)]


def oracle_queue(odds: list[float], draws: Draws, start: list[int], first: int) -> int:
    """Length of the oracle's queue after the last round, from entries `start` at round `first`.

    The same queue as :func:`cqb.simulate.simulate` with the oracle, at the cost of a heap.
    """
    heap = [-odds[row] for row in start]
    heapify(heap)
    left = (of[first - 1 :].tolist() for of in (draws.arrives, draws.row, draws.outcome))
    for arrival, row, outcome in zip(*left, strict=True):
        # Outcome 0, the retrial, comes first in the inverse CDF: total odds 1 + sum.
        if heap and outcome * (1.0 - heap[0]) >= 1.0:
            heappop(heap)
        if arrival:
            heappush(heap, -odds[row])
    return len(heap)
