"""How far one process goes: ``python tests/benchmarks/scale.py [--short]``, which `make scale` runs.

A million rounds, a hundred thousand prompts, a thousand models, a hundred thousand waiting queries:
each in a process of its own, whose peak memory is then its own. Worlds are random and linear; they
say nothing of any real set. Writes scale.json to the figures folder.
"""

import argparse
import json
import multiprocessing
import os
import resource
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from cqb import paths
from cqb.environment import Environment, draw, pooled_environment
from cqb.files import write_text
from cqb.policies import POLICIES, Service
from cqb.simulate import simulate
from cqb.streams import Streams
from cqb.study import provenance

SEED = 42
D = 384


@dataclass(frozen=True)
class Case:
    """A run: what is large in it, the policy, and the queries that wait at the start."""

    name: str
    policy: str
    N: int = 11
    prompts: int = 1000
    T: int = 5000
    rate: float = 0.5
    waiting: int = 0


CASES = (
    Case("plain", "ACQB"),
    Case("a thousand models", "ACQB", N=1000, T=2000),
    Case("a hundred thousand prompts", "ACQB", prompts=100_000),
    Case("a hundred thousand prompts", "ACQB-online", prompts=100_000, T=100_000),
    Case("a hundred thousand waiting", "ACQB", T=200, rate=0.9, waiting=100_000),
    Case("a hundred thousand waiting", "ACQB", prompts=100_000, T=50, rate=0.9, waiting=100_000),
    Case("a million rounds", "ACQB", T=1_000_000),
)
SHORT = tuple(
    replace(c, N=min(c.N, 50), prompts=min(c.prompts, 500), T=40, waiting=min(c.waiting, 600))
    for c in CASES
)


def world(case: Case) -> Environment:
    """Unit contexts and linear utilities, of mean 0 and standard deviation 2.5."""
    rng = np.random.default_rng(SEED)
    x = rng.normal(size=(case.prompts, D))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return pooled_environment(
        "linear world", True, x, np.exp(2.5 * (x @ rng.normal(size=(D, case.N))))
    )


def measure(case: Case) -> dict[str, Any]:
    """Seconds and peak memory of the case, from a first run that has compiled the learner's loops."""
    here = world(case)
    for T, waiting in ((min(case.T, 30), 0), (case.T, case.waiting)):
        streams = Streams(SEED)
        service = Service(here.contexts, here.n_models, 1, case.T, case.rate)
        draws = draw(streams, here.pool_size, case.rate, T)
        start = np.random.default_rng(SEED).integers(0, here.pool_size, waiting).tolist()
        policy = POLICIES[case.policy].make(service, streams, here)
        began = time.process_time()
        run = simulate(here, policy, 1, draws, start=start)
        seconds = time.process_time() - began
    served = int((run.query >= 0).sum())
    return {
        **asdict(case),
        "d": D,
        "served": served,
        "seconds": round(seconds, 2),
        "microseconds_per_served_round": round(1e6 * seconds / max(served, 1)),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
        "queue_at_the_end": int(run.queue[-1]),
    }


def alone(case: Case) -> dict[str, Any]:
    """:func:`measure` in a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(measure, (case,))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="a few rounds: does it run?")
    parser.add_argument("--figures", type=Path, default=None, help="where to write")
    options = parser.parse_args()
    rows = []
    for case in SHORT if options.short else CASES:
        rows.append(alone(case))
        print(json.dumps(rows[-1]), flush=True)
    record = provenance.stamp(command="make scale", data="random linear worlds", seed=SEED)
    place = options.figures or paths.figures_dir()
    write_text(place / "scale.json", json.dumps({"record": record, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
