"""The GPU at work: ``python tests/benchmarks/gpu.py check | bench``.

``check`` (`make gpu-check`, a minute) says whether runs on the card take the decisions of single runs on
the CPU; its exit status is 1 if one does not, as may happen after a near-tie. ``bench``
(`make bench-gpu`, ten minutes) measures seconds a run for many runs at once beside the CPU's cores. It
writes speed_gpu.json and speed_gpu.png, with the card's name, to the figures folder.
"""

import argparse
import json
import os
import sys
import time
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import matplotlib.pyplot as plt
import numpy as np

from cqb import backend, datasets, paths
from cqb.batched import play_together
from cqb.figures import save
from cqb.figures.style import style
from cqb.files import write_text
from cqb.policies import LearnerSettings
from cqb.runs import Cell, Task, play
from cqb.simulate import Trajectory
from cqb.study import provenance

RATES = {1: 0.5, 2: 0.65}
EVERY = ("ORACLE", "ACQB", "ACQB-T", "ACQB-CL", "CQB-eps", "ACQB-tuned", "RANDOM", "Q-UCB", "Q-ThS")
LEARNERS = ("ACQB", "ACQB-T", "CQB-eps", "ACQB-tuned")
SINGLE = 2  # runs that the CPU plays for comparison


@dataclass(frozen=True)
class Case:
    """R runs of T rounds with N models, K of them offered."""

    N: int
    K: int
    R: int
    T: int


CASES = tuple(
    Case(N, K, R, 1000 if N == 11 else 300)
    for N, K, R in product((11, 112), (1, 2), (1, 60, 540))
    if (N, K, R) != (112, 2, 540)
)
SHORT = (Case(11, 1, 2, 20), Case(11, 2, 1, 12))


def tasks_of(case: Case, policies: tuple[str, ...]) -> list[Task]:
    """The first R tasks over policies, prices and seeds."""
    cells = [Cell(case.K, lam, RATES[case.K]) for lam in (0.0, 1.0, 5.0)]
    whole = product(range(42, 42 + 45), policies, cells)
    return [
        Task(cell, policy, seed, case.T, 1000, LearnerSettings())
        for seed, policy, cell in list(whole)[: case.R]
    ]


def first_difference(one: Trajectory, other: Trajectory) -> int:
    """The first round with another decision; 0 if there is none."""
    apart = (one.query != other.query) | (one.assortment != other.assortment).any(axis=1)
    return int(apart.argmax()) + 1 if apart.any() else 0


def check(xp: ModuleType, rounds: int) -> int:
    """Every policy that can run together, K = 1 and 2, beside its single run."""
    table, wrong, started = datasets.load("routerbench-standin"), [], time.perf_counter()
    for K, policy in product((1, 2), EVERY):
        if K == 2 and policy.startswith("Q-"):
            continue
        task = tasks_of(Case(11, K, 1, rounds), (policy,))[0]
        together = dict(play_together({0: task}, table, xp.zeros(1), backend.free_bytes(xp)))[0]
        alone = play(task, table)
        differs = first_difference(alone.trajectory, together.trajectory)
        wrong += [f"{task}, round {differs}"] if differs else []
        said = f"differs from round {differs}" if differs else "equal in every round"
        print(f"{policy:11} K = {K}  {said}  {1e3 * together.seconds / rounds:.2f} ms a round")
    print(f"{rounds} rounds each, {time.perf_counter() - started:.0f} s, {used(xp)}")
    for one in wrong:
        print(f"DIFFERS: {one} (a near-tie may; look at the scores of that round)", file=sys.stderr)
    return 1 if wrong else 0


def used(xp: ModuleType) -> str:
    """Memory that CuPy has taken from the card."""
    if xp is np:
        return "host memory"
    return f"{xp.get_default_memory_pool().total_bytes() / 2**30:.2f} GiB taken on the card"


def measure(case: Case, xp: ModuleType) -> dict[str, Any]:
    """Seconds of R runs together, and of single runs on one core; a warm-up is not in them."""
    table = datasets.load("routerbench-standin" if case.N == 11 else "embedllm-standin")
    tasks = tasks_of(case, LEARNERS)
    warm = tasks_of(Case(case.N, case.K, 1, 10), LEARNERS)
    list(play_together(dict(enumerate(warm)), table, xp.zeros(1), backend.free_bytes(xp)))
    play(warm[0], table)
    found = dict(play_together(dict(enumerate(tasks)), table, xp.zeros(1), backend.free_bytes(xp)))
    alone = [play(task, table) for task in tasks[:SINGLE]]
    same = [
        first_difference(one.trajectory, found[i].trajectory) == 0 for i, one in enumerate(alone)
    ]
    each, single = found[0].seconds, float(np.mean([one.seconds for one in alone]))
    return {
        **asdict(case),
        "seconds_per_run": round(each, 4),
        "cpu_core_seconds_per_run": round(single, 4),
        "times_two_cores": round(single / 2 / each, 3),
        "memory": used(xp),
        "same_decisions": all(same),
    }


def bench(xp: ModuleType, cases: tuple[Case, ...], place: Path) -> int:
    """Measure the cases; after each the record is written again, so that a stop loses one case."""
    rows: list[dict[str, Any]] = []
    card = backend.device_name(xp)
    for case in cases:
        rows.append(measure(case, xp))
        print(rows[-1], flush=True)
        record = provenance.stamp(command="make bench-gpu", data="stand-ins", seed=42)
        found = {"record": record, "card": card, "rows": rows}
        write_text(place / "speed_gpu.json", json.dumps(found, indent=1) + "\n")
    with style():
        save(draw(rows, card), "speed_gpu", record, place)
    return 0


def draw(rows: list[dict[str, Any]], card: str) -> plt.Figure:
    """How many times two cores' speed the card has, by the number of runs."""
    figure, axis = plt.subplots(figsize=(6, 4))
    for N, K in dict.fromkeys((row["N"], row["K"]) for row in rows):
        mine = [row for row in rows if (row["N"], row["K"]) == (N, K)]
        runs, times = [r["R"] for r in mine], [r["times_two_cores"] for r in mine]
        axis.plot(runs, times, marker="o", label=f"N = {N}, K = {K}")
    axis.set(xscale="log", yscale="log", xlabel="runs at once", ylabel="times two CPU cores")
    axis.set_title(card)
    axis.axhline(1.0, color="0.7", linewidth=0.8)
    axis.legend()
    return figure


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("check", "bench"))
    parser.add_argument("--short", action="store_true", help="a few rounds: does it run?")
    parser.add_argument("--backend", default="cupy", help="cupy, or numpy to try the command")
    parser.add_argument("--figures", type=Path, default=None, help="where to write")
    options = parser.parse_args()
    try:
        xp = backend.choose(options.backend)
    except backend.BackendError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{xp.__name__} {xp.__version__} on {backend.device_name(xp)}")
    if options.what == "check":
        return check(xp, 20 if options.short else 300)
    return bench(xp, SHORT if options.short else CASES, options.figures or paths.figures_dir())


if __name__ == "__main__":
    sys.exit(main())
