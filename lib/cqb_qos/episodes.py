"""Episodes: decisions one by one, their actions and their rewards (arXiv 2508.00234).

The reward of a decision is the QoS of the requests that finish before the next one, less `beta` times
the decision's impact (:func:`.forecast.impact`). The last decision is also paid for all requests that
are still to finish: with beta = 0 an episode's rewards add up to requests x average QoS.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .forecast import true_impacts
from .simulator import Decision, Experts, Policy
from .system import System
from .workload import Batch


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


class Episodes:
    """B episodes in lock-step, one for each workload of a batch.

    Parameters
    ----------
    batch : the workloads; each must have been checked to fit (:meth:`.Workload.check_fits`).
    beta : weight of the impact, which is taken with true scores and lengths, as in training.
    """

    def __init__(self, batch: Batch, system: System, beta: float = 0.0) -> None:
        if not beta >= 0.0:
            raise ValueError(f"beta: found {beta}, expected at least 0")
        self.batch, self.system, self.beta = batch, system, beta
        self.reset()

    def reset(self) -> Decision:
        """Start over; returns the first decision."""
        B, _, T = self.batch.shape
        self.experts = Experts(self.batch, self.system)
        self.actions, self.rewards = np.full((B, T), -1), np.zeros(B)
        self.index = 0
        self.experts.advance(self.batch.arrivals[:, 0])
        self.decision = self.experts.decision(0)
        return self.decision

    def step(self, actions: np.ndarray) -> tuple[Decision | None, np.ndarray]:
        """Take actions (B,); returns the next decision, None after the last one, and rewards (B,).

        Raises
        ------
        InvalidAction
            An action is not a whole number from 0 to N, or there is not one for each environment.
        """
        actions = self._checked(actions)
        B, _, T = self.batch.shape
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
        B, N, _ = self.batch.shape
        experts = self.experts
        rows = (r.reshape(B, N) for r in (experts.busy, experts.evictions, experts.peak))
        times = experts.first, experts.finish
        return Outcome(self.batch, self.system, self.actions, *times, *rows, self.rewards)

    def _checked(self, actions: np.ndarray) -> np.ndarray:
        B, N, _ = self.batch.shape
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
    decision: Decision | None = episodes.decision
    while decision is not None:
        decision, _ = episodes.step(policy(decision))
    return episodes.outcome()
