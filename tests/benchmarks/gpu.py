"""Lock-step on an accelerator: ``python tests/benchmarks/gpu.py``, which `make bench-gpu` runs.

R runs advance through the same array operations; the table tells what a round of one run costs for
different R, N and K, on the card and beside it on one host core by the fast learner, and whether both
took the same decisions. The worlds are those of the stand-ins. Writes
speed_gpu.json to the figures folder and prints a short table last.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from cqb import datasets, paths
from cqb.batched import BatchRecord, simulate_batch
from cqb.environment import Environment, draw, from_table, pooled_environment
from cqb.exploration import decaying, solve_c1
from cqb.files import write_text
from cqb.policies.acqb import acqb
from cqb.policies.base import LearnerSettings, Service
from cqb.posterior import confidence_radius
from cqb.simulate import Trajectory, simulate
from cqb.streams import Streams
from cqb.study import provenance

RATES = {1: 0.5, 2: 0.65}
SETTINGS = LearnerSettings()
FIELDS = ("queue", "query", "assortment", "pick")


@dataclass(frozen=True)
class Case:
    """R runs of T rounds with N models, K of them offered."""

    N: int
    K: int
    R: int
    T: int = 300


CASES = (
    *(Case(N, K, R) for N in (11, 14) for K in (1, 2) for R in (1, 10, 60)),
    *(Case(112, 1, R, 150) for R in (1, 10)),
    Case(11, 1, 30, 5000),
)
SHORT = (Case(11, 1, 2, 20), Case(11, 2, 1, 12))


def worlds(case: Case) -> list[Environment]:
    """The stand-in's pools of the first R seeds, cut to their first N models."""
    name = "embedllm-standin" if case.N > 14 else "sprout-standin"
    table = datasets.load("routerbench-standin" if case.N == 11 else name)
    found = [from_table(table, seed, 5.0) for seed in range(42, 42 + case.R)]
    size = min(world.pool_size for world in found)
    return [
        pooled_environment(
            w.name, w.stand_in, w.contexts[w.context_of][:size], w.odds[:size, : case.N]
        )
        for w in found
    ]


def lockstep(case: Case, here: list[Environment], xp: ModuleType) -> tuple[BatchRecord, float]:
    """The runs together, and the seconds they took; results on the host end the clock."""
    d, rate = here[0].contexts.shape[1], RATES[case.K]
    coin = decaying(solve_c1(SETTINGS.exploration_rate, rate, case.T))

    def radius(t: int) -> float:
        s = SETTINGS
        return confidence_radius(t, d, case.K, s.lambda0, s.kappa, s.alpha_coef)

    seeds = range(42, 42 + case.R)
    began = time.perf_counter()
    record = simulate_batch(here, seeds, case.K, rate, case.T, SETTINGS, coin, radius, xp=xp)
    return record, time.perf_counter() - began


def fast(case: Case, world: Environment, seed: int) -> tuple[Trajectory, float]:
    """One run by the fast learner on the host, and its seconds."""
    rate = RATES[case.K]
    service = Service(world.contexts, world.n_models, case.K, case.T, rate, SETTINGS)
    draws = draw(Streams(seed), world.pool_size, rate, case.T)
    began = time.perf_counter()
    run = simulate(world, acqb(service, Streams(seed)), case.K, draws)
    return run, time.perf_counter() - began


def measure(case: Case, xp: ModuleType) -> dict[str, Any]:
    """The row of one case, from second runs: the first ones load and compile."""
    here = worlds(case)
    warm = Case(case.N, case.K, case.R, 10)
    lockstep(warm, here, xp)
    fast(warm, here[0], 42)
    together, seconds = lockstep(case, here, xp)
    alone, host_seconds = fast(case, here[0], 42)
    same = all(np.array_equal(getattr(alone, name), getattr(together, name)[0]) for name in FIELDS)
    return {
        **asdict(case),
        "seconds": round(seconds, 3),
        "milliseconds_per_round_and_run": round(1e3 * seconds / (case.T * case.R), 4),
        "fast_host_seconds_per_run": round(host_seconds, 3),
        "times_faster_than_host": round(case.R * host_seconds / seconds, 3),
        "same_decisions": bool(same),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="a few rounds: does it run?")
    parser.add_argument("--backend", default="cupy", help="cupy, or numpy to try the command")
    parser.add_argument("--figures", type=Path, default=None, help="where to write")
    options = parser.parse_args()
    xp = import_module(options.backend)
    library = f"{xp.__name__} {xp.__version__}"
    if options.backend == "cupy":
        library += f" on {xp.cuda.runtime.getDeviceProperties(0)['name'].decode()}"
    place = options.figures or paths.figures_dir()
    rows: list[dict[str, Any]] = []
    for case in SHORT if options.short else CASES:
        rows.append(measure(case, xp))
        record = provenance.stamp(command="make bench-gpu", data="stand-ins", seed=42)
        found = {"record": record, "backend": library, "rows": rows}
        write_text(place / "speed_gpu.json", json.dumps(found, indent=1) + "\n")
    print(library)
    print("  N  K   R     T  ms a round and run  times the host's speed  same decisions")
    for r in rows:
        print(
            f"{r['N']:3} {r['K']:2} {r['R']:3} {r['T']:5} {r['milliseconds_per_round_and_run']:19}"
            f" {r['times_faster_than_host']:23}  {r['same_decisions']}"
        )


if __name__ == "__main__":
    main()
