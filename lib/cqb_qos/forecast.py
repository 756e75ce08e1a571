"""What would happen to running requests if nothing more arrived, and the quick forecasts of policies.

In a frozen system (no later arrivals, nobody waiting, memory that does not bind) an expert's requests
finish in order of their remaining tokens, so their finishing times follow from sorted sums.
"""

from __future__ import annotations

import numpy as np

from .decision import Decision
from .simulator import Running


def remaining(running: Running) -> np.ndarray:
    """Tokens still to come, (B, N, S) int64; empty slots have 0.

    At least 1: a request that outlives its prediction is expected to end next.
    """
    left = np.maximum(running.length, running.emitted + 1) - running.emitted
    return np.where(running.here, left, 0)


def held(running: Running) -> np.ndarray:
    """Tokens that each running request holds in memory, (B, N, S) int64; empty slots have 0."""
    return np.where(running.here, running.prompt + running.emitted, 0)


def frozen_finish(decision: Decision, running: Running) -> np.ndarray:
    """When each running request would finish in a frozen system, (B, N, S) seconds.

    With r tokens remaining and c in memory, a request adds c, c + 1, ... to the r decode iterations that
    it takes part in; request j waits for r_j of them, and for the shares that others add to those.
    Empty slots have arbitrary values.
    """
    r, c = remaining(running), held(running)
    order = np.argsort(np.where(running.here, r, np.iinfo(np.int64).max), axis=-1)
    r, c = np.take_along_axis(r, order, -1), np.take_along_axis(c, order, -1)
    triangle = r * (r - 1) // 2
    earlier = np.cumsum(r * c + triangle, axis=-1)
    younger = c.sum(axis=-1, keepdims=True) - np.cumsum(c, axis=-1)
    count = running.here.sum(axis=-1, keepdims=True) - 1 - np.arange(r.shape[-1])
    shares = earlier + r * younger + count * triangle
    constants = decision.experts.constants
    clock, c0, k2 = (
        decision.per_expert(values)[..., None]
        for values in (decision.experts.clock, constants.c0, constants.k2)
    )
    finish = np.empty(r.shape)
    np.put_along_axis(finish, order, clock + r * c0 + k2 * shares, -1)
    return finish


def overshoot(decision: Decision) -> np.ndarray:
    """How long each expert's iteration in progress still takes, (B, N) seconds."""
    ahead = decision.per_expert(decision.experts.clock) - decision.time[:, None]
    return np.maximum(ahead, 0.0)


def own_latency(decision: Decision) -> np.ndarray:
    """A quick forecast of the arriving request's latency at each expert, (B, N) seconds per token.

    As if all that is there now stayed for as long as the request does, with its predicted length:
    ``c0 + k2 (used + w + p + d/2) + (overshoot + k1 (p + w) + c0) / d``, w the tokens that wait.
    """
    experts, d = decision.experts, decision.lengths
    c0, k1, k2 = (decision.per_expert(c) for c in experts.constants[:3])
    waiting = decision.per_expert(experts.waiting_tokens) + decision.prompt[:, None]
    context = decision.per_expert(experts.context) + waiting
    start = overshoot(decision) + k1 * waiting + c0
    return c0 + k2 * (context + 0.5 * d) + start / d


def frozen_own_latency(decision: Decision, running: Running) -> np.ndarray:
    """The arriving request's latency at each expert in a frozen system, (B, N) seconds per token.

    Requests that wait are counted as if they were prefilled with it and stayed as long.
    """
    experts, d, p = decision.experts, decision.lengths, decision.prompt[:, None]
    c0, k1, k2 = (decision.per_expert(c) for c in experts.constants[:3])
    waiting = decision.per_expert(experts.waiting_tokens)
    steps = d - 1
    shared = np.minimum(remaining(running), steps[..., None])
    others = (shared * held(running) + shared * (shared - 1) // 2).sum(axis=-1)
    own = steps * (p + 1) + steps * (steps - 1) // 2
    decode = steps * c0 + k2 * (others + own + steps * waiting)
    return (overshoot(decision) + c0 + k1 * (p + waiting) + decode) / d
