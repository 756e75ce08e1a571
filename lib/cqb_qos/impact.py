"""The action impact: the QoS of running requests that an action would make late (arXiv 2508.00234).

A request that joins an expert delays those that run there, once by its prefill and then in each
decode iteration that they share. What the system's authors published adds this final delay to a
latency so far; :func:`published_impact` keeps that form. :func:`impact` compares final with
final, adds the constant part of an iteration, and is exact in a frozen system.
"""

from __future__ import annotations

import numpy as np

from .decision import Decision
from .forecast import frozen_finish, remaining
from .simulator import Running


def delays(decision: Decision, running: Running, lengths: np.ndarray) -> np.ndarray:
    """What the arriving request adds to each running request's latency, (B, N, S) seconds per token.

    ``(c0 + k1 p + k2 sum_{k=1}^{m} (p + k)) / d_j`` with ``m = min(d_j - o_j, d - 1)``: the prefill,
    and the tokens it holds during the m decode iterations that both take part in.

    Parameters
    ----------
    lengths : (B, N), d, the length of its answer at each expert.
    """
    constants = decision.experts.constants
    c0, k1, k2 = (decision.per_expert(c)[..., None] for c in constants[:3])
    p = decision.prompt[:, None, None]
    m = np.minimum(remaining(running), lengths[..., None] - 1)
    return (c0 + k1 * p + k2 * (m * p + m * (m + 1) // 2)) / _final_length(running)


def impact(decision: Decision, *, truth: bool) -> np.ndarray:
    """QoS lost at each expert if it takes the request, (B, N): ``sum s_j [l_j < L <= l_j + delay_j]``.

    l_j is the final latency of running request j in a frozen system without the new request.

    Parameters
    ----------
    truth : use true scores and lengths (for training and tests), or predictions (to decide).
    """
    running = decision.experts.running_requests(truth=truth)
    late = made_late(decision, running, _arriving_lengths(decision, truth))
    return np.where(late, running.score, 0.0).sum(axis=-1)


def made_late(decision: Decision, running: Running, lengths: np.ndarray) -> np.ndarray:
    """Running requests that the arriving one, of length (B, N), would push over the limit, (B, N, S)."""
    limit = decision.experts.system.limit
    before = final_latency(decision, running)
    after = before + delays(decision, running, lengths)
    return running.here & (before < limit) & (after >= limit)


def final_latency(decision: Decision, running: Running) -> np.ndarray:
    """Each running request's latency in a frozen system, (B, N, S) seconds per token."""
    return (frozen_finish(decision, running) - running.arrival) / _final_length(running)


def published_impact(decision: Decision, *, truth: bool) -> np.ndarray:
    """The published estimate at each expert, (B, N): scores of requests forecast above L."""
    running = decision.experts.running_requests(truth=truth)
    late = published_late(decision, running, _arriving_lengths(decision, truth))
    return np.where(late, running.score, 0.0).sum(axis=-1)


def published_late(decision: Decision, running: Running, lengths: np.ndarray) -> np.ndarray:
    """Running requests that the published form flags, (B, N, S) bool.

    It adds the delay to the latency per token so far, which is 0 before the first token.
    """
    experts, emitted = decision.experts, running.emitted
    clock = decision.per_expert(experts.clock)[..., None]
    so_far = np.where(emitted > 0, (clock - running.arrival) / np.maximum(emitted, 1), 0.0)
    forecast = so_far + published_delays(decision, running, lengths)
    return running.here & (forecast > experts.system.limit)


def published_delays(decision: Decision, running: Running, lengths: np.ndarray) -> np.ndarray:
    """The published delay of each running request, (B, N, S) seconds per token.

    ``(k1 p + k2 sum_{k=1}^{m} (p + k)) / d_j`` with ``m = min(d_j - o_j, d) - 1``.
    """
    k1, k2 = (decision.per_expert(c)[..., None] for c in decision.experts.constants[1:3])
    p = decision.prompt[:, None, None]
    m = np.minimum(remaining(running), lengths[..., None]) - 1
    return (k1 * p + k2 * (m * p + m * (m + 1) // 2)) / _final_length(running)


def _arriving_lengths(decision: Decision, truth: bool) -> np.ndarray:
    batch = decision.experts.batch
    return batch.lengths[:, :, decision.index] if truth else decision.lengths


def _final_length(running: Running) -> np.ndarray:
    """The length each running request ends with: what is foreseen, or one more token than it has."""
    return np.where(running.here, np.maximum(running.length, running.emitted + 1), 1)
