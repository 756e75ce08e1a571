"""The paper's experiments in full: every set that is there, every arrival rate, K, lam and policy.

Ten seeds and 5,000 rounds on the real rows of RouterBench, SPROUT and EmbedLLM (those that are there),
on this machine's cores or on a Dask cluster. Finished runs are kept, so it goes on where it stopped.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from pathlib import Path

import pandas as pd

from .. import experiment, figures, paths
from ..datasets.pins import ENTRIES
from ..experiment import fidelity, results, results_table
from ..experiment.provenance import stamp
from ..experiment.run_store import RunStore
from ..experiment.settings import PAPER, Settings
from ..routing_table import RoutingTable

PATIENCE = "30s"  # for a scheduler to answer
FOLDERS = {
    "routerbench": ("CQB_ROUTERBENCH_DIR", paths.routerbench_dir),
    "sprout": ("CQB_SPROUT_DIR", paths.sprout_dir),
    "embedllm": ("CQB_EMBEDLLM_DIR", paths.embedllm_dir),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m cqb.artifact.paper", description=__doc__)
    parser.add_argument("--scheduler", metavar="tcp://HOST:PORT", help="of a Dask cluster")
    parser.add_argument("--workers", type=int, help="processes side by side (default: all cores)")
    options = parser.parse_args(arguments)
    try:
        with _executor(options.scheduler) as executor:
            made = [
                _experiment(PAPER[name], table, options.workers, executor)
                for name, table in _tables()
            ]
    except KeyboardInterrupt:
        print(
            "\npaper: interrupted; finished runs are kept, run it again to go on", file=sys.stderr
        )
        return 130
    except (OSError, ValueError, ImportError, RuntimeError) as error:
        notes = "".join(f"\n  {note}" for note in getattr(error, "__notes__", ()))
        print(f"paper: {error}{notes}", file=sys.stderr)
        return 1
    if not made:
        print("paper: none of the three sets is there, so nothing was run", file=sys.stderr)
        return 1
    fidelity.write(made, paths.figures_dir() / "real" / "paper_claims.csv", sets=len(made))
    return 0


def _tables() -> Iterator[tuple[str, RoutingTable]]:
    """The sets that are there, each loaded when its turn comes; one line for each that is not.

    A set that a variable points to is asked for, so that files missing from it are an error.
    """
    for name, (variable, folder) in FOLDERS.items():
        try:
            table = experiment.load_table(name)
        except FileNotFoundError as error:
            if folder() is not None:
                raise
            how = "`make data` downloads it, or set" if ENTRIES[name].pinned else "set"
            print(
                f"{name}: skipped, it is not here ({error}); {how} {variable} to a folder of its "
                "files",
                flush=True,
            )
            continue
        yield name, table


def _experiment(
    settings: Settings, table: RoutingTable, workers: int | None, executor: Executor | None
) -> pd.DataFrame:
    """Make the runs of one set, its stored table, its figure grid and its table of results."""
    print(f"{table.name}: {len(table)} rows; {len(settings.tasks())} runs", flush=True)
    runs = RunStore(paths.runs_dir(), table)
    tidy = experiment.sweep(settings, table, store=runs, workers=workers, executor=executor)
    tidy = results.as_stored(tidy)
    results.store(tidy, settings, table)
    folder = paths.figures_dir() / "real"
    record = stamp(settings=settings, data=table.data_hash())
    summary = results.summarise(tidy)
    for K in sorted({cell.K for cell in settings.cells}):
        for value in ("regret", "gap"):
            figure = figures.curves(summary, K=K, value=value)
            figures.save(figure, f"{settings.dataset}_{value}_K{K}", record, folder)
    path = folder / f"{settings.dataset}_results.csv"
    results_table.write(tidy, path, settings=settings, key=results.key(settings, table))
    print(
        f"  {_said(path)}: every setting with its interval, difference to ACQB and the authors' number"
    )
    return tidy


def _said(path: Path) -> str:
    return str(path.relative_to(paths.figures_dir().parent))


@contextlib.contextmanager
def _executor(scheduler: str | None) -> Iterator[Executor | None]:
    """The cluster behind the address, or None for this machine's cores."""
    if scheduler is None:
        yield None
        return
    try:
        from distributed import Client

        from ..experiment.cluster import DaskExecutor
    except ImportError as error:
        raise ImportError(
            f'a Dask cluster needs distributed: install it with `pip install "cqb[cluster]"` ({error})'
        ) from error
    with Client(scheduler, timeout=PATIENCE) as client:
        workers = client.scheduler_info()["workers"].values()
        print(f"{scheduler}: {len(workers)} workers", flush=True)
        if any(worker["nthreads"] > 1 for worker in workers):
            print("  a run takes one core: start workers with --nthreads 1", flush=True)
        yield DaskExecutor(client)


if __name__ == "__main__":
    sys.exit(main())
