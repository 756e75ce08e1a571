"""Every action of a decision, simulated in parallel branches: for policies trained on a simulator.

In each of B episodes the request is dropped in one branch and sent to each expert in the others; all
branches meet the same next arrival. One of them is then followed, and the others start from it at the
next request. So the effect of an action is separated from the luck of the arrivals.

Rewards are changes of a :func:`potential`. A router that is paid when a request *finishes* learns little
about its decision seconds earlier. The potential is the QoS earned plus the QoS that all present
requests would earn in the frozen system. Its change is the value of a decision by itself, own QoS
less the harm to others, and the changes still add up to the QoS of all requests (Ng, Harada and
Russell, ICML 1999, on shaping by potentials). What is left to learn is the harm to later requests.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .forecast import finish_times, true_impacts
from .simulator import Decision, Experts
from .system import System
from .workload import Batch


class Tried(NamedTuple):
    """Results of all actions: the decision of all B (N + 1) branches, and rewards (B, N + 1)."""

    decision: Decision
    reward: np.ndarray


class Present(NamedTuple):
    """Requests that run or wait, by row, (R, S) each; those that wait as they are after a prefill.

    number : int64, -1 for an empty slot. left, held : int64 tokens to come, and in memory.
    """

    number: np.ndarray
    left: np.ndarray
    held: np.ndarray


def potential(experts: Experts) -> np.ndarray:
    """QoS earned so far and that of all present requests if nothing more arrives, (B,).

    Exact, with true lengths and scores, as long as memory and batch size do not bind: then all requests
    that wait at an expert are prefilled together, and none is evicted.
    """
    present = _present(experts)
    number = present.number
    c0, k1, k2 = (values[:, None] for values in experts.constants[:3])
    tokens = experts.waiting_tokens[:, None]
    start = experts.clock[:, None] + np.where(tokens > 0, c0 + k1 * tokens, 0.0)
    finish = finish_times(present.left, present.held, number >= 0, start, c0, k2)
    row, slot = np.nonzero(number >= 0)
    environment, expert, request = row // experts.N, row % experts.N, number[row, slot]
    length = experts.batch.lengths[environment, expert, request]
    waited = finish[row, slot] - experts.batch.arrivals[environment, request]
    met = waited / length < experts.system.limit
    paid = np.where(met, experts.batch.scores[environment, expert, request], 0.0)
    return experts.earned + np.bincount(environment, paid, minlength=len(experts.earned))


def work_left(experts: Experts) -> np.ndarray:
    """Seconds by which all present requests will delay others at their expert, (B,).

    A request with r tokens to come that holds c adds ``k2 (c + r / 2)`` to each of r iterations.
    """
    _, left, held = _present(experts)
    rows = experts.constants.k2 * (left * (held + 0.5 * left)).sum(axis=1)
    return rows.reshape(len(experts.earned), -1).sum(axis=1)


def _present(experts: Experts) -> Present:
    S = max(1, int(experts.running.max()))
    waiting = experts.waiting_requests(int(experts.waiting.max()))
    number = np.concatenate((experts.request[:, :S], waiting), axis=1)
    row, slot = np.nonzero(number >= 0)
    environment, expert, request = row // experts.N, row % experts.N, number[row, slot]
    length = experts.batch.lengths[environment, expert, request]
    running = np.minimum(slot, S - 1)
    left, held = np.zeros(number.shape, np.int64), np.zeros(number.shape, np.int64)
    left[row, slot] = np.where(
        slot < S,
        experts.end[row, running] - experts.iteration[row],
        length - experts.emitted[environment, request] - 1,
    )
    emitted = length - left[row, slot]
    held[row, slot] = experts.batch.prompts[environment, request] + emitted
    return Present(number, left, held)


class Branches:
    """B episodes of T - 1 decisions, each tried with all N + 1 actions.

    The reward of an action is the change of :func:`potential`, less beta times its true impact,
    and shaped once more by the potential ``- price x work left`` (:func:`work_left`): the delay to
    later requests is charged when it is caused and paid back as it passes.

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
        B, N, self._T = batch.shape
        self.actions, self.beta, self.price, self.gamma = N + 1, beta, price, gamma
        self._experts = Experts(Batch(*(np.repeat(a, N + 1, axis=0) for a in batch)), system)
        self._experts.advance(self._experts.batch.arrivals[:, 0])
        self._potential, self._work = np.zeros(B), np.zeros(B)
        self.index = 0

    @property
    def decision(self) -> Decision:
        """The current decision in all B (N + 1) branches: between steps those of an episode agree."""
        return self._experts.decision(self.index)

    @property
    def ended(self) -> bool:
        """There is no further arrival."""
        return self.index == self._T - 1

    def attempt(self) -> Tried:
        """Take every action and advance to the next arrival."""
        shape = self._potential.size, self.actions
        harm = true_impacts(self.decision, self.beta)[:: self.actions]
        self._experts.add(self.index, np.tile(np.arange(self.actions), shape[0]))
        self._after = potential(self._experts).reshape(shape)
        reward = self._after - self._potential[:, None] - harm
        self.index += 1
        self._experts.advance(self._experts.batch.arrivals[:, self.index])
        self._left = work_left(self._experts).reshape(shape)
        reward += self.price * (self._work[:, None] - self.gamma * self._left)
        return Tried(self.decision, reward)

    def follow(self, actions: np.ndarray) -> None:
        """Continue all branches from those of these actions, (B,)."""
        each, N = np.arange(self._potential.size), self.actions - 1
        source = np.repeat(each * self.actions + actions, self.actions)
        rows = (source[:, None] * N + np.arange(N)).ravel()
        for values in vars(self._experts).values():
            if isinstance(values, np.ndarray):
                values[:] = values[rows if len(values) == len(rows) else source]
        self._potential = self._after[each, actions]
        self._work = self._left[each, actions]
