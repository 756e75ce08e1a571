"""A router with a bounded queue: who waits, who has been shown answers, and what is refused."""

from __future__ import annotations

import math
import threading
from pathlib import Path
from typing import Any

import numpy as np

from cqb import Router
from cqb.router import Offer


class Refused(Exception):
    """A request that changes nothing.

    Attributes
    ----------
    status : of HTTP: 404 unknown, 409 at the wrong time, 422 not offered, 503 full.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Desk:
    """The queries of one router, from the first ask to the pick; may be called from several threads.

    Parameters
    ----------
    capacity : queries that may be here at once, those that look at answers included. So a user who
        asks again always has a place.
    patience : rounds after which a user who was shown answers and says nothing has left.

    Attributes
    ----------
    refused, departed, left : numbers of queries: refused for want of room, departed with a pick, and
        left without a word.
    """

    def __init__(self, router: Router, capacity: int = 200, patience: float = math.inf) -> None:
        self.router, self.capacity, self.patience = router, capacity, patience
        self.refused = self.departed = self.left = 0
        self._waiting: dict[str, np.ndarray] = {}  # in the order of the queue
        self._looking: dict[str, tuple[np.ndarray, Offer, int]] = {}
        self._round = 0
        self._lock = threading.RLock()

    def __len__(self) -> int:
        with self._lock:
            return len(self._waiting) + len(self._looking)

    @property
    def waiting(self) -> list[str]:
        """The ids that wait, in the order of the queue."""
        with self._lock:
            return list(self._waiting)

    def ask(self, query: str, vector: np.ndarray) -> None:
        """Join the end of the queue. Refused: the id is here already, or the queue is full."""
        with self._lock:
            if query in self._waiting or query in self._looking:
                raise Refused(409, f"query {query}: it is here already")
            if len(self) >= self.capacity:
                self.refused += 1
                raise Refused(503, f"the queue is full ({self.capacity} queries); ask later")
            self._waiting[query] = vector

    def serve(self) -> Offer | None:
        """Start a round: an offer for one of the queries that wait, None if there are none."""
        with self._lock:
            self._round += 1
            for query in [
                q for q, (*_, t) in self._looking.items() if self._round - t > self.patience
            ]:
                self.router.observe(query, None)
                self.router.forget(query)
                del self._looking[query]
                self.left += 1
            offer = self.router.choose(self._waiting)
            if offer is not None:
                self._looking[offer.query] = self._waiting.pop(offer.query), offer, self._round
            return offer

    def state(self, query: str) -> tuple[str, ...] | None:
        """The models offered to a query, None while it waits. Refused: it is not here."""
        with self._lock:
            if query in self._waiting:
                return None
            return self._found(query)[1].models

    def answer(self, query: str, picked: str | None) -> None:
        """A pick, or None to ask again, from the end of the queue.

        Refused: the query is not here (never asked, or answered before), was shown nothing yet, or the
        model was not offered to it.
        """
        with self._lock:
            if query in self._waiting:
                raise Refused(409, f"query {query}: it waits, no answer was shown yet")
            vector, offer, _ = self._found(query)
            if picked is not None and picked not in offer.models:
                raise Refused(422, f"query {query}: {picked} was not offered to it")
            self.router.observe(query, picked)
            del self._looking[query]
            if picked is None:
                self._waiting[query] = vector
            else:
                self.departed += 1

    def _found(self, query: str) -> tuple[np.ndarray, Offer, int]:
        if query not in self._looking:
            raise Refused(404, f"query {query}: it is not here; never asked, or answered before")
        return self._looking[query]

    def save(self, path: Path, more: Any) -> None:
        """Write the router, the queue and `more` (JSON) of one moment to one file."""
        with self._lock:
            looking = [[q, x.tolist(), o.models, t] for q, (x, o, t) in self._looking.items()]
            waiting = [[q, x.tolist()] for q, x in self._waiting.items()]
            counts = [self._round, self.refused, self.departed, self.left]
            self.router.notes = {"desk": [waiting, looking, counts], "more": more}
            self.router.save(path)

    @classmethod
    def load(cls, path: Path, capacity: int, patience: float) -> tuple[Desk, Any]:
        """The desk that :meth:`save` wrote, and its `more`; raises as :meth:`cqb.Router.load`."""
        desk = cls(Router.load(path), capacity, patience)
        waiting, looking, counts = desk.router.notes["desk"]
        desk._waiting = {q: np.array(x) for q, x in waiting}
        desk._looking = {q: (np.array(x), Offer(q, tuple(m)), t) for q, x, m, t in looking}
        desk._round, desk.refused, desk.departed, desk.left = counts
        return desk, desk.router.notes["more"]
