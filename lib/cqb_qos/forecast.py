"""Forecasts for a frozen system, and the impact of an action on running requests (arXiv 2508.00234).

In a frozen system (no later arrivals, no waiting requests, memory that does not bind) the requests of an
expert finish in the order of their remaining tokens, so their finishing times follow from sorted sums.

A request that joins an expert delays those that run there, once by its prefill and then in each decode
iteration that they share. The *impact* of the action is the QoS of the requests that it makes late.
:func:`impact` is exact in a frozen system. :func:`published_impact` is the form in the published code:
it adds the final delay to a latency so far, and leaves out the constant part of an iteration.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from .simulator import Decision, Experts, Requests

NEVER = np.iinfo(np.int64).max  # sorts an empty slot last
Form = Callable[[Decision, Requests, np.ndarray], np.ndarray]
"""Flags (B, N, S) of running requests that the arriving one, of lengths (B, N), would make late."""


def remaining(running: Requests) -> np.ndarray:
    """Tokens still to come, (B, N, S) int64; empty slots have 0.

    At least 1: a request that outlives its prediction is expected to end next.
    """
    left = np.maximum(running.length, running.emitted + 1) - running.emitted
    return np.where(running.here, left, 0)


def held(running: Requests) -> np.ndarray:
    """Tokens that each running request holds in memory, (B, N, S) int64; empty slots have 0."""
    return np.where(running.here, running.prompt + running.emitted, 0)


def finish_times(
    experts: Experts, present: Requests, left: np.ndarray, start: np.ndarray
) -> np.ndarray:
    """When each request of the frozen experts finishes, (B, N, S) seconds; arbitrary for empty slots.

    With r tokens left and c in memory, a request adds c, c + 1, ... to the r decode iterations that it
    takes part in; request j waits for r_j of them, and for the shares that others add to those.

    Parameters
    ----------
    left : (B, N, S) int64 r; 0 for empty slots. start : (R,) seconds of the first decode iteration.
    """
    c0, _, k2 = (cost[..., None] for cost in experts.costs)
    order = np.argsort(np.where(present.here, left, NEVER), axis=-1)
    r, c = (np.take_along_axis(values, order, -1) for values in (left, held(present)))
    triangle = r * (r - 1) // 2
    earlier = np.cumsum(r * c + triangle, axis=-1)
    younger = c.sum(axis=-1, keepdims=True) - np.cumsum(c, axis=-1)
    count = present.here.sum(axis=-1, keepdims=True) - 1 - np.arange(r.shape[-1])
    shares = earlier + r * younger + count * triangle
    finish = np.empty(r.shape)
    start = experts.per_expert(start)[..., None]
    np.put_along_axis(finish, order, start + r * c0 + k2 * shares, -1)
    return finish


def potential(experts: Experts) -> np.ndarray:
    """QoS earned so far and that of all present requests if nothing more arrives, (B,).

    Exact, with true lengths and scores, as long as memory and batch size do not bind: then all requests
    that wait at an expert are prefilled together, and none is evicted.
    """
    c0, k1, _ = (cost.ravel() for cost in experts.costs)
    tokens = experts.waiting_tokens
    start = experts.clock + np.where(tokens > 0, c0 + k1 * tokens, 0.0)
    present, left = _present(experts)
    waited = finish_times(experts, present, left, start) - present.arrival
    met = waited / present.length < experts.system.limit
    paid = np.where(met, present.score, 0.0)[present.here]
    environment = np.nonzero(present.here)[0]
    return experts.earned + np.bincount(environment, paid, minlength=len(experts.earned))


def work_left(experts: Experts) -> np.ndarray:
    """Seconds by which all present requests will delay others at their expert, (B,).

    A request with r tokens to come that holds c adds ``k2 (c + r / 2)`` to each of r iterations.
    """
    present, left = _present(experts)
    work = (left * (held(present) + 0.5 * left)).sum(axis=-1)
    return (experts.costs[2] * work).sum(axis=1)


def _present(experts: Experts) -> tuple[Requests, np.ndarray]:
    """All true requests, those that wait as they are after a prefill, and their tokens to come."""
    waiting = experts.waiting_requests(int(experts.waiting.max()), truth=True)
    waiting = waiting._replace(emitted=waiting.emitted + 1)
    both = zip(experts.running_requests(truth=True), waiting, strict=True)
    present = Requests(*(np.concatenate(arrays, axis=-1) for arrays in both))
    return present, np.where(present.here, present.length - present.emitted, 0)


def final_latency(decision: Decision, running: Requests) -> np.ndarray:
    """Each running request's latency in a frozen system, (B, N, S) seconds per token."""
    experts = decision.experts
    finish = finish_times(experts, running, remaining(running), experts.clock)
    return (finish - running.arrival) / _final_length(running)


def overshoot(decision: Decision) -> np.ndarray:
    """The time until each expert's current iteration ends, (B, N) seconds."""
    clock = decision.experts.per_expert(decision.experts.clock)
    return np.maximum(clock - decision.time[:, None], 0.0)


def own_latency(decision: Decision) -> np.ndarray:
    """A quick forecast of the arriving request's latency at each expert, (B, N) seconds per token.

    As if all requests of now stayed for as long as the new one does, with its predicted length:
    ``c0 + k2 (used + w + p + d/2) + (overshoot + k1 (p + w) + c0) / d``, w the tokens that wait.
    """
    experts, d = decision.experts, decision.lengths
    c0, k1, k2 = experts.costs
    waiting = experts.per_expert(experts.waiting_tokens) + decision.prompt[:, None]
    context = experts.per_expert(experts.context) + waiting
    return c0 + k2 * (context + 0.5 * d) + (overshoot(decision) + k1 * waiting + c0) / d


def frozen_own_latency(decision: Decision, running: Requests) -> np.ndarray:
    """The arriving request's latency at each expert in a frozen system, (B, N) seconds per token.

    Waiting requests are counted as if they were prefilled with it and stayed as long.
    """
    experts, d, p = decision.experts, decision.lengths, decision.prompt[:, None]
    c0, k1, k2 = experts.costs
    waiting, steps = experts.per_expert(experts.waiting_tokens), d - 1
    shared = np.minimum(remaining(running), steps[..., None])
    others = (shared * held(running) + shared * (shared - 1) // 2).sum(axis=-1)
    own = steps * (p + 1) + steps * (steps - 1) // 2
    decode = steps * c0 + k2 * (others + own + steps * waiting)
    return (overshoot(decision) + c0 + k1 * (p + waiting) + decode) / d


def delays(decision: Decision, running: Requests, lengths: np.ndarray) -> np.ndarray:
    """What the arriving request adds to each running request's latency, (B, N, S) seconds per token.

    ``(c0 + k1 p + k2 sum_{k=1}^{m} (p + k)) / d_j`` with ``m = min(d_j - o_j, d - 1)``: the prefill,
    and the tokens it holds during the m decode iterations that both take part in.

    Parameters
    ----------
    lengths : (B, N), d, the length of its answer at each expert.
    """
    m = np.minimum(remaining(running), lengths[..., None] - 1)
    return _delays(decision, running, decision.experts.costs[0][..., None], m)


def published_delays(decision: Decision, running: Requests, lengths: np.ndarray) -> np.ndarray:
    """The published delay of each running request, (B, N, S) seconds per token.

    ``(k1 p + k2 sum_{k=1}^{m} (p + k)) / d_j`` with ``m = min(d_j - o_j, d) - 1``.
    """
    m = np.minimum(remaining(running), lengths[..., None]) - 1
    return _delays(decision, running, 0.0, m)


def _delays(
    decision: Decision, running: Requests, fixed: np.ndarray | float, m: np.ndarray
) -> np.ndarray:
    _, k1, k2 = (cost[..., None] for cost in decision.experts.costs)
    p = decision.prompt[:, None, None]
    return (fixed + k1 * p + k2 * (m * p + m * (m + 1) // 2)) / _final_length(running)


class Frozen(NamedTuple):
    """Predictions for the frozen system, latencies in seconds per token.

    running : the running requests, as predicted. final, added : (B, N, S) their final latencies without
    the arriving request, and what it adds to them. own : (B, N) its own.
    """

    running: Requests
    final: np.ndarray
    added: np.ndarray
    own: np.ndarray


def frozen(decision: Decision) -> Frozen:
    """What a router can foresee at a decision."""
    running = decision.experts.running_requests(truth=False)
    added = delays(decision, running, decision.lengths)
    own = frozen_own_latency(decision, running)
    return Frozen(running, final_latency(decision, running), added, own)


def made_late(decision: Decision, running: Requests, lengths: np.ndarray) -> np.ndarray:
    """Running requests that the arriving one, of lengths (B, N), makes late, (B, N, S) bool."""
    limit = decision.experts.system.limit
    before = final_latency(decision, running)
    after = before + delays(decision, running, lengths)
    return running.here & (before < limit) & (after >= limit)


def published_late(decision: Decision, running: Requests, lengths: np.ndarray) -> np.ndarray:
    """Running requests that the published form flags, (B, N, S) bool.

    It adds the delay to the latency per token so far, which is 0 before the first token.
    """
    experts, emitted = decision.experts, running.emitted
    clock = experts.per_expert(experts.clock)[..., None]
    so_far = np.where(emitted > 0, (clock - running.arrival) / np.maximum(emitted, 1), 0.0)
    forecast = so_far + published_delays(decision, running, lengths)
    return running.here & (forecast > experts.system.limit)


def flagged(decision: Decision, form: Form, *, truth: bool) -> tuple[np.ndarray, Requests]:
    """The requests that a form flags at each expert, (B, N, S) bool, and the running requests.

    Parameters
    ----------
    truth : use true scores and lengths (for training and tests), or predictions (to decide).
    """
    running = decision.experts.running_requests(truth=truth)
    true = decision.experts.batch.lengths[:, :, decision.index]
    lengths = true if truth else decision.lengths
    return form(decision, running, lengths), running


def impact(decision: Decision, *, truth: bool, form: Form = made_late) -> np.ndarray:
    """QoS lost at each expert if it takes the request, (B, N): ``sum s_j [l_j < L <= l_j + delay_j]``.

    l_j is the final latency of running request j in a frozen system without the new request. `truth` is
    as in :func:`flagged`.
    """
    late, running = flagged(decision, form, truth=truth)
    return np.where(late, running.score, 0.0).sum(axis=-1)


published_impact = partial(impact, form=published_late)
"""The published estimate at each expert, (B, N): scores of requests forecast above L."""


def true_impacts(decision: Decision, beta: float) -> np.ndarray:
    """beta times the true impact of every action, (B, N + 1); a drop has none."""
    if beta == 0.0:
        return np.zeros((len(decision.time), decision.scores.shape[1] + 1))
    return beta * np.pad(impact(decision, truth=True), ((0, 0), (0, 1)))


def _final_length(running: Requests) -> np.ndarray:
    """The length each running request ends with: as predicted, or one more token than it has."""
    return np.where(running.here, np.maximum(running.length, running.emitted + 1), 1)
