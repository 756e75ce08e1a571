"""The whole comparison: ``python -m cqb_port [--part NAME]``.

On the stand-in, or on the real rows in the folder that CQB_ROUTERBENCH_DIR names. Tables go to the
results in the data folder, a summary of each part (:data:`SUMMARIES`) to the figures folder (its part
``real`` for real rows). Finished tasks are kept in the runs folder, so the same
command goes on after an interruption.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

import pandas as pd

from cqb import experiment, paths
from cqb.routing_table import RoutingTable
from . import runs, summary, tables
from .parts import PARTS, table_name, tasks_of

SUMMARIES = {
    "comparison": "port_summary.csv",
    "sweeps": "port_sweeps.csv",
    "queue": "port_queue.csv",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the study; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m cqb_port", description=__doc__)
    parser.add_argument(
        "--part", choices=PARTS, action="append", help="only this part (repeatable)"
    )
    options = parser.parse_args(arguments)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    real = paths.routerbench_dir() is not None
    name = "routerbench" if real else "routerbench-standin"
    try:
        table = experiment.load_table(name)
        frames = {part: _part(part, name, table) for part in options.part or PARTS}
        _summaries(frames, table)
    except KeyboardInterrupt:
        print(
            "\nport: interrupted; finished tasks are kept, run it again to go on", file=sys.stderr
        )
        return 130
    except (OSError, ValueError, ImportError, RuntimeError) as error:
        print(f"port: {error}", file=sys.stderr)
        return 1
    return 0


def _part(part: str, name: str, table: RoutingTable) -> pd.DataFrame:
    """Perform a part and store its table."""
    tasks = tasks_of(part, table.stand_in)
    print(f"{part} on {table.name}: {len(tasks)} tasks", flush=True)
    frame = runs.perform(part, tasks, table, paths.runs_dir() / "port", _say)
    key = tables.key(tasks, table, runs.PLAYERS[part][1])
    path = tables.store(frame, table_name(part, name), key, table)
    print(f"  {len(frame)} rows in {path.name}", flush=True)
    return frame


def _summaries(frames: dict[str, pd.DataFrame], table: RoutingTable) -> None:
    """A file for each part that was performed; those of other parts stay as they are."""
    folder = paths.figures_dir() / ("" if table.stand_in else "real")
    for part, frame in frames.items():
        rows = (
            summary.summarise(frame, summary.QUEUE_METRICS)
            if part == "queue"
            else summary.summarise(frame)
        )
        target = folder / SUMMARIES[part]
        summary.write(rows, table.name, table.stand_in, target, data=table.data_hash())


def _say(done: int, everything: int) -> None:
    if done % 10 == 0 or done == everything:
        print(f"  {done} of {everything} tasks", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
