"""A tiny experiment on a local Dask cluster of two worker processes; tests start it as a program.

``python cluster_script.py FOLDER [fatal]``: the tidy table goes to FOLDER/tidy.parquet. With "fatal" the
environment ends the process that uses it as often as its marker file says.
"""

import json
import sys
from pathlib import Path

from distributed import Client, LocalCluster

import cqb
import tiny
from cqb.routing_table import RoutingTable
from cqb.study.cluster import DaskExecutor


def main(folder: Path, fatal: bool) -> None:
    """Run, and write down how often the table was sent and what came of it."""
    sent = []
    pack = RoutingTable.__reduce_ex__
    RoutingTable.__reduce_ex__ = lambda self, protocol: sent.append(1) or pack(self, protocol)
    about = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with LocalCluster(**about) as cluster, Client(cluster) as client:
        executor = DaskExecutor(client)
        if fatal:
            world, how = tiny.fatal_world(), {"arrival_rate": 0.4, "T": 50, "seeds": [1, 2]}
            tidy = cqb.run(world, ["RANDOM"], executor=executor, **how)
        else:
            tidy = cqb.run(tiny.table(), ["ACQB", "RANDOM"], executor=executor, **tiny.CLUSTER)
        report = {"workers": len(client.scheduler_info()["workers"]), "sent": len(sent)}
    tidy.to_parquet(folder / "tidy.parquet")
    (folder / "report.json").write_text(json.dumps(report))


if __name__ == "__main__":
    main(Path(sys.argv[1]), "fatal" in sys.argv[2:])
