"""Episodes: decisions one by one, their rewards, and the metrics of the outcome (arXiv 2508.00234).

The reward of a decision is the QoS of the requests that finish before the next one, less `beta` times
the decision's impact (:func:`.forecast.impact`). The last decision is also paid for all requests that
are still to finish: with beta = 0 an episode's rewards add up to requests x average QoS.

The paper's outcomes are average QoS and efficiency; the definitions are ours. A request that is
dropped, or late, counts 0 in the average over all arrivals.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import pandas as pd

from .forecast import true_impacts
from .simulator import Decision, Experts, Policy
from .system import System
from .workloads import Batch

LENGTH_EDGES = (60, 90, 150)  # tokens, between the groups of response lengths
LENGTH_GROUPS = ("up to 60", "60 to 90", "90 to 150", "over 150")
DROPPED = {f"dropped_{group.replace(' ', '_')}": group for group in LENGTH_GROUPS}


class InvalidAction(ValueError):
    """The action of a policy is neither an expert nor N, the drop."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """The outcome of T requests in B environments.

    Attributes
    ----------
    actions : (B, T) int64. first, finish : (B, T) seconds of first and last token, NaN if dropped.
    busy : (B, N) seconds. evictions, peak : (B, N) requests evicted, most tokens in memory.
    reward : (B,) the sum of all rewards.
    """

    batch: Batch
    system: System
    actions: np.ndarray
    first: np.ndarray
    finish: np.ndarray
    busy: np.ndarray
    evictions: np.ndarray
    peak: np.ndarray
    reward: np.ndarray

    @property
    def served(self) -> np.ndarray:
        """Requests that were not dropped, bool (B, T)."""
        return self.actions < self.system.N

    @cached_property
    def latency(self) -> np.ndarray:
        """Seconds per generated token from arrival to the last token, (B, T); NaN where dropped."""
        return (self.finish - self.batch.arrivals) / self.of_action(self.batch.lengths)

    @cached_property
    def qos(self) -> np.ndarray:
        """Each request's QoS, (B, T): its score if its latency is below L, else 0."""
        met = self.latency < self.system.limit  # False for the NaN of a dropped request
        return np.where(met, self.of_action(self.batch.scores), 0.0)

    def of_action(self, values: np.ndarray) -> np.ndarray:
        """Values (B, N, T) at the expert that served, (B, T); arbitrary where a request was dropped."""
        expert = np.where(self.served, self.actions, 0)
        return np.take_along_axis(values, expert[:, None, :], axis=1)[:, 0]


class Episodes:
    """B episodes in lock-step, one for each workload of a batch.

    Parameters
    ----------
    beta : weight of the impact, which is taken with true scores and lengths, as in training.

    Raises
    ------
    RequestNeverFits
        An expert's memory is too small for one of the requests.
    """

    def __init__(self, batch: Batch, system: System, beta: float = 0.0) -> None:
        if not beta >= 0.0:
            raise ValueError(f"beta: found {beta}, expected at least 0")
        B, _, T = batch.lengths.shape
        self.batch, self.system, self.beta = batch, system, beta
        self.experts = Experts(batch, system)
        self.actions, self.rewards, self.index = np.full((B, T), -1), np.zeros(B), 0
        self.experts.advance(batch.arrivals[:, 0])
        self.decision: Decision | None = self.experts.decision(0)

    def step(self, actions: np.ndarray) -> tuple[Decision | None, np.ndarray]:
        """Take actions (B,); returns the next decision, None after the last one, and rewards (B,).

        Raises
        ------
        InvalidAction
            An action is not a whole number from 0 to N, or there is not one for each environment.
        """
        actions = self._checked(actions)
        B, _, T = self.batch.lengths.shape
        impact = true_impacts(self.decision, self.beta)[np.arange(B), actions]
        before = self.experts.earned.copy()
        self.actions[:, self.index] = actions
        self.experts.add(self.index, actions)
        self.index += 1
        last = self.index == T
        self.experts.advance(np.full(B, np.inf) if last else self.batch.arrivals[:, self.index])
        reward = self.experts.earned - before - impact
        self.rewards += reward
        self.decision = None if last else self.experts.decision(self.index)
        return self.decision, reward

    def outcome(self) -> Outcome:
        """The outcome of the requests so far."""
        experts = self.experts
        rows = map(experts.per_expert, (experts.busy, experts.evictions, experts.peak))
        times = experts.first, experts.finish
        return Outcome(self.batch, self.system, self.actions, *times, *rows, self.rewards)

    def _checked(self, actions: np.ndarray) -> np.ndarray:
        B, N, _ = self.batch.lengths.shape
        found = np.asarray(actions)
        if found.shape != (B,) or found.dtype.kind not in "iu":
            raise InvalidAction(
                f"request {self.index}: found {found.dtype} actions of shape {found.shape}, expected "
                f"whole numbers of shape {(B,)}"
            )
        if (wrong := (found < 0) | (found > N)).any():
            place = int(wrong.argmax())
            raise InvalidAction(
                f"environment {place}, request {self.index}: found action {found[place]}, expected "
                f"an expert 0 to {N - 1}, or {N} to drop the request"
            )
        return found.astype(np.int64)


def serve(batch: Batch, system: System, policy: Policy, beta: float = 0.0) -> Outcome:
    """The outcome of a policy's episodes, from the first request to the last token."""
    episodes = Episodes(batch, system, beta)
    while episodes.decision is not None:
        episodes.step(policy(episodes.decision))
    return episodes.outcome()


def measure(outcome: Outcome) -> pd.DataFrame:
    """The metrics of each environment, a row each.

    Rates are shares of all arrivals; score, latencies (seconds per token), times to first token (s)
    and times per later token (s) are over served requests, NaN if there is none. `evictions` is per
    arrival, `utilisation` the busy share of the time until the last token. Requests are grouped by
    their mean response length over the experts.
    """
    batch, served = outcome.batch, outcome.served
    busy = outcome.busy.sum(axis=1)
    span = np.fmax(np.fmax.reduce(outcome.finish, axis=1), batch.arrivals[:, -1])
    later = outcome.of_action(batch.lengths) - 1.0
    columns = {
        "qos": outcome.qos.mean(axis=1),
        "qos_per_busy_second": outcome.qos.sum(axis=1) / np.where(busy > 0.0, busy, np.nan),
        "late": (served & ~(outcome.latency < outcome.system.limit)).mean(axis=1),
        "dropped": (~served).mean(axis=1),
        "score": _over_served(outcome.of_action(batch.scores), served, np.mean),
    }
    waits = {
        "latency": outcome.latency,
        "first_token": outcome.first - batch.arrivals,
        "token_time": (outcome.finish - outcome.first) / np.where(later > 0.0, later, np.nan),
    }
    for name, values in waits.items():
        columns[name] = _over_served(values, served, np.mean)
        columns[f"{name}_p95"] = _over_served(values, served, partial(np.percentile, q=95.0))
    columns["utilisation"] = busy / (outcome.system.N * span)
    columns["evictions"] = outcome.evictions.sum(axis=1) / batch.T
    group = np.digitize(batch.lengths.mean(axis=1), LENGTH_EDGES)
    for number, name in enumerate(DROPPED):
        inside = group == number
        count = np.where(inside.any(axis=1), inside.sum(axis=1), np.nan)
        columns[name] = (inside & ~served).sum(axis=1) / count
    return pd.DataFrame(columns)


def _over_served(
    values: np.ndarray, served: np.ndarray, reduce: Callable[[np.ndarray], float]
) -> np.ndarray:
    """Mean or another summary of each environment's served requests, (B,)."""
    rows = (v[s & np.isfinite(v)] for v, s in zip(values, served, strict=True))
    return np.array([reduce(v) if v.size else np.nan for v in rows])
