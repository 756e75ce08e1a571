"""Make the comparison and the studies beside it, and keep their tables with the code.

``python -m cqb.beyond DATASET [PART ...]``

Finished runs and pieces are kept, so that an interrupted call goes on with the next one. A comparison
that is stopped keeps what is done: ``--stored`` makes its tables of the runs that are there. With
``--changed`` only policies whose code is no longer that of the stored tables are run again.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from concurrent.futures import Executor

import threadpoolctl

from .. import paths
from ..experiment import results
from ..experiment.provenance import cores
from ..experiment.run_store import RunStore
from ..routing_table import RoutingTable
from . import calibration, reports, studies
from .runner import comparison, make_runs, tidy_table
from .standing import METRICS, NOTHING, changed, joined, standing, standing_study
from .waiting_study import WaitingStudy

COMPARISON, WAITING = "comparison", "waiting"
PARTS = (*studies.STUDIES, COMPARISON, WAITING)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m cqb.beyond", description=__doc__)
    parser.add_argument("dataset", help="routerbench or routerbench-standin")
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--workers", type=int, default=cores(), help="processes side by side")
    parser.add_argument("--stored", action="store_true", help="make no run of the comparison")
    parser.add_argument("--changed", action="store_true", help="run what other code made, no more")
    asked = parser.parse_args(arguments)
    if unknown := set(asked.parts) - set(PARTS):
        print(f"no part {', '.join(sorted(unknown))}; known: {', '.join(PARTS)}", file=sys.stderr)
        return 1
    table = calibration.load_table(asked.dataset)
    with threadpoolctl.threadpool_limits(limits=1, user_api="blas"):
        for part in asked.parts or PARTS:
            if part == COMPARISON:
                workers = None if asked.stored else asked.workers
                compare(asked.dataset, table, workers, all_=not asked.changed)
            elif part == WAITING:
                store_waits(asked.dataset, table, not asked.stored, all_=not asked.changed)
            else:
                study = studies.study_for(part, table.stand_in)
                frame = study.settings.run(table)
                path = studies.store(study, table, asked.dataset, frame)
                print(f"{part}: {len(frame)} rows, {path.name}", flush=True)
    return 0


def store_waits(dataset: str, table: RoutingTable, make: bool, all_: bool = True) -> None:
    """Store the waits in the comparison's runs, which are made where they are missing if `make`.

    Unless `all_` are asked for, what stands of the stored table is taken from there.
    """
    settings = comparison(dataset)
    study = studies.Study(WAITING, WaitingStudy(settings), "beyond.waiting")
    kept = NOTHING if all_ else standing_study(study, table, dataset)
    made = WaitingStudy(changed(settings, kept)).run(table, make)
    frame = joined(made, kept, settings)
    path = studies.store(study, table, dataset, frame, stands=kept.made)
    print(f"{WAITING}: {len(frame)} rows, {path.name}", flush=True)


def compare(
    dataset: str,
    table: RoutingTable,
    workers: int | None,
    executor: Executor | None = None,
    all_: bool = True,
) -> None:
    """Make the runs of the comparison (none where `workers` is None), store its table, write reports.

    Unless `all_` are asked for, what stands of the stored table is taken from there.
    """
    settings = comparison(dataset)
    kept = NOTHING if all_ else standing(settings, table)
    rest = changed(settings, kept)
    if kept.made:
        print(f"of the stored table stand {', '.join(kept.made)}", flush=True)
    store = RunStore(paths.runs_dir(), table)
    if workers is not None:
        made = make_runs(rest, table, store, workers=workers, executor=executor)
        print(f"{made} runs made", flush=True)
    tidy = joined(results.as_stored(tidy_table(rest, table, store)), kept, settings)
    codes = studies.codes(METRICS, settings.policies)
    path = results.store(tidy, settings, table, codes=codes, stands=kept.made)
    folder = paths.figures_dir() / ("" if table.stand_in else "real")
    about = {"dataset": table.name, "stand_in": table.stand_in, "data": table.data_hash()}
    reports.write(tidy, folder, **about)
    print(f"{COMPARISON}: {path.name}, reports in {folder.name}/beyond_*.csv")


if __name__ == "__main__":
    sys.exit(main())
