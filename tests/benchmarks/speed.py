"""The table of speed: ``python tests/benchmarks/speed.py [--short]``, which `make bench` runs.

Every case runs the fast learner and, where it can be borne, the plain reference on the same draws in
the same process with one BLAS thread, and compares their decisions. Ratios are of CPU seconds. The
floor is what the refits' products alone would take, at rates measured on this machine. Writes
speed.json and the figure `speed_runs` to the figures folder.
"""

import argparse
import dataclasses
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import matplotlib.pyplot as plt
import numpy as np

from cqb import datasets, paths
from cqb.environment import Environment, draw, from_table, pooled_environment
from cqb.figures.style import WIDTH, save, style
from cqb.files import write_text
from cqb.learner import kernels
from cqb.policies import POLICIES, Service
from cqb.simulate import Decision, Policy, Trajectory, Waiting, simulate
from cqb.streams import Streams
from cqb.study import provenance

sys.path.insert(0, str(Path(__file__).parents[1]))
from reference_learner import ReferenceLearner

SEED = 42
# Rounds after which every loop of the learner has been compiled (once an installation; kept on disk).
COMPILED_BY = 300


@dataclass(frozen=True)
class Case:
    """One line of the table; the reference runs the first `reference` rounds (0: not at all)."""

    name: str
    dataset: str
    K: int
    rate: float
    lam: float = 5.0
    d: int = 384
    T: int = 5000
    reference: int = 0


CASES = (
    Case("stable", "routerbench-standin", 1, 0.5, reference=5000),
    Case("stable", "routerbench-standin", 2, 0.65, reference=5000),
    Case("overload", "routerbench-standin", 1, 0.7, lam=0.0),
    Case("low dimension", "routerbench-standin", 1, 0.5, d=64, reference=5000),
    Case("low dimension", "routerbench-standin", 2, 0.65, d=64, reference=1000),
    Case("14 models", "sprout-standin", 1, 0.8, reference=1000),
    Case("14 models", "sprout-standin", 2, 0.85),
    Case("112 models", "embedllm-standin", 1, 0.3, reference=1000),
    Case("112 models", "embedllm-standin", 2, 0.45),
    Case("long run", "routerbench-standin", 1, 0.5, T=50_000),
)
SHORT = tuple(dataclasses.replace(c, T=400, reference=min(c.reference, 100)) for c in CASES[:3])


class Timed:
    """A policy with the CPU seconds of each round beside it."""

    def __init__(self, policy: Policy, T: int) -> None:
        self._policy, self.seconds = policy, np.zeros(T)

    def choose(self, t: int, waiting: Waiting) -> Decision:
        began = time.thread_time()
        decision = self._policy.choose(t, waiting)
        self.seconds[t - 1] += time.thread_time() - began
        return decision

    def observe(self, t: int, *what: Any) -> None:
        began = time.thread_time()
        self._policy.observe(t, *what)
        self.seconds[t - 1] += time.thread_time() - began


def world(case: Case) -> Environment:
    """The case's job pool; fewer dimensions by a fixed random projection."""
    found = from_table(datasets.load(case.dataset), SEED, case.lam)
    if case.d == found.contexts.shape[1]:
        return found
    turn = np.random.default_rng(0).normal(size=(found.contexts.shape[1], case.d))
    vectors = found.contexts[found.context_of] @ np.linalg.qr(turn)[0]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return pooled_environment(found.name, found.stand_in, vectors, found.odds)


def run(case: Case, here: Environment, make: Any, rounds: int) -> tuple[Trajectory, np.ndarray]:
    """The first rounds of a run on the case's world, and the policy's seconds by round."""
    service = Service(here.contexts, here.n_models, case.K, case.T, case.rate)
    draws = draw(Streams(SEED), here.pool_size, case.rate, rounds)
    policy = Timed(make(service, here), rounds)
    return simulate(here, policy, case.K, draws), policy.seconds


def fast(service: Service, here: Environment) -> Policy:
    return POLICIES["ACQB"].make(service, Streams(SEED), here)


def reference(service: Service, here: Environment) -> Policy:
    return ReferenceLearner(service, Streams(SEED))


def read_rates(d: int, K: int) -> tuple[float, float]:
    """Bytes per second of float32 matrix-vector products: by contexts, and by a joint inverse."""
    rng = np.random.default_rng(0)
    rates = []
    for shape in ((1000, d), (K * d, K * d)):
        matrix = rng.normal(size=shape).astype(np.float32)
        vector = rng.normal(size=shape[1]).astype(np.float32)
        seconds = []
        for _ in range(30):
            began = time.perf_counter()
            for _ in range(20):
                matrix @ vector
            seconds.append((time.perf_counter() - began) / 20)
        rates.append(matrix.nbytes / float(np.median(seconds)))
    return rates[0], rates[1]


def floor(case: Case, here: Environment) -> float:
    """Seconds that the products of the refits would take by themselves, their operands hot."""
    read = {"contexts": 0, "inverse": 0}
    descend = kernels.descend

    def counted(*arguments: Any) -> tuple[int, int]:
        end, passes = descend(*arguments)
        models, which, (spans, contexts), base = *arguments[:2], arguments[9:11], arguments[16]
        rows = int(spans[models, 1].sum())
        read["contexts"] += passes * 2 * rows * contexts.shape[1] * contexts.itemsize
        read["inverse"] += passes * which.size * base[0].nbytes
        return end, passes

    kernels.descend = counted
    try:
        run(case, here, fast, case.T)
    finally:
        kernels.descend = descend
    by_contexts, by_inverse = read_rates(case.d, case.K)
    return read["contexts"] / by_contexts + read["inverse"] / by_inverse


def measure(case: Case, machine: str) -> list[dict[str, Any]]:
    """The rows of one case: the whole run, and the rounds that the reference can be asked for."""
    here = world(case)
    run(case, here, fast, COMPILED_BY)
    trajectory, seconds = run(case, here, fast, case.T)
    served = (trajectory.query >= 0).astype(float)
    near = {t: _per_served(seconds, served, t) for t in (1000, case.T) if t <= case.T}
    row = {
        "case": case.name,
        "dataset": case.dataset,
        "N": here.n_models,
        "d": case.d,
        "K": case.K,
        "R": 1,
        "t": case.T,
        "lam": case.lam,
        "arrival_rate": case.rate,
        "reference_seconds": None,
        "fast_seconds": round(float(seconds.sum()), 3),
        "ratio": None,
        "floor_seconds": round(floor(case, here), 3),
        "round_late_over_1000": round(near[case.T] / near[1000], 3) if 1000 in near else None,
        "mean_queue": round(float(trajectory.queue.mean()), 2),
        "machine": machine,
    }
    if not case.reference:
        return [row]
    plain, plain_seconds = run(case, here, reference, case.reference)
    same = np.array_equal(plain.query, trajectory.query[: case.reference]) and np.array_equal(
        plain.assortment, trajectory.assortment[: case.reference]
    )
    compared = {
        **row,
        "t": case.reference,
        "reference_seconds": round(float(plain_seconds.sum()), 3),
        "fast_seconds": round(float(seconds[: case.reference].sum()), 3),
        "ratio": round(float(plain_seconds.sum() / seconds[: case.reference].sum()), 1),
        "same_decisions": bool(same),
    }
    if case.reference == case.T:
        return [compared]
    return [row, {**compared, "floor_seconds": None, "round_late_over_1000": None}]


def _per_served(seconds: np.ndarray, served: np.ndarray, t: int) -> float:
    part = slice(max(0, t - 500), t)
    return float(seconds[part].sum() / max(served[part].sum(), 1.0))


def figure(rows: Sequence[dict[str, Any]], machine: str) -> plt.Figure:
    """Seconds of whole runs and of their floors, and the ratios to the reference."""
    drawn, axes = plt.subplots(1, 2, figsize=(WIDTH, 4.2), layout="constrained")
    whole = [r for r in rows if r["floor_seconds"] is not None]
    names = [
        f"{r['case']}, N = {r['N']}, d = {r['d']}, K = {r['K']}, T = {r['t']:,}" for r in whole
    ]
    at = np.arange(len(whole))[::-1]
    axes[0].barh(at, [r["fast_seconds"] for r in whole], height=0.6, label="run")
    axes[0].barh(at, [r["floor_seconds"] for r in whole], height=0.25, label="its products alone")
    axes[0].set_yticks(at, names)
    axes[0].set_xlabel("CPU seconds")
    axes[0].legend(frameon=False)
    against = [r for r in rows if r["ratio"]]
    at = np.arange(len(against))[::-1]
    axes[1].barh(at, [r["ratio"] for r in against], height=0.6)
    axes[1].set_yticks(
        at, [f"N = {r['N']}, d = {r['d']}, K = {r['K']}, t = {r['t']:,}" for r in against]
    )
    axes[1].set_xlabel("times faster than the plain reference")
    drawn.suptitle(f"ACQB on stand-ins, one core of {machine}")
    return drawn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="a few hundred rounds: does it run?")
    parser.add_argument("--figures", type=Path, default=None, help="where to write")
    options = parser.parse_args()
    record = provenance.stamp(command="make bench", data="stand-ins", seed=SEED)
    machine = f"{record['machine']['processor']}, {record['machine']['cores']} cores"
    rows: list[dict[str, Any]] = []
    for case in SHORT if options.short else CASES:
        for row in measure(case, machine):
            rows.append(row)
            print(json.dumps(row), flush=True)
    place = options.figures or paths.figures_dir()
    write_text(place / "speed.json", json.dumps(rows, indent=1) + "\n")
    with style():
        save(figure(rows, machine), "speed_runs", record, place)


if __name__ == "__main__":
    main()
