"""The bridge to ACQB: users who retry, served by a learner of retrials and by the rules that know QoS.

A user accepts an answer with a probability that grows with its utility: the score if it came in time, 0
if not; else the request comes back to the router the moment its answer is done. A retry keeps its
arrival time, so a request that is late once stays late. Users give up after a few answers. ACQB
(one model at a time, K = 1) is told the topic of a request and whether its user accepted, and
nothing of lengths, queues or latencies; it never drops.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np
import pandas as pd

from cqb.policies import LearnerSettings, Service
from cqb.policies.acqb import acqb
from cqb.simulate import RETRY, Waiting
from cqb.streams import Streams
from .decision import Decision, Policy
from .leap import duration
from .policies import POLICIES
from .simulator import Experts
from .synthetic import TOPICS, Load, topics, workload
from .system import System
from .workload import Batch, Workload

PATIENCE = 5  # answers that a user waits for, at most
LEAST, MOST = 0.1, 0.99  # chance that an answer of utility 0, or 1, is accepted
FIRST_ROUND = 2  # ACQB's coin of a round is tossed in the one before

MEANS = ("qos", "answers", "accepted", "dropped")  # what a comparison shows of a run

Told = Callable[[int, int, bool], None]
"""Tells a router that request k, answered by expert n, was accepted or not."""


@dataclass(frozen=True)
class Retrials:
    """What became of T requests whose users retry, (T,) each.

    Attributes
    ----------
    answers : int, how many were given. accepted, dropped : bool; neither: the user gave up.
    qos : the score of the accepted answer if it was in time, else 0.
    finish : seconds at which the last answer was done, NaN for a request without one.
    """

    answers: np.ndarray
    accepted: np.ndarray
    dropped: np.ndarray
    qos: np.ndarray
    finish: np.ndarray


def accepts(score: float, latency: float, limit: float) -> float:
    """The chance that a user accepts: linear in the utility, which is the score, or 0 if late."""
    return LEAST + (MOST - LEAST) * (score if latency < limit else 0.0)


class AcqbRouter:
    """ACQB as a router: each decision is a round in which one request waits.

    Rounds are counted by decisions, and an answer is learned from when it is done, which may be
    several rounds later.
    """

    def __init__(self, seed: int, T: int, N: int) -> None:
        streams = Streams(seed)
        rounds = T * PATIENCE + FIRST_ROUND
        service = Service(np.eye(TOPICS), N, 1, rounds, 1.0, LearnerSettings())
        self._topics, self._T = topics(T, streams).tolist(), T
        self._learner, self._round = acqb(service, streams), FIRST_ROUND

    def __call__(self, decision: Decision) -> np.ndarray:
        number = decision.index % self._T
        waiting = Waiting([number], [self._topics[number]], [number], decision.index < self._T)
        choice = self._learner.choose(self._round, waiting)
        self._round += 1
        return np.array([choice.assortment[0]])

    def told(self, number: int, expert: int, accepted: bool) -> None:
        """Learn from an answer."""
        pick = expert if accepted else RETRY
        self._learner.observe(self._round, number, self._topics[number], (expert,), pick)


@dataclass
class _Service:
    """One run: slot a T + k of the simulator is request k's attempt a."""

    one: Workload
    system: System
    policy: Policy
    told: Told | None
    uniforms: np.ndarray
    returns: list[tuple[float, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        fields = (
            "arrivals",
            "prompts",
            "lengths",
            "scores",
            "predicted_scores",
            "predicted_lengths",
        )
        tiled = (np.concatenate([getattr(self.one, f)] * PATIENCE, axis=-1)[None] for f in fields)
        self.batch = Batch(*tiled)
        self.experts = Experts(self.batch, self.system)
        T = self.one.T
        self.expert = np.full(T * PATIENCE, self.system.N)
        self.done = np.zeros(T * PATIENCE, bool)
        self.answers, self.qos = np.zeros(T, np.int64), np.zeros(T)
        self.accepted, self.dropped = np.zeros((2, T), bool)
        self.finish = np.full(T, np.nan)

    def run(self) -> Retrials:
        """Arrivals and returns in order of time, until nobody is left."""
        upcoming = self.one.arrivals.tolist()
        k = 0
        while True:
            arrival = upcoming[k] if k < self.one.T else np.inf
            back = self.returns[0][0] if self.returns else np.inf
            now = min(arrival, back, self._next_completion())
            if np.isinf(now):
                return Retrials(self.answers, self.accepted, self.dropped, self.qos, self.finish)
            self._advance(now)
            if arrival <= now:
                self._route(k, now)
                k += 1
            elif back <= now:
                self._judge(heapq.heappop(self.returns)[1], now)

    def _next_completion(self) -> float:
        """No request that is in hand completes before this time, in seconds."""
        experts = self.experts
        if not (rows := np.flatnonzero(experts.working)).size:
            return np.inf
        left = np.maximum(experts.next_end[rows] - experts.iteration[rows], 1)
        c0, k2 = experts.constants.c0[rows], experts.constants.k2[rows]
        busy = duration(left, experts.context[rows], experts.running[rows], c0, k2)
        # Where requests wait, a prefill may come first; the clock itself is a safe bound.
        alone = experts.waiting[rows] == 0
        clock = experts.clock[rows]
        return float(np.min(np.where(alone, clock + busy, np.nextafter(clock, np.inf))))

    def _advance(self, now: float) -> None:
        """Run the experts up to now and note what they completed."""
        self.experts.advance(np.array([now]))
        finished = np.flatnonzero(~np.isnan(self.experts.finish[0]) & ~self.done)
        self.done[finished] = True
        for slot in finished.tolist():
            heapq.heappush(self.returns, (float(self.experts.finish[0, slot]), slot))

    def _route(self, slot: int, now: float) -> None:
        """Ask the policy, which sees a retry as a request that arrived when it first did."""
        batch, experts = self.batch, self.experts
        decision = Decision(
            slot,
            batch.arrivals[:, slot],
            batch.prompts[:, slot],
            batch.predicted_scores[:, :, slot],
            batch.predicted_lengths[:, :, slot],
            experts,
        )
        action = int(self.policy(decision)[0])
        self.expert[slot] = action
        self.dropped[slot % self.one.T] = action == self.system.N
        idle = ~experts.working
        experts.clock[idle] = np.maximum(experts.clock[idle], now)
        experts.add(slot, np.array([action]))

    def _judge(self, slot: int, now: float) -> None:
        """The user accepts, gives up, or sends the request back."""
        attempt, k = divmod(slot, self.one.T)
        expert = int(self.expert[slot])
        latency = (now - self.one.arrivals[k]) / self.one.lengths[expert, k]
        score = float(self.one.scores[expert, k])
        accepted = bool(self.uniforms[k, attempt] < accepts(score, latency, self.system.limit))
        self.answers[k] += 1
        self.finish[k] = now
        self.accepted[k] = accepted
        if accepted and latency < self.system.limit:
            self.qos[k] = score
        if self.told:
            self.told(k, expert, accepted)
        if not accepted and attempt + 1 < PATIENCE:
            self._route(slot + self.one.T, now)


def retrials(
    one: Workload,
    system: System,
    policy: Policy,
    uniforms: np.ndarray,
    told: Told | None = None,
) -> Retrials:
    """Serve a workload whose users retry.

    Parameters
    ----------
    policy : sees a decision for each answer; its index is ``a T + k`` for request k's attempt a.
    uniforms : (T, PATIENCE) on [0, 1), what decides whether a user accepts an answer.
    told : hears of every answer when it is done.
    """
    return _Service(one, system, policy, told, uniforms).run()


def play(policy: str, price: float, load: Load, seed: int, T: int, system: System) -> Retrials:
    """T generated requests under "ACQB" or a rule of :data:`.policies.POLICIES`, with retries."""
    one = workload(load, seed, T, system.N)
    one.check_fits(system)
    uniforms = Streams(seed).uniforms("users", T * PATIENCE).reshape(T, PATIENCE)
    if policy == "ACQB":
        router = AcqbRouter(seed, T, system.N)
        return retrials(one, system, router, uniforms, router.told)
    return retrials(one, system, POLICIES[policy]((seed,), T * PATIENCE, price), uniforms)


def compare(
    prices: Mapping[str, float],
    loads: Sequence[Load],
    seeds: Sequence[int],
    T: int,
    system: System,
) -> pd.DataFrame:
    """Means over requests, a row per policy, load and seed, for policies by name with their prices.

    Columns: `qos`, `answers` per request, and the shares `accepted`, `dropped` and `gave_up`.
    """
    rows = []
    for load, (policy, price), seed in product(loads, prices.items(), seeds):
        run = play(policy, price, load, seed, T, system)
        means = {name: getattr(run, name).mean() for name in MEANS}
        gave_up = (~run.accepted & ~run.dropped).mean()
        rows.append(
            {"policy": policy, "load": str(load), "seed": seed, **means, "gave_up": gave_up}
        )
    return pd.DataFrame(rows)
