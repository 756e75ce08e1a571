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

from typing import NamedTuple

import numpy as np

from .forecast import Frozen, frozen, overshoot, own_latency
from .policies import soft_gain, toll
from .simulator import Decision, Requests

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
    experts, seen = decision.experts, frozen(decision)
    limit = experts.system.limit
    states = (
        experts.per_expert(experts.context) * experts.costs[2] / limit,
        experts.per_expert(experts.running) / 10.0,
        experts.per_expert(experts.waiting) / 10.0,
        overshoot(decision) / limit,
    )
    return Observation(
        _arrived(decision, seen),
        np.stack(states, axis=-1),
        *_shown(decision, seen.running, seen.final, seen.added),
        *_shown(decision, experts.waiting_requests(SHOWN, truth=False)),
        np.stack([_rate(decision, gaps) / 10.0 for gaps in RECENT], axis=-1),
    )


def _arrived(decision: Decision, seen: Frozen) -> np.ndarray:
    """Features of the arriving request at each expert, (B, N, 9)."""
    limit = decision.experts.system.limit
    pooled = np.exp(np.log(decision.lengths).mean(axis=1, keepdims=True))
    late = seen.running.here & (seen.final < limit) & (seen.final + seen.added >= limit)
    columns = (
        decision.prompt[:, None] / PROMPT,
        decision.scores,
        decision.lengths / LENGTH,
        pooled / LENGTH,
        np.minimum(own_latency(decision) / limit, FAR_LATE),
        np.minimum(seen.own / limit, FAR_LATE),
        np.where(late, seen.running.score, 0.0).sum(axis=-1),
        soft_gain(decision, seen),
        toll(decision),
    )
    return np.stack(np.broadcast_arrays(*columns), axis=-1)


def _shown(
    decision: Decision, requests: Requests, *ahead: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Features (B, N, SHOWN, 6 + ...) of the first requests at each expert, 0 where there is none.

    Parameters
    ----------
    ahead : (B, N, S) further latencies of the requests.

    Returns
    -------
    The features, and the mask (B, N, SHOWN).
    """
    experts = decision.experts
    limit, first = experts.system.limit, Requests(*(part[:, :, :SHOWN] for part in requests))
    environment = np.arange(len(decision.time))[:, None, None]
    lengths = experts.batch.predicted_lengths[environment, :, np.maximum(first.number, 0)]
    waited = experts.per_expert(experts.clock)[..., None] - first.arrival
    so_far = np.where(first.emitted > 0, waited / np.maximum(first.emitted, 1), 0.0)
    columns = (
        first.prompt / PROMPT,
        first.score,
        first.length / LENGTH,
        np.exp(np.log(lengths).mean(axis=-1)) / LENGTH,
        first.emitted / LENGTH,
        *(np.minimum(x[:, :, :SHOWN] / limit, FAR_LATE) for x in (so_far, *ahead)),
    )
    features = np.zeros((*first.here.shape[:2], SHOWN, len(columns)))
    features[:, :, : first.here.shape[2]] = np.stack(columns, axis=-1)
    mask = np.zeros(features.shape[:3], bool)
    mask[:, :, : first.here.shape[2]] = first.here
    return np.where(mask[..., None], features, 0.0), mask


def _rate(decision: Decision, recent: int) -> np.ndarray:
    """Arrivals per second over the last `recent` gaps, (B,); 0 at the first request."""
    times, k = decision.experts.batch.arrivals, decision.index
    first = max(0, k - recent)
    span = times[:, k] - times[:, first]
    return (k - first) / np.maximum(span, (k - first) / FASTEST or 1.0)
