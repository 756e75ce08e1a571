"""Seconds of PORT at full size: ``python tests/benchmarks/port_speed.py``, which `make bench` runs.

10,000 queries, 11 models, 26,497 historical queries, d = 768. How many neighbours an approximate search
finds depends on the vectors, so they are noisy copies of ParetoBandit's prompts: vectors of 384 numbers,
padded with zeros to 768, plus a normal vector of expected length :data:`NOISE`, scaled to length 1.
Every case is the best of three on all cores, but the construction of the index, which is timed once,
and the slow loop, which is timed on some queries and scaled up. Writes port_speed.json to the figures
folder.
"""

import argparse
import json
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from cqb import paths
from cqb.files import write_text
from cqb.study import data, provenance
from cqb_port.features import ApproximateIndex, Estimates, ExactIndex, recall
from cqb_port.router import Port
from cqb_port.scenario import total_budget, weights
from cqb_port.session import replay

E, N, M, D, K = 26_497, 10_000, 11, 768, 5
NOISE = 0.5  # copies of one prompt have a cosine of about 1 / (1 + NOISE**2) = .8
LOOPED, REPEATS = 100, 3


def copies(rng: np.random.Generator, n: int, prompts: np.ndarray) -> np.ndarray:
    """Unit rows (n, D) float32: noisy copies of random rows of `prompts` (P, at most D)."""
    x = NOISE / np.sqrt(D) * rng.standard_normal((n, D), dtype=np.float32)
    x[:, : prompts.shape[1]] += prompts[rng.integers(0, len(prompts), n)]
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def vectors() -> tuple[np.ndarray, np.ndarray]:
    """Those of the history (E, D) and of the stream (N, D)."""
    prompts, rng = data.load("paretobandit").embeddings.astype(np.float32), np.random.default_rng(0)
    return copies(rng, E, prompts), copies(rng, N, prompts)


def stream() -> tuple[Estimates, np.ndarray]:
    """Scores and costs (M, N) with the spread of RouterBench's, and budgets (M,)."""
    rng = np.random.default_rng(1)
    d = np.clip(np.linspace(0.3, 0.8, M)[:, None] + 0.25 * rng.normal(size=(M, N)), 0, 1)
    g = np.geomspace(1, 70, M)[:, None] * 5e-5 * rng.lognormal(0, 0.5, (M, N))
    share = weights("weighted", d.mean(axis=1), g.mean(axis=1))
    return Estimates(d, g), total_budget(g) * share


def loop(history: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """One matrix-vector product and one argpartition a query."""
    return np.array([np.argpartition(-(history @ q), K)[:K] for q in queries])


def route(estimates: Estimates, B: np.ndarray) -> None:
    """The first phase, the optimisation, and the routing and admission of every query."""
    router = Port(B, N, random=np.random.default_rng(0))
    replay(router, B, estimates, *estimates)


def timed(act: Callable[[], Any], repeats: int = REPEATS) -> tuple[dict[str, float], Any]:
    """Least wall and CPU seconds of some repeats, and what came of the last one."""
    wall, cpu = [], []
    for _ in range(repeats):
        began, began_cpu = time.perf_counter(), time.process_time()
        result = act()
        wall.append(time.perf_counter() - began)
        cpu.append(time.process_time() - began_cpu)
    return {"seconds": round(min(wall), 3), "cpu_seconds": round(min(cpu), 3)}, result


def peak_mib() -> int:
    """The most memory that this process has held so far, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def measure() -> list[dict[str, Any]]:
    """A row per case, in the order in which memory grows."""
    estimates, B = stream()
    routing, _ = timed(lambda: route(estimates, B))
    history, queries = vectors()
    exact, nearest = timed(lambda: ExactIndex(history).nearest(queries, K))
    memory = peak_mib()
    looped, found = timed(lambda: loop(history, queries[:LOOPED]), 1)
    looped = {name: round(value * N / LOOPED, 1) for name, value in looped.items()}
    if (agreed := recall(found, nearest[:LOOPED])) < 0.999:
        raise RuntimeError(f"exact neighbours: found {agreed:.4f} of the loop's, expected all")
    built, index = timed(lambda: ApproximateIndex(history, threads=provenance.cores()), 1)
    with threadpool_limits(provenance.cores()):  # Faiss, which was not loaded before the index
        near, approximate = timed(lambda: index.nearest(queries, K))
    ratio = round(looped["seconds"] / exact["seconds"], 1)
    return [
        {"case": "exact neighbours", **exact, "peak_mib": memory, "times_the_loop": ratio},
        {"case": "a loop over queries", **looped, "scaled_from": LOOPED},
        {"case": "HNSW index, build", **built},
        {"case": "HNSW neighbours", **near, "recall_at_5": round(recall(approximate, nearest), 4)},
        {"case": "optimisation, routing, admission", **routing},
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--figures", type=Path, default=None, help="where to write")
    options = parser.parse_args()
    size = {"queries": N, "models": M, "history": E, "d": D, "k": K}
    with threadpool_limits(provenance.cores()):
        rows = measure()
    print("\n".join(json.dumps(row) for row in rows))
    of = "noisy copies of paretobandit"
    record = provenance.stamp(command="make bench", data=of, size=size, rows=rows)
    place = options.figures or paths.figures_dir()
    write_text(place / "port_speed.json", json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
