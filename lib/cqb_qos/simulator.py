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

from .system import System, duration, iterations_until
from .workloads import Batch

FAR = np.iinfo(np.int64).max // 4  # the end of an empty slot
NOBODY = -1


class Requests(NamedTuple):
    """Requests that run or wait at each expert, (B, N, S) each: slots in their order, then empty ones.

    number : int64, -1 for an empty slot; there the other arrays hold arbitrary values.
    prompt, emitted : int64 tokens. arrival : seconds. score, length : true or predicted.
    """

    number: np.ndarray
    prompt: np.ndarray
    emitted: np.ndarray
    arrival: np.ndarray
    score: np.ndarray
    length: np.ndarray

    @property
    def here(self) -> np.ndarray:
        """Slots that are taken, bool."""
        return self.number >= 0


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
    earned : (B,) QoS of all requests finished so far. costs : c0, k1 and k2, (B, N) each.

    Raises
    ------
    RequestNeverFits
        An expert's memory is too small for one of the requests.
    """

    def __init__(self, batch: Batch, system: System) -> None:
        batch.check_fits(system)
        B, N, T = batch.lengths.shape
        R = B * N
        self.batch, self.system, self.N = batch, system, N
        arrays = (a if a.ndim == 3 else np.repeat(a, N, axis=0) for a in vars(batch).values())
        self._by_row = Batch(*(array.reshape(R, T) for array in arrays))
        self._c0, self._k1, self._k2, self._memory, self._cap = (
            np.tile(system.of_each(name), B) for name in ("c0", "k1", "k2", "memory", "batch")
        )
        self.costs = tuple(map(self.per_expert, (self._c0, self._k1, self._k2)))
        self.clock, self.busy = np.zeros((2, R))
        counts = np.zeros((8, R), np.int64)
        self.context, self.waiting_tokens, self.evictions, self.peak = counts[:4]
        self.running, self.iteration, self.head, self.tail = counts[4:]
        self.next_end = np.full(R, FAR)
        self.request, self.end = np.full((R, 16), NOBODY, np.int64), np.full((R, 16), FAR)
        # A row's queue lies between head and tail of its line. An eviction moves the head back by
        # one, into the place of a request that was admitted from there.
        self.queue = np.zeros((R, T), np.int32)
        self.size = self._by_row.prompts.copy()  # tokens to prefill of requests that wait
        self.first, self.finish = np.full((2, B, T), np.nan)
        self.earned = np.zeros(B)

    def per_expert(self, values: np.ndarray) -> np.ndarray:
        """Values of the rows (R,) as (B, N)."""
        return values.reshape(-1, self.N)

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
        now = np.maximum(self.clock[rows], self._by_row.arrivals[rows, index])
        self.clock[rows] = np.where(self.working[rows], self.clock[rows], now)
        self.queue[rows, self.tail[rows]] = index
        self.tail[rows] += 1
        self.waiting_tokens[rows] += self.size[rows, index]

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
            rows = rows[self.working[rows] & (self.clock[rows] < target[rows])]

    def running_requests(self, *, truth: bool) -> Requests:
        """The running requests with their true or their predicted scores and lengths."""
        S = max(1, int(self.running.max()))
        left = (self.end - self.iteration[:, None])[:, :S]
        return self._requests(self.request[:, :S].copy(), truth, left=left)

    def waiting_requests(self, width: int, *, truth: bool) -> Requests:
        """The first `width` requests of each queue; evicted ones have emitted tokens already."""
        place = self.head[:, None] + np.arange(width)
        inside = place < self.tail[:, None]
        number = np.take_along_axis(self.queue, np.where(inside, place, 0), axis=1)
        return self._requests(np.where(inside, number, NOBODY), truth)

    def _requests(
        self, number: np.ndarray, truth: bool, left: np.ndarray | None = None
    ) -> Requests:
        """Requests by number, (R, S), with `left` tokens to come if they run."""
        of = self._by_row
        at = np.maximum(number, 0) + of.T * np.arange(len(number))[:, None]
        true, prompt = of.lengths.take(at), of.prompts.take(at)
        parts = (
            number,
            prompt,
            self.size.take(at) - prompt if left is None else true - left,
            of.arrivals.take(at),
            (of.scores if truth else of.predicted_scores).take(at),
            true if truth else of.predicted_lengths.take(at),
        )
        return Requests(*(part.reshape(len(self.earned), self.N, -1) for part in parts))

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
        tokens = self.size[rows, self.queue[rows, np.where(some, head, 0)]]
        fits = self.context[rows] + tokens + 1 <= self._memory[rows]
        return some & fits & (self.running[rows] < self._cap[rows])

    def _prefill(self, rows: np.ndarray) -> None:
        """One iteration that admits all that fit; each of them emits a token."""
        tokens, active, fresh = np.zeros(rows.size, np.int64), np.arange(rows.size), []
        while active.size:
            r = rows[active]
            request = self.queue[r, self.head[r]]
            size = self.size[r, request]
            emitted = size - self._by_row.prompts[r, request]
            self.head[r] += 1
            self.waiting_tokens[r] -= size
            self.context[r] += size + 1
            tokens[active] += size
            self._seat(r, request, emitted + 1)
            fresh.append((r[emitted == 0], request[emitted == 0]))
            active = active[self._admissible(r)]
        self._pass(rows, self._c0[rows] + self._k1[rows] * tokens)
        for r, request in fresh:
            self.first[r // self.N, request] = self.clock[r]

    def _pass(self, rows: np.ndarray, seconds: np.ndarray) -> None:
        """Iterations take their time."""
        self.clock[rows] += seconds
        self.busy[rows] += seconds

    def _seat(self, rows: np.ndarray, request: np.ndarray, emitted: np.ndarray) -> None:
        """Give each row's request the next slot."""
        slot = self.running[rows]
        if slot.max() >= self.request.shape[1]:
            self.request = np.pad(self.request, ((0, 0), (0, 16)), constant_values=NOBODY)
            self.end = np.pad(self.end, ((0, 0), (0, 16)), constant_values=FAR)
        end = self.iteration[rows] + self._by_row.lengths[rows, request] - emitted
        self.request[rows, slot], self.end[rows, slot] = request, end
        self.next_end[rows] = np.minimum(self.next_end[rows], end)
        self.running[rows] += 1

    def _decode(self, rows: np.ndarray, target: np.ndarray) -> None:
        """As many decode iterations as pass before a request ends, memory is full or time is up."""
        memory = self._memory[rows]
        while (full := self.context[rows] + self.running[rows] > memory).any():
            self._evict(rows[full])
        context, b = self.context[rows], self.running[rows]
        c0, k2 = self._c0[rows], self._k2[rows]
        m = np.minimum(self.next_end[rows] - self.iteration[rows], (memory - context) // b)
        m = np.minimum(m, iterations_until(target - self.clock[rows], context, b, c0, k2))
        self._pass(rows, duration(m, context, b, c0, k2))
        self.iteration[rows] += m
        self.context[rows] += b * m

    def _evict(self, rows: np.ndarray) -> None:
        """The youngest running request of each row goes back to the head of its queue."""
        self.running[rows] -= 1
        slot = self.running[rows]
        request, left = self.request[rows, slot], self.end[rows, slot] - self.iteration[rows]
        self.request[rows, slot], self.end[rows, slot] = NOBODY, FAR
        self.next_end[rows] = self.end[rows].min(axis=1)
        self.head[rows] -= 1
        self.queue[rows, self.head[rows]] = request
        emitted = self._by_row.lengths[rows, request] - left
        self.size[rows, request] = size = self._by_row.prompts[rows, request] + emitted
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
        row, slot = np.nonzero(stays)
        place = (np.cumsum(stays, axis=1) - 1)[row, slot]
        self.request[rows, :S], self.end[rows, :S] = NOBODY, FAR
        self.request[rows[row], place] = request[row, slot]
        self.end[rows[row], place] = end[row, slot]
        self.running[rows] = stays.sum(axis=1)
        self.next_end[rows] = self.end[rows, :S].min(axis=1)

    def _complete(self, rows: np.ndarray, request: np.ndarray) -> None:
        """Note when requests finished, free their memory and add up their QoS."""
        of, environment, finish = self._by_row, rows // self.N, self.clock[rows]
        length, score = of.lengths[rows, request], of.scores[rows, request]
        self.finish[environment, request] = finish
        np.subtract.at(self.context, rows, of.prompts[rows, request] + length)
        latency = (finish - of.arrivals[rows, request]) / length
        np.add.at(self.earned, environment, np.where(latency < self.system.limit, score, 0.0))
