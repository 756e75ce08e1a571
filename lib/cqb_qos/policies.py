"""Rules that route without learning; all but the first three read predictions.

The system's paper names baselines that were not open to us, so these rules are our own; "BR" is the
"BERT router" of the literature, which takes the highest predicted score. A *feasible* expert is
one at which the quick forecast of the request's own latency meets the limit. The priced rules charge a
request for the room that it takes, which the others leave out. Ties go to the lowest expert.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
from scipy.special import expit

from cqb.streams import Streams

from .forecast import Frozen, frozen, impact, own_latency, published_impact
from .simulator import Decision, Policy

SOFTNESS = 0.1  # width of the softened step at L, as a share of L


def random_router(seeds: tuple[int, ...], T: int) -> Policy:
    """A uniformly random expert; environment e follows the stream of the e-th seed."""
    uniforms = np.stack([Streams(s).uniforms("random router", T) for s in seeds])
    return lambda decision: (uniforms[:, decision.index] * decision.scores.shape[1]).astype(int)


def round_robin(decision: Decision) -> np.ndarray:
    """RR: the experts in turn."""
    B, N = decision.scores.shape
    return np.full(B, decision.index % N)


def shortest_queue(decision: Decision) -> np.ndarray:
    """SQF: the fewest requests, running and waiting."""
    experts = decision.experts
    return experts.per_expert(experts.running + experts.waiting).argmin(axis=1)


def highest_score(decision: Decision) -> np.ndarray:
    """BR: the highest predicted score, whatever the load."""
    return decision.scores.argmax(axis=1)


def feasible(decision: Decision) -> np.ndarray:
    """The highest predicted score among feasible experts; expert 0 if there is none."""
    return feasible_values(decision, decision.scores).argmax(axis=1)


def feasible_values(decision: Decision, values: np.ndarray) -> np.ndarray:
    """`values` (B, N) where the expert is feasible, else minus infinity."""
    meets = own_latency(decision) < decision.experts.system.limit
    return np.where(meets, values, -np.inf)


def best_or_drop(values: np.ndarray) -> np.ndarray:
    """The expert of the largest value (B, N), or the drop N where none is above 0."""
    return np.where(values.max(axis=1) > 0.0, values.argmax(axis=1), values.shape[1])


def greedy(
    decision: Decision, impact: Callable[..., np.ndarray] | None = None, price: float = 0.0
) -> np.ndarray:
    """The feasible expert of the largest score - impact - price x d / 100, or a drop if none is above 0.

    Without impact and price this is Feasible+drop, with impact Impact-greedy.

    Parameters
    ----------
    impact : estimates the impact at each expert, (B, N); None ignores it.
    price : QoS per 100 predicted tokens.
    """
    lost = impact(decision, truth=False) if impact else 0.0
    worth = decision.scores - lost - price * decision.lengths / 100.0
    return best_or_drop(feasible_values(decision, worth))


def rollout(decision: Decision, price: float = 0.0) -> np.ndarray:
    """Priced rollout: the predicted QoS of a frozen system with the request, less that without it.

    The step at L is softened to a logistic of (.9 L - l) / (.1 L), since predictions err. The price is
    taken per second of delay to whoever comes later: ``price x k2 (p + d/2) d``, and the request
    is dropped if no expert is worth more than its price.
    """
    return best_or_drop(soft_gain(decision, frozen(decision)) - price * toll(decision))


def soft_gain(decision: Decision, seen: Frozen) -> np.ndarray:
    """Predicted QoS of the arriving request at each expert less what running ones lose, (B, N)."""
    limit = decision.experts.system.limit
    lost = softly_met(seen.final, limit) - softly_met(seen.final + seen.added, limit)
    harm = np.where(seen.running.here, seen.running.score * lost, 0.0).sum(axis=-1)
    return decision.scores * softly_met(seen.own, limit) - harm


def toll(decision: Decision) -> np.ndarray:
    """Seconds of delay that the request causes to later ones, (B, N): ``k2 (p + d/2) d``."""
    p, d = decision.prompt[:, None], decision.lengths
    return decision.experts.costs[2] * (p + 0.5 * d) * d


def softly_met(latency: np.ndarray, limit: float) -> np.ndarray:
    """From 1 to 0 as latencies (seconds per token) pass the limit; 1/2 at nine tenths of it."""
    if np.isinf(limit):
        return np.ones_like(latency)
    return expit(((1.0 - SOFTNESS) * limit - latency) / (SOFTNESS * limit))


Maker = Callable[[tuple[int, ...], int, float], Policy]
"""From the environments' seeds, the number of requests and a price to a policy."""

POLICIES: dict[str, Maker] = {
    "RANDOM": lambda seeds, T, price: random_router(seeds, T),
    "RR": lambda seeds, T, price: round_robin,
    "SQF": lambda seeds, T, price: shortest_queue,
    "BR": lambda seeds, T, price: highest_score,
    "Feasible": lambda seeds, T, price: feasible,
    "Feasible+drop": lambda seeds, T, price: greedy,
    "Impact-greedy": lambda seeds, T, price: partial(greedy, impact=impact),
    "Impact-greedy-R": lambda seeds, T, price: partial(greedy, impact=published_impact),
    "Priced Feasible+drop": lambda seeds, T, price: partial(greedy, price=price),
    "Priced Impact-greedy": lambda seeds, T, price: partial(greedy, impact=impact, price=price),
    "Priced rollout": lambda seeds, T, price: partial(rollout, price=price),
}
