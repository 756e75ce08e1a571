"""Continuous batching in many environments at once.

Each expert serves in iterations: if waiting requests are admitted, all of them are prefilled; else all
running requests decode. Either gives each request concerned one token. Admission is first in, first
out, and as long as the next request's tokens fit in memory. If the next decode iteration would not
fit, the youngest running request goes back to the head of the queue, and its tokens are prefilled again
later. An iteration in progress when a request arrives is finished first.

A row is one expert of one environment. Every decode iteration gives a token to all running requests, so
each row counts its decode iterations and the end of a request is a count, known at admission. A
running request always joined before a waiting one, so running requests are listed in the order of
joining, and an eviction takes the last.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .fast_forward import duration, iterations_until
from .system import System
from .workload import Batch

FAR = np.iinfo(np.int64).max // 4  # the end of an empty slot
NOBODY = -1


class Running(NamedTuple):
    """The running requests of all experts, (B, N, S) each: slots in order of joining, then empty ones.

    here : bool, the slot is taken; elsewhere the other arrays hold arbitrary values.
    prompt, emitted : int64 tokens. arrival : seconds. score, length : true or predicted.
    """

    here: np.ndarray
    prompt: np.ndarray
    emitted: np.ndarray
    arrival: np.ndarray
    score: np.ndarray
    length: np.ndarray


@dataclass(frozen=True, eq=False)
class Decision:
    """What is known when request `index` arrives in each of B environments.

    Attributes
    ----------
    index : the request's number. time : (B,) seconds. prompt : (B,) tokens.
    scores, lengths : (B, N), predicted score and length of each expert's answer.
    experts : the state of all experts; a policy to be deployed reads predictions from it, not truth.
    """

    index: int
    time: np.ndarray
    prompt: np.ndarray
    scores: np.ndarray
    lengths: np.ndarray
    experts: Experts

    def per_expert(self, values: np.ndarray) -> np.ndarray:
        """Values of the rows (R,) as (B, N)."""
        return values.reshape(self.scores.shape)


Policy = Callable[[Decision], np.ndarray]
"""A router: from a decision to actions (B,), an expert's number, or N to drop the request."""


class Experts:
    """All experts of B environments; time moves only in :meth:`advance`.

    Attributes
    ----------
    clock : (R,) seconds, the end of each row's last iteration, with R = B N rows, environment by
        environment. context : (R,) int64 tokens in memory. running, waiting : (R,) requests.
    waiting_tokens : (R,) int64 tokens that the waiting requests must have prefilled.
    busy : (R,) seconds spent in iterations. evictions : (R,). peak : (R,) most tokens in memory.
    first, finish : (B, T) seconds of first token and completion, NaN where there was none.
    earned : (B,) QoS of all requests finished so far.
    """

    def __init__(self, batch: Batch, system: System) -> None:
        B, N, T = batch.shape
        R = B * N
        self.batch, self.system, self.N = batch, system, N
        self.constants = type(system.constants)(*(np.tile(c, B) for c in system.constants))
        self.clock, self.busy = np.zeros(R), np.zeros(R)
        self.context, self.running, self.waiting_tokens, self.evictions, self.peak = (
            np.zeros(R, np.int64) for _ in range(5)
        )
        self.iteration, self.next_end = np.zeros(R, np.int64), np.full(R, FAR)
        self.request, self.end = np.full((R, 16), NOBODY, np.int64), np.full((R, 16), FAR)
        # A row's queue lies between head and tail of its line. An eviction moves the head back by
        # one, into the place of a request that was admitted from there.
        self.queue = np.zeros((R, T), np.int32)
        self.head, self.tail = np.zeros(R, np.int64), np.zeros(R, np.int64)
        self.emitted = np.zeros((B, T), np.int64)  # of requests that wait
        self.first, self.finish = np.full((B, T), np.nan), np.full((B, T), np.nan)
        self.earned = np.zeros(B)

    @property
    def waiting(self) -> np.ndarray:
        """Requests in each row's queue, (R,) int64."""
        return self.tail - self.head

    @property
    def working(self) -> np.ndarray:
        """Rows with something left to do, (R,) bool."""
        return (self.running > 0) | (self.tail > self.head)

    def add(self, index: int, actions: np.ndarray) -> None:
        """Queue request `index` of each environment at the expert chosen, (B,); N drops it."""
        environment = np.flatnonzero(actions < self.N)
        rows = environment * self.N + actions[environment]
        idle = ~self.working[rows]
        now = self.batch.arrivals[environment, index]
        self.clock[rows] = np.where(idle, np.maximum(self.clock[rows], now), self.clock[rows])
        self.queue[rows, self.tail[rows]] = index
        self.tail[rows] += 1
        self.waiting_tokens[rows] += self.batch.prompts[environment, index]

    def advance(self, until: np.ndarray) -> None:
        """Run iterations that start before the times `until` (B,), in seconds; infinity drains all."""
        target = np.repeat(until, self.N)
        rows = np.flatnonzero((self.clock < target) & self.working)
        while rows.size:
            admits = self._admissible(rows)
            if admits.any():
                self._prefill(rows[admits])
            if (others := rows[~admits]).size:
                self._decode(others, target[others])
            self.peak[rows] = np.maximum(self.peak[rows], self.context[rows])
            self._retire(rows[self.next_end[rows] <= self.iteration[rows]])
            more = (self.running[rows] > 0) | (self.tail[rows] > self.head[rows])
            rows = rows[more & (self.clock[rows] < target[rows])]

    def running_requests(self, *, truth: bool) -> Running:
        """The running requests with their true or their predicted scores and lengths."""
        B, N, T = self.batch.shape
        S = max(1, int(self.running.max()))
        slots = self.request[:, :S].reshape(B, N, S)
        here = slots >= 0
        own = np.where(here, slots, 0)
        one = own + T * np.arange(B)[:, None, None]
        each = own + T * np.arange(B * N).reshape(B, N, 1)
        true = self.batch.lengths.take(each)
        left = (self.end - self.iteration[:, None])[:, :S].reshape(B, N, S)
        score = self.batch.scores if truth else self.batch.predicted_scores
        return Running(
            here,
            self.batch.prompts.take(one),
            true - left,
            self.batch.arrivals.take(one),
            score.take(each),
            true if truth else self.batch.predicted_lengths.take(each),
        )

    def waiting_requests(self, width: int) -> np.ndarray:
        """Numbers of the first `width` requests in each row's queue, (R, width), -1 for none."""
        place = self.head[:, None] + np.arange(width)
        inside = place < self.tail[:, None]
        rows = np.arange(self.clock.size)[:, None]
        return np.where(inside, self.queue[rows, np.where(inside, place, 0)], NOBODY)

    def decision(self, index: int) -> Decision:
        """The decision on request `index` in each environment."""
        batch = self.batch
        predictions = batch.predicted_scores[:, :, index], batch.predicted_lengths[:, :, index]
        return Decision(
            index, batch.arrivals[:, index], batch.prompts[:, index], *predictions, self
        )

    def _admissible(self, rows: np.ndarray) -> np.ndarray:
        """Rows whose next waiting request can be admitted, bool."""
        head = self.head[rows]
        some = self.tail[rows] > head
        request = self.queue[rows, np.where(some, head, 0)]
        environment = rows // self.N
        tokens = self.batch.prompts[environment, request] + self.emitted[environment, request]
        fits = self.context[rows] + tokens + 1 <= self.constants.memory[rows]
        return some & fits & (self.running[rows] < self.constants.batch[rows])

    def _prefill(self, rows: np.ndarray) -> None:
        """One iteration that admits all that fit; each of them emits a token."""
        tokens, active = np.zeros(rows.size, np.int64), np.arange(rows.size)
        fresh = []
        while active.size:
            r = rows[active]
            environment, request = r // self.N, self.queue[r, self.head[r]]
            emitted = self.emitted[environment, request]
            size = self.batch.prompts[environment, request] + emitted
            self.head[r] += 1
            self.waiting_tokens[r] -= size
            self.context[r] += size + 1
            tokens[active] += size
            self._seat(r, request, emitted + 1)
            new = emitted == 0
            fresh.append((environment[new], request[new], r[new]))
            active = active[self._admissible(r)]
        seconds = self.constants.c0[rows] + self.constants.k1[rows] * tokens
        self.clock[rows] += seconds
        self.busy[rows] += seconds
        for environment, request, r in fresh:
            self.first[environment, request] = self.clock[r]

    def _seat(self, rows: np.ndarray, request: np.ndarray, emitted: np.ndarray) -> None:
        """Give each row's request the next slot."""
        slot = self.running[rows]
        if slot.max() >= self.request.shape[1]:
            self.request = np.pad(self.request, ((0, 0), (0, 16)), constant_values=NOBODY)
            self.end = np.pad(self.end, ((0, 0), (0, 16)), constant_values=FAR)
        length = self.batch.lengths[rows // self.N, rows % self.N, request]
        end = self.iteration[rows] + length - emitted
        self.request[rows, slot], self.end[rows, slot] = request, end
        self.next_end[rows] = np.minimum(self.next_end[rows], end)
        self.running[rows] += 1

    def _decode(self, rows: np.ndarray, target: np.ndarray) -> None:
        """As many decode iterations as pass before a request ends, memory is full or time is up."""
        memory = self.constants.memory[rows]
        while (full := self.context[rows] + self.running[rows] > memory).any():
            self._evict(rows[full])
        context, b = self.context[rows], self.running[rows]
        c0, k2 = self.constants.c0[rows], self.constants.k2[rows]
        m = np.minimum(self.next_end[rows] - self.iteration[rows], (memory - context) // b)
        m = np.minimum(m, iterations_until(target - self.clock[rows], context, b, c0, k2))
        seconds = duration(m, context, b, c0, k2)
        self.clock[rows] += seconds
        self.busy[rows] += seconds
        self.iteration[rows] += m
        self.context[rows] += b * m

    def _evict(self, rows: np.ndarray) -> None:
        """The youngest running request of each row goes back to the head of its queue."""
        self.running[rows] -= 1
        slot = self.running[rows]
        environment, request = rows // self.N, self.request[rows, slot]
        left = self.end[rows, slot] - self.iteration[rows]
        emitted = self.batch.lengths[environment, rows % self.N, request] - left
        size = self.batch.prompts[environment, request] + emitted
        self.request[rows, slot], self.end[rows, slot] = NOBODY, FAR
        self.next_end[rows] = self.end[rows].min(axis=1)
        self.head[rows] -= 1
        self.queue[rows, self.head[rows]] = request
        self.emitted[environment, request] = emitted
        self.waiting_tokens[rows] += size
        self.context[rows] -= size
        self.evictions[rows] += 1

    def _retire(self, rows: np.ndarray) -> None:
        """Requests with all their tokens leave; the others move up, in order."""
        if not rows.size:
            return
        S = int(self.running[rows].max())
        request, end = self.request[rows, :S], self.end[rows, :S]
        done = end <= self.iteration[rows, None]
        row, slot = np.nonzero(done)
        self._complete(rows[row], request[row, slot])
        stays = (request >= 0) & ~done
        count = stays.sum(axis=1)
        row, slot = np.nonzero(stays)
        place = np.arange(row.size) - np.repeat(np.cumsum(count) - count, count)
        self.request[rows, :S], self.end[rows, :S] = NOBODY, FAR
        self.request[rows[row], place] = request[row, slot]
        self.end[rows[row], place] = end[row, slot]
        self.running[rows] = count
        self.next_end[rows] = self.end[rows, :S].min(axis=1)

    def _complete(self, rows: np.ndarray, request: np.ndarray) -> None:
        """Note when requests finished, free their memory and add up their QoS."""
        environment, expert = rows // self.N, rows % self.N
        finish, length = self.clock[rows], self.batch.lengths[environment, expert, request]
        self.finish[environment, request] = finish
        np.subtract.at(self.context, rows, self.batch.prompts[environment, request] + length)
        latency = (finish - self.batch.arrivals[environment, request]) / length
        score = self.batch.scores[environment, expert, request]
        np.add.at(self.earned, environment, np.where(latency < self.system.limit, score, 0.0))
