"""A decision as arrays of fixed shape, normalised, for a policy that learns.

The nodes of the system's graph (arXiv 2508.00234): the arriving request at each expert, the experts, and
the first requests that run and wait there. Lengths and prompts are divided by typical ones, latencies
by L, and tokens in memory by those at which a decode iteration alone takes L. Only predictions are
shown. Nothing depends on the order of the experts but their places on axis 1.

Beyond the published features it shows forecasts for the frozen system: of each running request the final
latency and what the arriving one would add to it, and of each expert the impact, the soft gain and the
toll that the priced rollout weighs. A length is also shown pooled, as the geometric mean of the
predictions for all experts: their errors are independent, the request's own length is not.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .forecast import delays, final_latency, frozen_own_latency, overshoot, own_latency
from .policies import soft_gain, toll
from .simulator import Decision, Running

PROMPT, LENGTH = 100.0, 150.0  # tokens
SHOWN = 10  # running and waiting requests of each expert
FAR_LATE = 10.0  # latencies above this multiple of L look alike
RECENT = (20, 100)  # gaps over which the rate of arrivals is taken
FASTEST = 20.0  # arrivals per second: a rate taken from a few gaps may be far above


class Observation(NamedTuple):
    """B decisions as arrays, float64; a request's features are 0 where `mask` is.

    arrived : (B, N, 9): prompt, predicted score, predicted length, pooled length, quick and frozen
        forecast of its own latency, impact, soft gain, toll (seconds).
    experts : (B, N, 4): tokens in memory, requests that run, that wait (in tens), overshoot.
    running : (B, N, SHOWN, 8), waiting : (B, N, SHOWN, 6): prompt, predicted score, predicted length,
        pooled length, tokens emitted, latency per token so far; of those that run, final latency
        in the frozen system and what the arriving request adds to it.
    running_mask, waiting_mask : (B, N, SHOWN) bool. rate : (B, 2) arrivals per second over the last
        20 and 100 gaps, in tens.
    """

    arrived: np.ndarray
    experts: np.ndarray
    running: np.ndarray
    running_mask: np.ndarray
    waiting: np.ndarray
    waiting_mask: np.ndarray
    rate: np.ndarray


def observe(decision: Decision) -> Observation:
    """The observation of a decision."""
    running, running_mask = _requests(decision, _running_slots(decision))
    waiting, waiting_mask = _requests(decision, _waiting_slots(decision))
    now = decision.experts.running_requests(truth=False)
    final = final_latency(decision, now)
    added = delays(decision, now, decision.lengths)
    return Observation(
        _arrived(decision, now, final, added),
        _experts(decision),
        np.concatenate((running, _forecasts(decision, now, final, added)), axis=-1),
        running_mask,
        waiting,
        waiting_mask,
        np.stack([_rate(decision, gaps) / 10.0 for gaps in RECENT], axis=-1),
    )


def _arrived(decision: Decision, now: Running, final: np.ndarray, added: np.ndarray) -> np.ndarray:
    """Features of the arriving request at each expert, (B, N, 9)."""
    limit = decision.experts.system.limit
    prompt = np.broadcast_to(decision.prompt[:, None], decision.scores.shape)
    pooled = np.exp(np.log(decision.lengths).mean(axis=1, keepdims=True))
    own = frozen_own_latency(decision, now)
    late = now.here & (final < limit) & (final + added >= limit)
    columns = (
        prompt / PROMPT,
        decision.scores,
        decision.lengths / LENGTH,
        np.broadcast_to(pooled / LENGTH, prompt.shape),
        np.minimum(own_latency(decision) / limit, FAR_LATE),
        np.minimum(own / limit, FAR_LATE),
        np.where(late, now.score, 0.0).sum(axis=-1),
        soft_gain(decision, now, own, final, added),
        toll(decision),
    )
    return np.stack(columns, axis=-1)


def _experts(decision: Decision) -> np.ndarray:
    """Features of the experts, (B, N, 4)."""
    experts = decision.experts
    limit, k2 = experts.system.limit, decision.per_expert(experts.constants.k2)
    columns = (
        decision.per_expert(experts.context) * k2 / limit,
        decision.per_expert(experts.running) / 10.0,
        decision.per_expert(experts.waiting) / 10.0,
        overshoot(decision) / limit,
    )
    return np.stack(columns, axis=-1)


def _forecasts(
    decision: Decision, now: Running, final: np.ndarray, added: np.ndarray
) -> np.ndarray:
    """Final latencies of the first running requests and what is added to them, (B, N, SHOWN, 2)."""
    both = np.stack((final, added), axis=-1) / decision.experts.system.limit
    both = np.where(now.here[..., None], np.minimum(both, FAR_LATE), 0.0)[:, :, :SHOWN]
    return np.pad(both, ((0, 0), (0, 0), (0, SHOWN - both.shape[2]), (0, 0)))


def _running_slots(decision: Decision) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the oldest running requests, and the tokens they emitted: (R, SHOWN), -1 for none."""
    experts = decision.experts
    number, row = experts.request[:, :SHOWN], np.arange(experts.clock.size)[:, None]
    length = experts.batch.lengths[row // experts.N, row % experts.N, np.maximum(number, 0)]
    left = experts.end[:, :SHOWN] - experts.iteration[:, None]
    return number, np.where(number >= 0, length - left, 0)


def _waiting_slots(decision: Decision) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the first waiting requests, and tokens that evicted ones had emitted: (R, SHOWN)."""
    experts = decision.experts
    number = experts.waiting_requests(SHOWN)
    environment = np.arange(experts.clock.size)[:, None] // experts.N
    emitted = experts.emitted[environment, np.maximum(number, 0)]
    return number, np.where(number >= 0, emitted, 0)


def _requests(
    decision: Decision, slots: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Features (B, N, SHOWN, 6) and mask of requests by number and tokens emitted, (R, SHOWN) each."""
    experts, (number, emitted) = decision.experts, slots
    batch, N = experts.batch, experts.N
    row, slot = np.nonzero(number >= 0)
    environment, expert, request = row // N, row % N, number[row, slot]
    tokens = emitted[row, slot]
    waited = experts.clock[row] - batch.arrivals[environment, request]
    late = np.where(tokens > 0, waited / np.maximum(tokens, 1) / experts.system.limit, 0.0)
    pooled = np.exp(np.log(batch.predicted_lengths[environment, :, request]).mean(axis=1))
    features = np.zeros((*number.shape, 6))
    features[row, slot] = np.stack(
        (
            batch.prompts[environment, request] / PROMPT,
            batch.predicted_scores[environment, expert, request],
            batch.predicted_lengths[environment, expert, request] / LENGTH,
            pooled / LENGTH,
            tokens / LENGTH,
            np.minimum(late, FAR_LATE),
        ),
        axis=-1,
    )
    shape = (-1, N, SHOWN)
    return features.reshape(*shape, 6), (number >= 0).reshape(shape)


def _rate(decision: Decision, recent: int) -> np.ndarray:
    """Arrivals per second over the last `recent` gaps, (B,); 0 at the first request."""
    times, k = decision.experts.batch.arrivals, decision.index
    first = max(0, k - recent)
    span = times[:, k] - times[:, first]
    return (k - first) / np.maximum(span, (k - first) / FASTEST or 1.0)
