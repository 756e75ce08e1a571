"""A decision as arrays of fixed shape, normalised, for a policy that learns.

The nodes of the system's graph (arXiv 2508.00234): the arriving request at each expert, the experts, and
the first requests that run and wait there. Lengths and prompts are divided by typical ones, latencies
by L, and tokens in memory by those at which a decode iteration alone takes L. Only predictions are
shown. Nothing depends on the order of the experts but their places on axis 1.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .decision import Decision
from .forecast import overshoot, own_latency

PROMPT, LENGTH = 100.0, 150.0  # tokens
SHOWN = 10  # running and waiting requests of each expert
FAR_LATE = 10.0  # latencies above this multiple of L look alike


class Observation(NamedTuple):
    """What B decisions look like, float64; a request's features are 0 where `mask` is.

    arrived : (B, N, 4): prompt, predicted score, predicted length, forecast of its own latency.
    experts : (B, N, 4): tokens in memory, requests that run, that wait (in tens), overshoot.
    running, waiting : (B, N, SHOWN, 5): prompt, predicted score, predicted length, tokens emitted,
        latency per token so far.
    running_mask, waiting_mask : (B, N, SHOWN) bool. rate : (B,) recent arrivals per second, in tens.
    """

    arrived: np.ndarray
    experts: np.ndarray
    running: np.ndarray
    running_mask: np.ndarray
    waiting: np.ndarray
    waiting_mask: np.ndarray
    rate: np.ndarray


def observe(decision: Decision, recent: int = 20) -> Observation:
    """The observation of a decision; `recent` is over how many gaps the rate of arrivals is taken."""
    experts = decision.experts
    B, N, _ = experts.batch.shape
    limit = experts.system.limit
    k2 = decision.per_expert(experts.constants.k2)
    prompt = np.broadcast_to(decision.prompt[:, None] / PROMPT, (B, N))
    latency = np.minimum(own_latency(decision) / limit, FAR_LATE)
    arrived = (prompt, decision.scores, decision.lengths / LENGTH, latency)
    state = (
        decision.per_expert(experts.context) * k2 / limit,
        decision.per_expert(experts.running) / 10.0,
        decision.per_expert(experts.waiting) / 10.0,
        overshoot(decision) / limit,
    )
    running, running_mask = _requests(decision, _running_slots(decision))
    waiting, waiting_mask = _requests(decision, _waiting_slots(decision))
    return Observation(
        np.stack(arrived, axis=-1),
        np.stack(state, axis=-1),
        running,
        running_mask,
        waiting,
        waiting_mask,
        _rate(decision, recent) / 10.0,
    )


def _running_slots(decision: Decision) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the oldest running requests, and the tokens they emitted: (R, SHOWN), -1 for none."""
    experts = decision.experts
    width = min(SHOWN, experts.request.shape[1])
    number, left = (np.full((experts.clock.size, SHOWN), fill) for fill in (-1, 0))
    number[:, :width] = experts.request[:, :width]
    left[:, :width] = experts.end[:, :width] - experts.iteration[:, None]
    row, slot = np.nonzero(number >= 0)
    N = experts.N
    emitted = np.zeros_like(number)
    length = experts.batch.lengths[row // N, row % N, number[row, slot]]
    emitted[row, slot] = length - left[row, slot]
    return number, emitted


def _waiting_slots(decision: Decision) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the first waiting requests, and tokens that evicted ones had emitted: (R, SHOWN)."""
    experts = decision.experts
    place = experts.head[:, None] + np.arange(SHOWN)
    inside = place < experts.tail[:, None]
    rows = np.arange(experts.clock.size)[:, None]
    number = np.where(inside, experts.queue[rows, np.where(inside, place, 0)], -1)
    emitted = experts.emitted[rows // experts.N, np.maximum(number, 0)]
    return number, np.where(inside, emitted, 0)


def _requests(
    decision: Decision, slots: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Features (B, N, SHOWN, 5) and mask of requests by number and tokens emitted, (R, SHOWN) each."""
    experts, (number, emitted) = decision.experts, slots
    batch, N = experts.batch, experts.N
    row, slot = np.nonzero(number >= 0)
    environment, expert, request = row // N, row % N, number[row, slot]
    tokens = emitted[row, slot]
    waited = experts.clock[row] - batch.arrivals[environment, request]
    late = np.where(tokens > 0, waited / np.maximum(tokens, 1) / experts.system.limit, 0.0)
    features = np.zeros((*number.shape, 5))
    features[row, slot] = np.stack(
        (
            batch.prompts[environment, request] / PROMPT,
            batch.predicted_scores[environment, expert, request],
            batch.predicted_lengths[environment, expert, request] / LENGTH,
            tokens / LENGTH,
            np.minimum(late, FAR_LATE),
        ),
        axis=-1,
    )
    shape = (-1, N, SHOWN)
    return features.reshape(*shape, 5), (number >= 0).reshape(shape)


def _rate(decision: Decision, recent: int) -> np.ndarray:
    """Arrivals per second over the last `recent` gaps, (B,); 0 at the first request."""
    times, k = decision.experts.batch.arrivals, decision.index
    first = max(0, k - recent)
    span = times[:, k] - times[:, first]
    return np.where(span > 0.0, (k - first) / np.where(span > 0.0, span, 1.0), 0.0)
