"""The metrics of a run. The paper's outcomes are average QoS and efficiency; the definitions are ours.

A request that is dropped, or late, counts 0 in the average over all arrivals.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from .episodes import Outcome

LENGTH_EDGES = (60, 90, 150)  # tokens, between the groups of response lengths
LENGTH_GROUPS = ("up to 60", "60 to 90", "90 to 150", "over 150")


def column_of(group: str) -> str:
    """The metric that holds the dropped share of a group of response lengths."""
    return f"dropped_{group.replace(' ', '_')}"


METRICS = (
    "qos",
    "qos_per_busy_second",
    "late",
    "dropped",
    "score",
    "latency",
    "latency_p95",
    "first_token",
    "first_token_p95",
    "token_time",
    "token_time_p95",
    "utilisation",
    "evictions",
    *map(column_of, LENGTH_GROUPS),
)


def served(outcome: Outcome) -> np.ndarray:
    """Requests that were not dropped, bool (B, T)."""
    return outcome.actions < outcome.system.N


def of_action(outcome: Outcome, values: np.ndarray) -> np.ndarray:
    """Values (B, N, T) at the expert that served, (B, T); arbitrary where a request was dropped."""
    expert = np.where(served(outcome), outcome.actions, 0)
    return np.take_along_axis(values, expert[:, None, :], axis=1)[:, 0]


def latency(outcome: Outcome) -> np.ndarray:
    """Seconds per generated token from arrival to the last token, (B, T); NaN where dropped."""
    return (outcome.finish - outcome.batch.arrivals) / of_action(outcome, outcome.batch.lengths)


def qos(outcome: Outcome) -> np.ndarray:
    """Each request's QoS, (B, T): its score if its latency is below L, else 0."""
    met = latency(outcome) < outcome.system.limit  # False for the NaN of a dropped request
    return np.where(met, of_action(outcome, outcome.batch.scores), 0.0)


def token_time(outcome: Outcome) -> np.ndarray:
    """Seconds per token after the first, (B, T); NaN for a dropped request or a single token."""
    later = of_action(outcome, outcome.batch.lengths) - 1.0
    return (outcome.finish - outcome.first) / np.where(later > 0.0, later, np.nan)


def measure(outcome: Outcome) -> pd.DataFrame:
    """The metrics of each environment, a row each; the columns are :data:`METRICS`.

    Rates are shares of all arrivals; score, latencies (seconds per token), times to first token (s)
    and times per later token (s) are over served requests, NaN if there is none. `evictions` is per
    arrival, `utilisation` the busy share of the time until the last token.
    """
    kept, paid = served(outcome), qos(outcome)
    late = kept & ~(latency(outcome) < outcome.system.limit)
    busy = outcome.busy.sum(axis=1)
    T = kept.shape[1]
    span = np.fmax(np.fmax.reduce(outcome.finish, axis=1), outcome.batch.arrivals[:, -1])
    columns = {
        "qos": paid.mean(axis=1),
        "qos_per_busy_second": paid.sum(axis=1) / np.where(busy > 0.0, busy, np.nan),
        "late": late.mean(axis=1),
        "dropped": (~kept).mean(axis=1),
        "score": _over_served(of_action(outcome, outcome.batch.scores), kept, None),
    }
    waits = {
        "latency": latency(outcome),
        "first_token": outcome.first - outcome.batch.arrivals,
        "token_time": token_time(outcome),
    }
    for name, values in waits.items():
        columns[name] = _over_served(values, kept, None)
        columns[f"{name}_p95"] = _over_served(values, kept, 95.0)
    columns["utilisation"] = busy / (outcome.system.N * span)
    columns["evictions"] = outcome.evictions.sum(axis=1) / T
    columns |= _dropped_by_length(outcome, kept)
    return pd.DataFrame(columns)[list(METRICS)]


def _over_served(values: np.ndarray, kept: np.ndarray, percentile: float | None) -> np.ndarray:
    """Mean or percentile of each environment's served requests, (B,)."""
    rows = (v[k & np.isfinite(v)] for v, k in zip(values, kept, strict=True))
    reduce = np.mean if percentile is None else lambda v: np.percentile(v, percentile)
    return np.array([reduce(v) if v.size else np.nan for v in rows])


def _dropped_by_length(outcome: Outcome, kept: np.ndarray) -> dict[str, np.ndarray]:
    """The dropped share of each group of requests, by mean response length over the experts."""
    group = np.digitize(outcome.batch.lengths.mean(axis=1), LENGTH_EDGES)
    shares = {}
    for number, name in enumerate(LENGTH_GROUPS):
        inside = group == number
        count = np.where(inside.any(axis=1), inside.sum(axis=1), np.nan)
        shares[column_of(name)] = (inside & ~kept).sum(axis=1) / count
    return shares
