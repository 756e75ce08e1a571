"""The QoS that is as good as earned: what would be paid if nobody else arrived.

Paying a router when a request *finishes* tells it little about what it did seconds ago. The sum of what
has been earned and what all requests at hand would earn in the frozen system is a potential: paying each
decision the change of that sum tells at once what the decision is worth by itself, own QoS less the harm
done to others, and the payments still add up to the QoS of all requests (Ng, Harada and Russell, ICML
1999, on shaping by potentials). What is left to learn is the harm to those who are yet to come.
"""

from __future__ import annotations

import numpy as np

from .simulator import Experts

NEVER = np.iinfo(np.int64).max  # sorts an empty place last


def secured(experts: Experts) -> np.ndarray:
    """QoS earned so far and that of all requests at hand if nothing more arrives, (B,).

    Exact, with true lengths and scores, as long as memory and batch size do not bind: then all that
    wait at an expert are prefilled together, and nobody is evicted.
    """
    B = experts.batch.shape[0]
    number, left, held = _at_hand(experts)
    finish = _finish(experts, number, left, held)
    row, place = np.nonzero(number >= 0)
    environment, expert, request = row // experts.N, row % experts.N, number[row, place]
    length = experts.batch.lengths[environment, expert, request]
    waited = finish[row, place] - experts.batch.arrivals[environment, request]
    met = waited / length < experts.system.limit
    paid = np.where(met, experts.batch.scores[environment, expert, request], 0.0)
    return experts.earned + np.bincount(environment, paid, minlength=B)


def work_left(experts: Experts) -> np.ndarray:
    """Seconds by which all requests at hand will yet delay whoever runs beside them, (B,).

    A request with r tokens to come that holds c adds ``k2 (c + r / 2)`` to each of r iterations.
    """
    _, left, held = _at_hand(experts)
    rows = experts.constants.k2 * (left * (held + 0.5 * left)).sum(axis=1)
    return rows.reshape(experts.batch.shape[0], -1).sum(axis=1)


def _at_hand(experts: Experts) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Requests by row, (R, S) each: number (-1: none), tokens left, tokens held.

    Those that wait are seen as they are after their prefill.
    """
    S = max(1, int(experts.running.max()))
    Q = int(experts.waiting.max())
    running, waiting = experts.request[:, :S], _waiting(experts, Q)
    number = np.concatenate((running, waiting), axis=1)
    row, place = np.nonzero(number >= 0)
    environment, expert, request = row // experts.N, row % experts.N, number[row, place]
    left = np.zeros(number.shape, np.int64)
    left[:, :S] = np.where(running >= 0, experts.end[:, :S] - experts.iteration[:, None], 0)
    queued = place >= S
    length = experts.batch.lengths[environment, expert, request]
    emitted = np.where(queued, experts.emitted[environment, request] + 1, 0)
    left[row[queued], place[queued]] = (length - emitted)[queued]
    held = np.zeros(number.shape, np.int64)
    emitted = length - left[row, place]
    held[row, place] = experts.batch.prompts[environment, request] + emitted
    return number, left, held


def _waiting(experts: Experts, Q: int) -> np.ndarray:
    """Numbers of the requests that wait, (R, Q), -1 for none."""
    place = experts.head[:, None] + np.arange(Q)
    inside = place < experts.tail[:, None]
    rows = np.arange(experts.clock.size)[:, None]
    return np.where(inside, experts.queue[rows, np.where(inside, place, 0)], -1)


def _finish(experts: Experts, number: np.ndarray, left: np.ndarray, held: np.ndarray) -> np.ndarray:
    """When each request ends if all that wait are prefilled next, (R, S) seconds.

    As in :func:`.forecast.frozen_finish`: they end in the order of their tokens left.
    """
    here = number >= 0
    order = np.argsort(np.where(here, left, NEVER), axis=1)
    r, c = np.take_along_axis(left, order, 1), np.take_along_axis(held, order, 1)
    triangle = r * (r - 1) // 2
    earlier = np.cumsum(r * c + triangle, axis=1)
    younger = c.sum(axis=1, keepdims=True) - np.cumsum(c, axis=1)
    count = here.sum(axis=1, keepdims=True) - 1 - np.arange(r.shape[1])
    shares = earlier + r * younger + count * triangle
    c0, k1, k2 = (values[:, None] for values in experts.constants[:3])
    tokens = experts.waiting_tokens[:, None]
    start = experts.clock[:, None] + np.where(tokens > 0, c0 + k1 * tokens, 0.0)
    finish = np.empty(r.shape)
    np.put_along_axis(finish, order, start + r * c0 + k2 * shares, 1)
    return finish
