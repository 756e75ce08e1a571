"""Every answer to a decision, tried side by side: for a policy that is trained on a simulator.

In each of B episodes the request is dropped in one branch and sent to each expert in the others; all
branches meet the same next arrival. One of them is then followed, and the others start from it at the
next request. What an action does can so be told from what would have happened anyway.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .decision import Decision
from .impact import impact
from .secured import secured, work_left
from .simulator import Experts
from .system import System
from .workload import Batch


class Tried(NamedTuple):
    """What each action led to: the decision of all B (N + 1) branches, and rewards (B, N + 1)."""

    decision: Decision
    reward: np.ndarray


class Branches:
    """B episodes of T - 1 decisions, each tried with all N + 1 actions.

    The reward of an action is the change of :func:`.secured.secured`, less beta times its true impact,
    and shaped once more by the potential ``- price x work left`` (:func:`.secured.work_left`): the
    delay to those who are yet to come is charged when it is caused and paid back as it passes.

    Parameters
    ----------
    batch : the workloads, of T requests; the last one only ends the episode. beta : at least 0.
    price : QoS per second of work left. gamma : the learner's discount of the next state.
    """

    def __init__(
        self,
        batch: Batch,
        system: System,
        beta: float = 0.0,
        price: float = 0.0,
        gamma: float = 1.0,
    ) -> None:
        if not beta >= 0.0:
            raise ValueError(f"beta: found {beta}, expected at least 0")
        B, N, _ = batch.shape
        self.actions, self.beta, self.price, self.gamma = N + 1, beta, price, gamma
        self._batch = Batch(
            *(np.repeat(getattr(batch, name), N + 1, axis=0) for name in Batch.__annotations__)
        )
        self._experts = Experts(self._batch, system)
        self._experts.advance(self._batch.arrivals[:, 0])
        self._secured, self._work = np.zeros(B), np.zeros(B)
        self.index = 0

    @property
    def decision(self) -> Decision:
        """The decision at hand, in all B (N + 1) branches: between steps those of an episode agree."""
        k, batch = self.index, self._batch
        return Decision(
            k,
            batch.arrivals[:, k],
            batch.prompts[:, k],
            batch.predicted_scores[:, :, k],
            batch.predicted_lengths[:, :, k],
            self._experts,
        )

    @property
    def ended(self) -> bool:
        """There is no further arrival."""
        return self.index == self._batch.arrivals.shape[1] - 1

    def attempt(self) -> Tried:
        """Take every action and go on to the next arrival."""
        B = self._secured.size
        harm = self._harm()
        self._experts.add(self.index, np.tile(np.arange(self.actions), B))
        after = secured(self._experts).reshape(B, self.actions)
        reward = after - self._secured[:, None] - self.beta * harm
        self.index += 1
        self._experts.advance(self._batch.arrivals[:, self.index])
        left = work_left(self._experts).reshape(B, self.actions)
        reward += self.price * (self._work[:, None] - self.gamma * left)
        self._after, self._left = after, left
        return Tried(self.decision, reward)

    def follow(self, actions: np.ndarray) -> None:
        """Go on from the branches of these actions, (B,)."""
        B, N = self._secured.size, self.actions - 1
        first = np.arange(B) * self.actions
        source = np.repeat(first + actions, self.actions)
        rows = (source[:, None] * N + np.arange(N)).ravel()
        for values in vars(self._experts).values():
            if isinstance(values, np.ndarray):
                values[:] = values[rows if len(values) == len(rows) else source]
        self._secured = self._after[np.arange(B), actions]
        self._work = self._left[np.arange(B), actions]

    def _harm(self) -> np.ndarray:
        """The true impact of every action, (B, N + 1); not computed, and 0, where it is not charged."""
        B, N = self._secured.size, self.actions - 1
        if self.beta == 0.0:
            return np.zeros((B, N + 1))
        harm = impact(self.decision, truth=True)[:: self.actions]
        return np.append(harm, np.zeros((B, 1)), axis=1)
