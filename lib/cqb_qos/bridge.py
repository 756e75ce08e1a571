"""The bridge to ACQB: users who retry, served by a learner of retrials and by the rules that know QoS.

A user accepts an answer with a probability that grows with its utility: the score if it came in time, 0
if not; else the request comes back to the router the moment its answer is done. A retry keeps its
arrival time, so a request that is late once remains late. Users give up after a few answers. ACQB
(one model at a time, K = 1) learns from the topic of a request and whether its user accepted; it
knows nothing of lengths, queues or latencies, and never drops.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence
from itertools import product

import numpy as np
import pandas as pd

from cqb.policies import LearnerSettings, Service
from cqb.policies.acqb import acqb
from cqb.simulate import RETRY, Waiting
from cqb.streams import Streams

from .policies import POLICIES
from .simulator import Decision, Experts, Policy
from .system import System, duration
from .workloads import TOPICS, Batch, Load, Workload, topics, workload

PATIENCE = 5  # answers that a user waits for, at most
LEAST, MOST = 0.1, 0.99  # chance that an answer of utility 0, or 1, is accepted
FIRST_ROUND = 2  # ACQB draws the coin of a round in the round before

Update = Callable[[int, int, bool], None]
"""Called with request k, the expert n that answered it, and whether the user accepted."""


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

    def update(self, number: int, expert: int, accepted: bool) -> None:
        """Learn from an answer."""
        pick = expert if accepted else RETRY
        self._learner.observe(self._round, number, self._topics[number], (expert,), pick)


class Retrials:
    """T requests whose users retry; slot a T + k of the simulator is request k's attempt a.

    Parameters
    ----------
    policy : sees a decision for each answer; its index is the slot.
    uniforms : (T, PATIENCE) on [0, 1), which decide whether a user accepts an answer.
    update : called for every answer when it is done.

    Attributes
    ----------
    answers : (T,) int, the number of answers. accepted, dropped : (T,) bool; neither: the user gave up.
    qos : (T,) the score of the accepted answer if it was in time, else 0.
    finish : (T,) seconds at which the last answer was done, NaN for a request without one.
    """

    def __init__(
        self,
        one: Workload,
        system: System,
        policy: Policy,
        uniforms: np.ndarray,
        update: Update = lambda number, expert, accepted: None,
    ) -> None:
        self.one, self.system, self.policy = one, system, policy
        self.uniforms, self.update = uniforms, update
        attempts = (np.tile(array, PATIENCE)[None] for array in vars(one).values())
        self.experts = Experts(Batch(*attempts), system)
        self.expert = np.full(one.T * PATIENCE, system.N)
        self.done = np.zeros(one.T * PATIENCE, bool)
        self.returns: list[tuple[float, int]] = []
        self.answers, self.qos = np.zeros(one.T, np.int64), np.zeros(one.T)
        self.accepted, self.dropped = np.zeros((2, one.T), bool)
        self.finish = np.full(one.T, np.nan)

    def serve(self) -> Retrials:
        """Serve arrivals and returns in order of time until no request is left; returns itself."""
        upcoming = [*self.one.arrivals.tolist(), np.inf]
        k = 0
        while True:
            back = self.returns[0][0] if self.returns else np.inf
            now = min(upcoming[k], back, self._next_completion())
            if np.isinf(now):
                return self
            self._advance(now)
            if upcoming[k] <= now:
                self._route(k, now)
                k += 1
            elif back <= now:
                self._judge(heapq.heappop(self.returns)[1], now)

    def _next_completion(self) -> float:
        """A time before which no present request completes, in seconds."""
        experts = self.experts
        if not (rows := np.flatnonzero(experts.working)).size:
            return np.inf
        left = np.maximum(experts.next_end[rows] - experts.iteration[rows], 1)
        c0, _, k2 = (cost[0, rows] for cost in experts.costs)
        busy = duration(left, experts.context[rows], experts.running[rows], c0, k2)
        # Where requests wait, a prefill may come first; the clock itself is a safe bound.
        alone, clock = experts.waiting[rows] == 0, experts.clock[rows]
        return float(np.min(np.where(alone, clock + busy, np.nextafter(clock, np.inf))))

    def _advance(self, now: float) -> None:
        """Run the experts up to now and note the requests that they completed."""
        self.experts.advance(np.array([now]))
        finished = np.flatnonzero(~np.isnan(self.experts.finish[0]) & ~self.done)
        self.done[finished] = True
        for slot in finished.tolist():
            heapq.heappush(self.returns, (float(self.experts.finish[0, slot]), slot))

    def _route(self, slot: int, now: float) -> None:
        """Ask the policy, which sees a retry as a request with its first arrival time."""
        experts = self.experts
        action = int(self.policy(experts.decision(slot))[0])
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
        score, limit = float(self.one.scores[expert, k]), self.system.limit
        accepted = bool(self.uniforms[k, attempt] < accepts(score, latency, limit))
        self.answers[k] += 1
        self.finish[k], self.accepted[k] = now, accepted
        if accepted and latency < limit:
            self.qos[k] = score
        self.update(k, expert, accepted)
        if not accepted and attempt + 1 < PATIENCE:
            self._route(slot + self.one.T, now)


def play(policy: str, price: float, load: Load, seed: int, T: int, system: System) -> Retrials:
    """T generated requests under "ACQB" or a rule of :data:`.policies.POLICIES`, with retries."""
    one = workload(load, seed, T, system.N)
    uniforms = Streams(seed).uniforms("users", T * PATIENCE).reshape(T, PATIENCE)
    if policy == "ACQB":
        router = AcqbRouter(seed, T, system.N)
        return Retrials(one, system, router, uniforms, router.update).serve()
    rule = POLICIES[policy]((seed,), T * PATIENCE, price)
    return Retrials(one, system, rule, uniforms).serve()


def compare(
    prices: Mapping[str, float], loads: Sequence[Load], seeds: Sequence[int], T: int, system: System
) -> pd.DataFrame:
    """Means over requests, a row per policy, load and seed, for policies by name with their prices.

    Columns: `qos`, `answers` per request, and the shares `accepted`, `dropped` and `gave_up`.
    """
    rows = []
    for load, (policy, price), seed in product(loads, prices.items(), seeds):
        run = play(policy, price, load, seed, T, system)
        means = {"qos": run.qos, "answers": run.answers, "accepted": run.accepted}
        means |= {"dropped": run.dropped, "gave_up": ~run.accepted & ~run.dropped}
        about = {"policy": policy, "load": str(load), "seed": seed}
        rows.append(about | {name: values.mean() for name, values in means.items()})
    return pd.DataFrame(rows)
