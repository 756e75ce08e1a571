"""E2 by exact recursion: is serving the largest departure rate first optimal for every horizon?

The state is how many queries of each type wait. With ``V_0 = Q``, the expected terminal queue with
h rounds to go is ``V_h = min over decisions of E[V_{h-1}]``, the decisions being every waiting type
and idling. Arrays hold V for all states at once and shrink by one arrival per round.
"""

from __future__ import annotations

import numpy as np


def terminal_queue_gap(
    rates: np.ndarray,
    arrival_rate: float,
    shares: np.ndarray,
    horizon: int,
    most: int = 2,
    order: np.ndarray | None = None,
) -> float:
    """Largest excess of a fixed order's expected terminal queue over the optimum.

    The maximum is over all horizons up to `horizon` and all starts of 0 to `most` queries of each
    type: 27 starts for three types and most = 2.

    Parameters
    ----------
    rates : (m,) departure rate of each type. shares : (m,) probabilities of an arrival's type.
    order : (m,) types in the order of service; by default the largest departure rate first.

    Returns
    -------
    Queries; 0 (to rounding) where the order is optimal.
    """
    types = rates.size
    order = np.argsort(-rates) if order is None else order
    side = most + horizon + 1
    total = np.indices((side,) * types).sum(axis=0).astype(float)
    optimal = followed = total
    starts = (slice(0, most + 1),) * types
    worst = 0.0
    for _ in range(horizon):
        values = [_after_arrival(v, arrival_rate, shares) for v in (optimal, followed)]
        options = [_served(values[0], i, rates[i]) for i in range(types)]
        optimal = np.minimum.reduce([values[0], *options])
        followed = _by_order(values[1], rates, order)
        worst = max(worst, float(np.max(followed[starts] - optimal[starts])))
    return worst


def _after_arrival(value: np.ndarray, arrival_rate: float, shares: np.ndarray) -> np.ndarray:
    """Expected value once the round's arrival is admitted; every axis one shorter."""
    inner = (slice(0, -1),) * value.ndim
    result = (1.0 - arrival_rate) * value[inner]
    for i, share in enumerate(shares):
        shifted = tuple(slice(1, None) if k == i else slice(0, -1) for k in range(value.ndim))
        result = result + arrival_rate * share * value[shifted]
    return result


def _served(value: np.ndarray, i: int, rate: float) -> np.ndarray:
    """Expected value when type i is served; infinite where none of it waits."""
    result = np.full(value.shape, np.inf)
    some = tuple(slice(1, None) if k == i else slice(None) for k in range(value.ndim))
    one_less = tuple(slice(0, -1) if k == i else slice(None) for k in range(value.ndim))
    result[some] = rate * value[one_less] + (1.0 - rate) * value[some]
    return result


def _by_order(value: np.ndarray, rates: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Expected value when the first type of `order` that waits is served."""
    result = value.copy()
    counts = np.indices(value.shape)
    for i in order[::-1]:
        result = np.where(counts[i] > 0, _served(value, int(i), float(rates[i])), result)
    return result
