"""What the routers of a comparison share: a dealt table, its stream, its budgets, its estimates.

A seed deals a routing table into a history and a stream. The tuning fifth of the rows (see
:func:`cqb.routing_table.split_rows`) always belongs to the history and is never reported on. Designs
were compared on the seeds 100 to 109, which no result uses; their streams share rows with those of
the reported seeds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from cqb.routing_table import RoutingTable, split_rows
from cqb.streams import Streams
from . import budgets
from .features import Estimates, History, NearestNeighbours
from .index import ApproximateIndex
from .predictors import SimilarityRidge

HISTORY_SHARE = 0.6


@dataclass(frozen=True)
class Task:
    """One world, and what is varied to make it.

    Attributes
    ----------
    experiment, setting : what varies, and its value as text, for the table of results.
    seed : deals rows and order. policies : printed names of the routers to send through it.
    split : of the budget, with h behind "extreme". c : factor of the budget.
    queries : length of the stream (0: all rows outside the history). models : how many (0: all).
    k, epsilon : of the published router. order : seed of the order alone (None: as dealt).
    by_family : sort the stream by family.
    """

    experiment: str
    setting: str
    seed: int
    policies: tuple[str, ...]
    split: str = "weighted"
    c: float = 1.0
    queries: int = 0
    models: int = 0
    k: int = 5
    epsilon: float = 0.025
    order: int | None = None
    by_family: bool = False

    @property
    def chance(self) -> int:
        """The seed of all that is random but the deal."""
        return self.seed if self.order is None else self.order


class Deal:
    """A table dealt by a seed, with estimates that are worked out once, when first asked for.

    Attributes
    ----------
    history : E queries. vectors : (n, D) of the stream, in the order of the deal.
    scores, costs : (M, n). families : (n,) names.

    Parameters
    ----------
    models : how many, drawn by the seed (0: all). like : a deal of the same table and seed, whose
        similarities are shared.

    Raises
    ------
    ValueError
        The table has no embeddings, or fewer than `models` models.
    """

    def __init__(
        self, table: RoutingTable, seed: int, models: int = 0, like: Deal | None = None
    ) -> None:
        if table.embeddings is None:
            raise ValueError(f"{table.name}: no embeddings; encode the table first")
        N = table.scores.shape[1]
        if not 0 <= models <= N:
            raise ValueError(f"models: found {models}, expected at most {N}")
        self.seed, self._like = seed, like
        past, stream = dealt_rows(table, seed)
        some = np.sort(Streams(seed).generator("port models").permutation(N)[: models or N])
        d, g = table.scores[:, some].T, table.costs[:, some].T
        self.history = History(table.embeddings[past], d[:, past], g[:, past])
        self.vectors = table.embeddings[stream]
        self.scores, self.costs = d[:, stream], g[:, stream]
        self.families = np.array(table.families)[stream]
        self._made: dict[str, Any] = {}

    def nearest(self, k: int) -> Estimates:
        """The published estimates of the stream: means over k exact neighbours."""
        return self._once(f"nearest {k}", lambda: self._neighbours(k).estimate(self.vectors))

    def nearest_left_out(self, k: int) -> Estimates:
        """The same of the history, each query without its own outcome."""
        return self._once(f"left out {k}", lambda: self._neighbours(k).leave_one_out())

    def approximate(self, k: int) -> Estimates:
        """Means over neighbours of the approximate index (ImportError without the extra)."""

        def estimate() -> Estimates:
            index = ApproximateIndex(self.history.vectors)
            return NearestNeighbours(self.history, k, index).estimate(self.vectors)

        return self._once(f"approximate {k}", estimate)

    @cached_property
    def predictor(self) -> SimilarityRidge:
        """Our trained predictor."""
        bases = None if self._like is None else self._like.predictor.bases
        return SimilarityRidge(self.history, bases=bases)

    @cached_property
    def predicted(self) -> Estimates:
        """Its estimates of the stream."""
        return self.predictor.estimate(self.vectors)

    @cached_property
    def predicted_left_out(self) -> Estimates:
        """Its estimates of the history, each query without its own outcome."""
        return self.predictor.leave_one_out()

    def _neighbours(self, k: int) -> NearestNeighbours:
        return NearestNeighbours(self.history, k)

    def _once(self, name: str, make: Callable[[], Any]) -> Any:
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]


def dealt_rows(table: RoutingTable, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of history and stream: the tuning rows are history, the others dealt by the seed."""
    tuning = split_rows(table, 0, pool_size=1, refinement_size=0).tuning
    others = np.setdiff1d(np.arange(len(table)), tuning)
    order = Streams(seed).generator("port deal").permutation(others)
    more = max(0, round(HISTORY_SHARE * len(table)) - len(tuning))
    return np.concatenate([tuning, order[:more]]), order[more:]


@dataclass(frozen=True, eq=False)
class World:
    """The stream as the routers of one task meet it.

    Attributes
    ----------
    at : (N,) places in the deal, in order of arrival. budgets : (M,) dollars.
    """

    task: Task
    deal: Deal
    at: np.ndarray
    budgets: np.ndarray

    @property
    def scores(self) -> np.ndarray:
        """True scores, (M, N)."""
        return self.deal.scores[:, self.at]

    @property
    def costs(self) -> np.ndarray:
        """True costs, (M, N) dollars."""
        return self.deal.costs[:, self.at]

    @property
    def horizon(self) -> int:
        """N, the queries of the stream."""
        return self.at.size

    def arriving(self, estimates: Estimates) -> Estimates:
        """Estimates of the deal's stream in order of arrival."""
        return Estimates(estimates.scores[:, self.at], estimates.costs[:, self.at])

    def random(self, name: str) -> np.random.Generator:
        """A generator for each use of chance by name."""
        return Streams(self.task.chance).generator(f"port {name}")


def world(task: Task, deal: Deal) -> World:
    """The world of a task on a deal of its seed and number of models.

    Raises
    ------
    ValueError
        The stream is shorter than the task asks for, or the split is unknown.
    """
    n = deal.scores.shape[1]
    if task.queries > n:
        raise ValueError(f"queries: found {task.queries}, expected at most {n}")
    at = np.arange(task.queries or n)
    if task.order is not None:
        at = Streams(task.order).generator("port order").permutation(at)
    if task.by_family:
        names, family = np.unique(deal.families, return_inverse=True)
        place = Streams(task.seed).generator("port families").permutation(len(names))
        at = at[np.argsort(place[family[at]], kind="stable")]
    split, _, h = task.split.partition(" ")
    shares = budgets.weights(
        split,
        deal.history.scores.mean(axis=1),
        deal.history.costs.mean(axis=1),
        h=int(h or 1),
        random=Streams(task.chance).generator("port budgets"),
    )
    return World(task, deal, at, budgets.total_budget(deal.costs[:, at], task.c) * shares)
