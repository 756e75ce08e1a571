"""A policy on live traffic: queries come with ids and vectors, and users pick or ask again.

The simulator knows all contexts and the horizon before the first round; a service knows neither. A
:class:`Router` holds any policy of :data:`cqb.POLICIES` that needs no horizon, no scored rows and no
truth, numbers queries and vectors as they come, and takes the decisions that the policy takes in the
simulator.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from .checks import number, shown, whole
from .files import content_hash, write_bytes
from .learner.history import FIRST, doubled
from .policies import POLICIES, LearnerSettings, PolicyEntry, Service
from .simulate import RETRY, Assortment, Waiting, check_assortment_size
from .state import capture, restore
from .streams import Streams

FORMAT = "cqb router 2"
Id = str | int


class Offer(NamedTuple):
    """The query that is served now, and the models whose answers its user is shown."""

    query: Id
    models: tuple[str, ...]


class Router:
    """Holds a policy for a service; may be called from several threads.

    >>> import numpy as np
    >>> from cqb import Router, solve_c1
    >>> c1 = solve_c1(exploration_rate=0.01, arrival_rate=0.5, T=100_000)
    >>> router = Router("ACQB", ["small", "large"], d=3, c1=c1)
    >>> offer = router.choose({"a": np.array([1.0, 0.0, 0.0]), "b": np.array([0.0, 1.0, 0.0])})
    >>> router.observe(offer.query, None)  # this user asks again
    >>> offer = router.choose({"a": np.array([1.0, 0.0, 0.0]), "b": np.array([0.0, 1.0, 0.0])})
    >>> router.observe(offer.query, offer.models[0])  # and this one picks the answer

    Parameters
    ----------
    policy : a printed name in :data:`cqb.POLICIES`. models : their names, distinct.
    d : length of the vectors. K : models offered at once.
    c1 : constant of the exploration coin ``min(1, c1 / sqrt(t + 1))``, for policies that have it.
        :func:`cqb.exploration.solve_c1` solves it for a share of explored rounds and a traffic.
    seed : of the policy's random streams. learner : settings of the ACQB family.

    Attributes
    ----------
    notes : whatever JSON the service wants to save with the router.

    Raises
    ------
    ValueError
        A setting is out of range, or the policy is unknown or cannot be held; the message names it.
    """

    def __init__(
        self,
        policy: str,
        models: Sequence[str],
        d: int,
        K: int = 1,
        *,
        c1: float | None = None,
        seed: int = 0,
        learner: LearnerSettings | None = None,
    ) -> None:
        entry, self.models = _entry(policy), tuple(models)
        d, learner = whole("d", d, 1), learner or LearnerSettings()
        check_assortment_size(whole("K", K, 1), len(self.models))
        if len(set(self.models)) < len(self.models):
            raise ValueError(f"models: found {shown(self.models)}, expected distinct names")
        if c1 is not None:
            number("c1", c1)
        self.settings = {"policy": policy, "models": self.models, "d": d, "K": K, "c1": c1}
        self.settings |= {"seed": seed, "learner": asdict(learner)}
        self.notes: Any = None
        self._table = np.zeros((FIRST, d))
        service = Service(self._table, len(self.models), K, 0, 1.0, learner, c1=c1)
        self._policy = entry.make(service, Streams(seed))
        self._admit = getattr(self._policy, "admit", None)
        self._context_of: dict[bytes, int] = {}
        self._queries: dict[Id, tuple[int, int]] = {}  # arrival number and context, until departure
        self._open: dict[Id, tuple[int, Assortment]] = {}  # round and assortment of an open offer
        self._round = self._arrived = 0
        self._lock = threading.RLock()

    def choose(self, waiting: Mapping[Id, np.ndarray]) -> Offer | None:
        """Start a round: whom to serve of the waiting queries, and with which models.

        A query is known by its id until it departs, and its vector is read when the id is new.
        Queries whose offer is open are passed over. If nothing is left, the round is idle, as in the
        simulator; a service without a clock need not ask for such rounds.

        Parameters
        ----------
        waiting : vectors (d,) by id, in the order of the queue; the vector of a known id may be None.

        Raises
        ------
        ValueError
            A new vector is not d finite numbers; the message names the query, and nothing has changed.
        """
        with self._lock:
            new = {q: self._vector(q, x) for q, x in waiting.items() if q not in self._queries}
            self._round += 1
            # The newest is last, as in the simulator, wherever the service put it.
            known = [q for q in waiting if q in self._queries and q not in self._open]
            for query, x in new.items():
                self._queries[query] = self._arrived, self._context(x)
                self._arrived += 1
            if not (ids := [*known, *new]):
                return None
            numbers, contexts = map(list, zip(*(self._queries[q] for q in ids), strict=True))
            fresh = bool(new) and self._round > 1  # those of the first round were there before it
            decision = self._policy.choose(self._round, Waiting(numbers, contexts, [], fresh))
            query = ids[decision.position]
            self._open[query] = self._round, decision.assortment
            return Offer(query, tuple(self.models[j] for j in decision.assortment))

    def observe(self, query: Id, picked: str | None) -> None:
        """Learn what the user of an open offer did: the model picked, or None who asks again.

        A query that is picked departs, and its id is forgotten. Of one that will never come back
        without a pick, report a retrial if its offer is open, and then :meth:`forget` it.

        Raises
        ------
        KeyError
            The query has no open offer: it is unknown, waits, or its user has answered already.
        ValueError
            The model was not offered; the offer is still open.
        """
        with self._lock:
            if query not in self._open:
                raise KeyError(f"query {shown(query)}: found no open offer to pick from")
            t, assortment = self._open[query]
            offered = [self.models[j] for j in assortment]
            if picked is not None and picked not in offered:
                expected = f"expected one of {', '.join(offered)}, or None"
                raise ValueError(f"query {shown(query)}: found {shown(picked)}, {expected}")
            pick = RETRY if picked is None else self.models.index(picked)
            self._policy.observe(t, *self._queries[query], assortment, pick)
            del self._open[query]
            if picked is not None:
                del self._queries[query]

    def forget(self, query: Id) -> None:
        """Drop a query that left without a pick. If its id comes again, it is a new query.

        Raises
        ------
        KeyError
            The query is unknown, or its offer is open.
        """
        with self._lock:
            if query in self._open or query not in self._queries:
                expected = "expected a query that waits"
                found = "an open offer" if query in self._open else "no such query"
                raise KeyError(f"query {shown(query)}: found {found}, {expected}")
            del self._queries[query]

    def _vector(self, query: Id, vector: Any) -> np.ndarray:
        d = self._table.shape[1]
        try:
            x = np.asarray(vector, np.float64) + 0.0  # a copy, in which -0 is 0
        except (TypeError, ValueError):
            x = np.array(np.nan)
        if x.shape != (d,) or not np.isfinite(x).all():
            expected = f"expected a vector of {d} finite numbers"
            raise ValueError(f"query {shown(query)}: found {shown(vector)}, {expected}")
        return x

    def _context(self, x: np.ndarray) -> int:
        """The number of a vector, the same for the same vector."""
        digest = blake2b(x.tobytes(), digest_size=16).digest()
        found = self._context_of.setdefault(digest, len(self._context_of))
        if found + 1 == len(self._context_of):
            if found == len(self._table):
                self._table = doubled(self._table)
            self._table[found] = x
            if self._admit:
                self._admit(found, self._table)
        return found

    def save(self, path: Path | str) -> None:
        """Write everything to the file `path`, atomically: a kill leaves the file before or after.

        Raises what :func:`cqb.files.atomic_writer` raises.
        """
        arrays: dict[str, np.ndarray] = {}
        with self._lock:
            record = {
                "settings": self.settings,
                "notes": self.notes,
                "counts": (self._round, self._arrived),
                "queries": capture(self._queries, arrays, "queries"),
                "open": capture(self._open, arrays, "open"),
                "policy": capture(self._policy, arrays, "policy"),
            }
            arrays["table"] = self._table[: len(self._context_of)].copy()
            text = json.dumps(record).encode()
        arrays["record"] = np.frombuffer(text, np.uint8)
        write_bytes(path, save(arrays, {"format": FORMAT, "sha256": content_hash(arrays)}))

    @classmethod
    def load(cls, path: Path | str) -> Router:
        """The router that :meth:`save` wrote; it goes on as the one that wrote it.

        Raises
        ------
        OSError
            The file cannot be opened.
        ValueError
            It is damaged, no router's, or of another version; the message names it and says which.
        """
        arrays = _read(path)
        record = json.loads(arrays["record"].tobytes())
        try:
            settings = record["settings"]
            settings["learner"] = LearnerSettings(**settings["learner"])
            router = cls(**settings)
            for x in arrays["table"]:
                router._context(x)
            router.notes, (router._round, router._arrived) = record["notes"], record["counts"]
            router._queries = restore(record["queries"], None, arrays)
            router._open = restore(record["open"], None, arrays)
            router._policy = restore(record["policy"], router._policy, arrays)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path}: a router of another version of cqb ({error})") from error
        return router


def _entry(policy: str) -> PolicyEntry:
    if policy not in POLICIES:
        raise ValueError(f"policy: found {shown(policy)}, expected one of {', '.join(POLICIES)}")
    entry = POLICIES[policy]
    needs = {
        "the truth": entry.from_truth is not None,
        "a horizon": entry.needs_horizon,
        "a routing table": entry.needs_table,
    }
    if found := [what for what, needed in needs.items() if needed]:
        raise ValueError(f"policy: {policy} needs {found[0]}, which a service does not have")
    return entry


def _read(path: Path | str) -> dict[str, np.ndarray]:
    """The arrays of a router's file, verified. Raises what :meth:`Router.load` raises."""
    with open(path, "rb"):  # an error of the system is one; what follows is the content's fault
        pass
    try:
        with safe_open(path, "numpy") as opened:
            about, names = opened.metadata() or {}, opened.keys()
            arrays = {name: opened.get_tensor(name) for name in names}
    except (SafetensorError, ValueError, TypeError) as error:
        raise ValueError(f"{path}: damaged, or no safetensors file ({error})") from error
    if (found := about.get("format")) != FORMAT:
        raise ValueError(f"{path}: found format {found!r}, expected {FORMAT!r}")
    if about.get("sha256") != content_hash(arrays):
        raise ValueError(f"{path}: the content does not match its own sha256; the file is damaged")
    return arrays
