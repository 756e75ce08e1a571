"""What the routers of a comparison share: history and stream, budgets, and estimates.

A seed deals the rows of a routing table into a history and a stream. The tuning fifth of the rows
(:func:`cqb.routing_table.split_rows`) always belongs to the history and is never reported on. Designs
were compared on the seeds 100 to 109, which no result uses; their streams share rows with those of
the reported seeds.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np

from cqb.routing_table import RoutingTable, split_rows
from cqb.streams import Streams

from . import checks, predictors
from .features import ApproximateIndex, Estimates, History, NearestNeighbours

HISTORY_SHARE = 0.6
# The splits of the budget that are compared, with the number of favoured models after "extreme".
SPLITS = ("weighted", "cost", "perf", "uniform", "random", "extreme 1", "extreme 3", "extreme 5")
EXTREME_SHARE = 0.8  # of the budget, for the favoured models


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


class Known(NamedTuple):
    """Estimates of a partition's stream, and of its history, each query without its own outcome."""

    stream: Estimates
    history: Estimates


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
    def predicted(self) -> Known:
        """Estimates by a predictor that is trained on the history."""
        shared = _similarities(self._table, self._seed)
        predictor = predictors.SimilarityRidge(self.history, shared)
        return Known(predictor.estimate(self.vectors), predictor.leave_one_out())


partition = lru_cache(maxsize=24)(Partition)  # the last ones are remembered, with their estimates


@lru_cache(maxsize=1)
def _similarities(table: RoutingTable, seed: int) -> predictors.Similarities:
    """Similarities in a seed's history, the same for every choice of models."""
    everyone = partition(table, seed, 0)  # the 0 is part of the cache's key: scenarios name it too
    return predictors.similarities(everyone.history.vectors)


@lru_cache(maxsize=64)
def nearest(dealt: Partition, k: int) -> Known:
    """The published estimates of a partition: means over k exact neighbours."""
    neighbours = NearestNeighbours(dealt.history, k)
    return Known(neighbours.estimate(dealt.vectors), neighbours.leave_one_out())


@lru_cache(maxsize=64)
def approximate(dealt: Partition, k: int) -> Estimates:
    """The same of the stream on neighbours of the HNSW graph (ImportError without the extra)."""
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
    rows : (N,) places in the partition's stream, in order of arrival. scores : (M, N), true.
    costs : (M, N) dollars, true. budgets : (M,) dollars.
    """

    task: Task
    partition: Partition
    rows: np.ndarray
    scores: np.ndarray
    costs: np.ndarray
    budgets: np.ndarray

    @property
    def horizon(self) -> int:
        """N, the queries of the stream."""
        return self.rows.size

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
    means = (values.mean(axis=1) for values in (dealt.history.scores, dealt.history.costs))
    shares = weights(task.split, *means, Streams(task.noise_seed).generator("port budgets"))
    scores, costs = dealt.scores[:, rows], dealt.costs[:, rows]
    return Scenario(task, dealt, rows, scores, costs, total_budget(costs, task.c) * shares)


def total_budget(costs: np.ndarray, c: float = 1.0) -> float:
    """c times the cheapest model's cost of all queries, in dollars; costs (M, n).

    Raises
    ------
    ValueError
        A model is free, so that the total is 0, or c is not positive.
    """
    g = checks.numbers("costs", costs, (None, None), 0.0)
    if not (np.isfinite(c) and c > 0):
        raise ValueError(f"c: found {c}, expected a positive number")
    return float(c * _priced(g.sum(axis=1)).min())


def weights(
    split: str,
    mean_scores: np.ndarray,
    mean_costs: np.ndarray,
    random: np.random.Generator | None = None,
) -> np.ndarray:
    """Shares of the budget, (M,), adding up to 1: the six splits of arXiv 2509.02718.

    Means are those of the history; the published code has constants for its own models, and assigns
    shares to the wrong models when only some take part.

    Parameters
    ----------
    split : "weighted", "cost", "perf", "uniform", "random", or "extreme h", which favours the h models
        of smallest sqrt(score / cost). mean_scores, mean_costs : (M,) over the history.
    random : generator of the split "random".

    Raises
    ------
    ValueError
        An unknown split, a free model where the split divides by cost, "extreme" without 1 <= h < M,
        "random" without a generator, or weights that are all 0.
    """
    p = checks.numbers("mean_scores", mean_scores, (None,))
    q = checks.numbers("mean_costs", mean_costs, p.shape, 0.0)
    match split.split():
        case ["weighted"]:
            w = np.sqrt(p / _priced(q))
        case ["cost"]:
            w = np.sqrt(1.0 / _priced(q))
        case ["perf"]:
            w = p
        case ["uniform"]:
            w = np.ones_like(p)
        case ["random"] if random is not None:
            w = random.uniform(5.0, 30.0, size=p.size)
        case ["extreme", h] if h.isdecimal() and 0 < int(h) < p.size:
            favoured = np.argsort(np.sqrt(p / _priced(q)), kind="stable")[: int(h)]
            w = np.full(p.size, (1.0 - EXTREME_SHARE) / (p.size - favoured.size))
            w[favoured] = EXTREME_SHARE / favoured.size
        case _:
            raise ValueError(
                f"split: found {split!r}, expected weighted, cost, perf, uniform, random (which needs "
                f"a generator), or extreme 1 to extreme {p.size - 1}"
            )
    if not w.sum() > 0:
        raise ValueError(f"split {split!r}: every weight is 0; give absolute budgets instead")
    return w / w.sum()


def _priced(costs: np.ndarray) -> np.ndarray:
    """The costs (M,) of all models, which must not be free."""
    if not costs.min() > 0:
        raise ValueError(
            f"costs: model {int(costs.argmin())} is free, so a budget relative to costs is not "
            "defined; give absolute budgets instead"
        )
    return costs
