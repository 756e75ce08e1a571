"""Seconds of PORT at full size: 10,000 queries, 11 models, 26,497 historical ones, d = 768.

`make bench` runs this and keeps the record in .benchmarks/bench.json. Vectors are made up, in
clusters as sentence vectors are; how long a search takes does not depend on what they mean.
"""

from __future__ import annotations

import resource
import time

import numpy as np
import pytest

from cqb.related.port import (
    Estimates,
    ExactIndex,
    Port,
    PortSettings,
    budgets,
    replay,
)
from cqb.related.port.index import ApproximateIndex, recall

E, N, M, D, K = 26_497, 10_000, 11, 768, 5
CENTRES, SPREAD = 400, 0.6
LOOPED = 200  # queries of the per-query loop, whose time is scaled up to N


def clustered(rng: np.random.Generator, n: int, centres: np.ndarray) -> np.ndarray:
    """Unit rows (n, D) float32 around random centres."""
    x = centres[rng.integers(0, CENTRES, n)]
    x = x + SPREAD / np.sqrt(D) * rng.standard_normal((n, D), dtype=np.float32)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def vectors() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((CENTRES, D), dtype=np.float32)
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    return clustered(rng, E, centres), clustered(rng, N, centres)


@pytest.fixture(scope="module")
def exact(vectors) -> np.ndarray:
    history, queries = vectors
    return ExactIndex(history).nearest(queries, K)


def _loop(history: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """One matrix-vector product and one argpartition a query."""
    return np.array([np.argpartition(-(history @ q), K)[:K] for q in queries])


def test_exact_features(benchmark, vectors):
    history, queries = vectors
    benchmark.group = "PORT, nearest neighbours of 10,000 queries in 26,497"
    index = ExactIndex(history)
    benchmark.pedantic(index.nearest, (queries, K), rounds=1)
    benchmark.extra_info["peak memory, MiB"] = (
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    )


def test_a_loop_over_queries(benchmark, vectors, exact):
    history, queries = vectors
    benchmark.group = "PORT, nearest neighbours of 10,000 queries in 26,497"
    found = benchmark.pedantic(_loop, (history, queries[:LOOPED]), rounds=1)
    benchmark.extra_info["scaled to 10,000 queries, s"] = benchmark.stats.stats.mean * N / LOOPED
    assert recall(found, exact[:LOOPED]) > 0.999


def test_approximate_features(benchmark, vectors, exact):
    history, queries = vectors
    pytest.importorskip("faiss")
    benchmark.group = "PORT, nearest neighbours of 10,000 queries in 26,497"
    start = time.perf_counter()
    index = ApproximateIndex(history)
    benchmark.extra_info["build, s"] = time.perf_counter() - start
    found = benchmark.pedantic(index.nearest, (queries, K), rounds=1)
    benchmark.extra_info["recall at 5"] = recall(found, exact)
    assert recall(found, exact) >= 0.9


def test_optimising_and_routing(benchmark):
    rng = np.random.default_rng(1)
    d = np.clip(np.linspace(0.3, 0.8, M)[:, None] + 0.25 * rng.normal(size=(M, N)), 0, 1)
    g = np.geomspace(1, 70, M)[:, None] * 5e-5 * rng.lognormal(0, 0.5, (M, N))
    B = budgets.total_budget(g) * budgets.weights("weighted", d.mean(axis=1), g.mean(axis=1))
    benchmark.group = "PORT, optimisation and routing of 10,000 queries over 11 models"

    def run() -> None:
        router = Port(B, N, PortSettings(), random=np.random.default_rng(0))
        replay(router, B, Estimates(d, g), d, g)

    benchmark.pedantic(run, rounds=3)
