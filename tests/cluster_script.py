"""A tiny sweep on a local Dask cluster of two worker processes; tests start it as a program.

``python cluster_script.py FOLDER [fatal]``: runs go to FOLDER, the tidy table to FOLDER/tidy.parquet.
With "fatal" the world ends the process that uses it as often as its marker file says.
"""

from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path

from distributed import Client, LocalCluster

import tiny
from cqb import experiment
from cqb.experiment.cluster import DaskExecutor, Hold
from cqb.experiment.run_store import RunStore
from cqb.experiment.task import Cell


def main(folder: Path, fatal: bool) -> None:
    """Sweep, and write down what was sent and what came of it."""
    sent = []
    pack = Hold.__reduce_ex__
    Hold.__reduce_ex__ = lambda self, protocol: sent.append(self.name) or pack(self, protocol)
    settings, world = tiny.SETTINGS, tiny.table()
    if fatal:
        settings = settings.with_(cells=(Cell(1, 0.0, 0.4),), policies=("RANDOM",), T=50)
        world = tiny.fatal_world()
    about = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with LocalCluster(**about) as cluster, Client(cluster) as client:
        executor = DaskExecutor(client)
        store = RunStore(folder, world)
        tidy = experiment.sweep(settings, world, store=store, executor=executor)
        task_bytes = len(pickle.dumps(settings.tasks()[0]))
        report = {"workers": len(client.scheduler_info()["workers"]), "sent": len(sent)}
    tidy.to_parquet(folder / "tidy.parquet")
    (folder / "report.json").write_text(json.dumps({**report, "task_bytes": task_bytes}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), "fatal" in sys.argv[2:])
