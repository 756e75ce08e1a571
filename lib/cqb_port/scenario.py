"""What the routers of a comparison share: history and stream, budgets, and estimates.

A seed deals the rows of a routing table into a history and a stream. The tuning fifth of the rows
(:func:`cqb.routing_table.split_rows`) always belongs to the history and is never reported on. Designs
were compared on the seeds 100 to 109, which no result uses; their streams share rows with those of
the reported seeds.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from cqb.routing_table import RoutingTable, split_rows
from cqb.streams import Streams

from . import budgets, predictors
from .features import ApproximateIndex, Estimates, History, NearestNeighbours

HISTORY_SHARE = 0.6
# The splits of the budget that are compared, h after "extreme".
SPLITS = ("weighted", "cost", "perf", "uniform", "random", "extreme 1", "extreme 3", "extreme 5")


@dataclass(frozen=True)
class Task:
    """A scenario to play, and who plays it.

    Attributes
    ----------
    experiment, setting : what varies, and its value as text, for the table of results.
    seed : deals the rows. policies : printed names of the routers or systems.
    split : of the budget, with h after "extreme". c : factor of the budget.
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

    def __str__(self) -> str:
        order = "" if self.order is None else f", order {self.order}"
        policy = f", {self.policies[0]}" if len(self.policies) == 1 else ""
        return f"{self.experiment} {self.setting}, seed {self.seed}{order}{policy}"

    @property
    def noise_seed(self) -> int:
        """The seed of everything random, except which rows are history and which are stream."""
        return self.seed if self.order is None else self.order


class Partition:
    """A table dealt by a seed into history and stream; estimates are made when first needed.

    Attributes
    ----------
    history : E queries. vectors : (n, D) of the stream, in the order dealt.
    scores, costs : (M, n). families : (n,) names.

    Parameters
    ----------
    models : how many, drawn by the seed (0: all).

    Raises
    ------
    ValueError
        The table has no embeddings, or fewer than `models` models.
    """

    def __init__(self, table: RoutingTable, seed: int, models: int = 0) -> None:
        if table.embeddings is None:
            raise ValueError(f"{table.name}: no embeddings; encode the table first")
        N = table.scores.shape[1]
        if not 0 <= models <= N:
            raise ValueError(f"models: found {models}, expected at most {N}")
        self._table, self._seed = table, seed
        past, stream = dealt_rows(table, seed)
        some = np.sort(Streams(seed).generator("port models").permutation(N)[: models or N])
        d, g = table.scores[:, some].T, table.costs[:, some].T
        self.history = History(table.embeddings[past], d[:, past], g[:, past])
        self.vectors = table.embeddings[stream]
        self.scores, self.costs = d[:, stream], g[:, stream]
        self.families = np.array(table.families)[stream]

    @cached_property
    def predictor(self) -> predictors.SimilarityRidge:
        """The predictor, trained on the history."""
        shared = _similarities(self._table, self._seed)
        return predictors.SimilarityRidge(self.history, shared=shared)

    @cached_property
    def predicted(self) -> Estimates:
        """Estimates of the stream by the trained predictor."""
        return self.predictor.estimate(self.vectors)

    @cached_property
    def predicted_left_out(self) -> Estimates:
        """The same of the history, each query without its own outcome."""
        return self.predictor.leave_one_out()


@lru_cache(maxsize=24)
def partition(table: RoutingTable, seed: int, models: int = 0) -> Partition:
    """The partition of a table by a seed; the last ones are remembered, with their estimates."""
    return Partition(table, seed, models)


@lru_cache(maxsize=1)
def _similarities(table: RoutingTable, seed: int) -> predictors.Similarities:
    """Similarities in a seed's history, the same for every choice of models."""
    return predictors.similarities(partition(table, seed).history.vectors)


@lru_cache(maxsize=64)
def nearest(dealt: Partition, k: int) -> Estimates:
    """The published estimates of a partition's stream: means over k exact neighbours."""
    return NearestNeighbours(dealt.history, k).estimate(dealt.vectors)


@lru_cache(maxsize=64)
def nearest_left_out(dealt: Partition, k: int) -> Estimates:
    """The same of the history, each query without its own outcome."""
    return NearestNeighbours(dealt.history, k).leave_one_out()


@lru_cache(maxsize=64)
def approximate(dealt: Partition, k: int) -> Estimates:
    """Means over neighbours of the approximate index (ImportError without the extra)."""
    index = ApproximateIndex(dealt.history.vectors)
    return NearestNeighbours(dealt.history, k, index).estimate(dealt.vectors)


def dealt_rows(table: RoutingTable, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of history and stream: the tuning rows are history, the others are dealt by the seed."""
    tuning = split_rows(table, 0, pool_size=1, refinement_size=0).tuning
    others = np.setdiff1d(np.arange(len(table)), tuning)
    order = Streams(seed).generator("port deal").permutation(others)
    more = max(0, round(HISTORY_SHARE * len(table)) - len(tuning))
    return np.concatenate([tuning, order[:more]]), order[more:]


@dataclass(frozen=True, eq=False)
class Scenario:
    """The stream as the routers of one task meet it.

    Attributes
    ----------
    rows : (N,) places in the partition's stream, in order of arrival. budgets : (M,) dollars.
    """

    task: Task
    partition: Partition
    rows: np.ndarray
    budgets: np.ndarray

    @property
    def scores(self) -> np.ndarray:
        """True scores, (M, N)."""
        return self.partition.scores[:, self.rows]

    @property
    def costs(self) -> np.ndarray:
        """True costs, (M, N) dollars."""
        return self.partition.costs[:, self.rows]

    @property
    def horizon(self) -> int:
        """N, the queries of the stream."""
        return self.rows.size

    def arriving(self, estimates: Estimates) -> Estimates:
        """Estimates of the partition's stream in order of arrival."""
        return Estimates(estimates.scores[:, self.rows], estimates.costs[:, self.rows])

    def random(self, name: str) -> np.random.Generator:
        """A generator for each use of randomness by name."""
        return Streams(self.task.noise_seed).generator(f"port {name}")


def scenario(task: Task, table: RoutingTable) -> Scenario:
    """The scenario of a task on a table.

    Raises
    ------
    ValueError
        The stream is shorter than the task asks for, or the split is unknown.
    """
    dealt = partition(table, task.seed, task.models)
    n = dealt.scores.shape[1]
    if task.queries > n:
        raise ValueError(f"queries: found {task.queries}, expected at most {n}")
    rows = np.arange(task.queries or n)
    if task.order is not None:
        rows = Streams(task.order).generator("port order").permutation(rows)
    if task.by_family:
        names, family = np.unique(dealt.families, return_inverse=True)
        place = Streams(task.seed).generator("port families").permutation(len(names))
        rows = rows[np.argsort(place[family[rows]], kind="stable")]
    split, _, h = task.split.partition(" ")
    shares = budgets.weights(
        split,
        dealt.history.scores.mean(axis=1),
        dealt.history.costs.mean(axis=1),
        h=int(h or 1),
        random=Streams(task.noise_seed).generator("port budgets"),
    )
    total = budgets.total_budget(dealt.costs[:, rows], task.c)
    return Scenario(task, dealt, rows, total * shares)
