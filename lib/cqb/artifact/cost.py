"""What the whole paper costs, from measured runs: hours of one core, and hours on many machines.

``python -m cqb.artifact.cost [--cluster]``

One run of each policy and K on the stand-in of each set; and, with --cluster, one sweep on a local Dask
cluster of one and of two worker processes. Writes ``paper_cost.json`` among the stored results.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from .. import experiment, paths
from ..experiment.schedule import makespan
from ..experiment.settings import BASELINES, LONG_VECTORS, PAPER, ROUTERBENCH, Settings
from ..experiment.stored import write_record
from ..experiment.task import Task, play
from ..experiment.workers import play_all

FILE = "paper_cost.json"
# Policies that cost alike are measured once, by the first named.
LIKE = {"ACQB-T": "ACQB", "CQB-eps": "ACQB"}
REPEATS = 3
CORES = (1, 2, 16, 200)  # 200: a hundred machines of two cores


def place() -> Path:
    """Where the measurement is kept."""
    return paths.data_dir() / "results" / FILE


def measure(dataset: str) -> list[dict[str, Any]]:
    """CPU seconds of one run of each policy and K on the stand-in of `dataset`; a dict for each.

    At lam = 1, the middle arrival rate and seed 42.
    """
    table = experiment.load_table(f"{dataset}-standin")
    rows = []
    for K in (1, 2):
        rates = sorted({cell.arrival_rate for cell in PAPER[dataset].cells if cell.K == K})
        chosen = [t for t in _tasks(PAPER[dataset], K) if t.cell.arrival_rate == rates[1]]
        for task in [t for t in chosen if t.policy not in LIKE]:
            started = time.process_time()
            play(task, table)
            seconds = round(time.process_time() - started, 3)
            rows.append({"dataset": dataset, "policy": task.policy, "K": K, "seconds": seconds})
    return rows


def _tasks(settings: Settings, K: int) -> list[Task]:
    """The tasks of one seed and K at lam = 1."""
    seed = settings.seeds[0]
    tasks = settings.with_(seeds=(seed,)).tasks()
    return [task for task in tasks if task.cell.K == K and task.cell.lam == 1.0]


def every_run(rows: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """Every run of the paper with its seconds: columns dataset, policy, K and seconds."""
    known = {(row["dataset"], row["policy"], row["K"]): row["seconds"] for row in rows}
    runs = []
    for dataset, settings in PAPER.items():
        for task in settings.tasks():
            of = (dataset, LIKE.get(task.policy, task.policy), task.cell.K)
            runs.append(
                {"dataset": dataset, "policy": task.policy, "K": task.cell.K, "seconds": known[of]}
            )
    return pd.DataFrame(runs)


def cost_text(record: dict[str, Any]) -> str:
    """The record in text: core hours by set, the longest run, hours on some numbers of cores."""
    runs = every_run(record["runs"])
    lines = []
    for dataset, own in runs.groupby("dataset", sort=False):
        hours = own["seconds"].sum() / 3600
        longest = own.loc[own["seconds"].idxmax()]
        lines.append(
            f"{dataset}: {len(own)} runs, {hours:.1f} core hours; the longest run "
            f"({longest['policy']}, K = {longest['K']}) {longest['seconds']:.0f} s"
        )
    plain = runs[runs["policy"] != LONG_VECTORS]
    for name, some in (("all runs", runs), (f"all but {LONG_VECTORS}", plain)):
        spans = {cores: makespan(some["seconds"], cores) / 60 for cores in CORES}
        said = ", ".join(f"{cores} cores {minutes:.1f} min" for cores, minutes in spans.items())
        lines.append(f"{name} ({len(some)}): {said}")
    for row in record["cluster"]:
        lines.append(
            f"a sweep of {row['runs']} runs on a local Dask cluster of {row['workers']} worker "
            f"process(es): {row['seconds']:.1f} s, the best of {REPEATS} (load average "
            f"{row['load_average'][0]:g} on {record['machine']['cores']} cores)"
        )
    return "\n".join(lines)


def measure_cluster(workers: int) -> dict[str, Any]:
    """Wall-clock seconds of one sweep on a local Dask cluster of so many worker processes, the best of
    :data:`REPEATS`, since whatever else runs meanwhile can only add to it.

    The workers have the code and the table beforehand: a sweep of hours does not wait for them.
    """
    from distributed import Client, LocalCluster

    from ..experiment.cluster import DaskExecutor

    table = experiment.load_table(ROUTERBENCH.dataset)
    tasks = _acqb(seeds=16, T=2000)
    about = {"n_workers": workers, "threads_per_worker": 1, "dashboard_address": None}
    with LocalCluster(**about) as cluster, Client(cluster) as client:
        executor = DaskExecutor(client)
        deque(play_all(_acqb(seeds=2 * workers, T=100), table, executor=executor), maxlen=0)
        seconds = []
        for _ in range(REPEATS):
            started = time.monotonic()
            deque(play_all(tasks, table, executor=executor), maxlen=0)
            seconds.append(time.monotonic() - started)
    load = [round(value, 2) for value in os.getloadavg()]
    about = {"workers": workers, "runs": len(tasks), "load_average": load}
    return {**about, "seconds": round(min(seconds), 2)}


def _acqb(*, seeds: int, T: int) -> list[Task]:
    """ACQB in the first cell of RouterBench's settings."""
    settings = ROUTERBENCH.with_(
        cells=ROUTERBENCH.cells[:1], policies=("ACQB",), seeds=tuple(range(seeds)), T=T
    )
    return [task for task in settings.tasks() if task.policy not in BASELINES]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m cqb.artifact.cost", description=__doc__)
    parser.add_argument("--cluster", action="store_true", help="measure a local Dask cluster too")
    options = parser.parse_args(arguments)
    path = place()
    rows = [row for dataset in PAPER for row in measure(dataset)]
    cluster = [measure_cluster(workers) for workers in (1, 2)] if options.cluster else []
    write_record(path, runs=rows, cluster=cluster)
    print(cost_text(json.loads(path.read_text("utf-8"))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
