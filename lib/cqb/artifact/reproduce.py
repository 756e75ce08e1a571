"""From data to figures: run the experiments, write their tables, execute the notebooks.

On the stand-ins, or on the real rows in the folders that CQB_ROUTERBENCH_DIR, CQB_SPROUT_DIR and
CQB_EMBEDLLM_DIR name. A smoke run goes the same way with two seeds and 1,000 rounds, and leaves all
that it makes in a temporary folder.
"""

from __future__ import annotations

import argparse
import contextlib
import resource
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .. import experiment, paths
from ..experiment import fidelity, results, results_table, view_store
from ..experiment.metrics import KEYS, MEASURES
from ..experiment.run_store import RunStore, ensure_writable
from ..experiment.settings import EMBEDLLM, EXPERIMENTS, ROUTERBENCH, SPROUT, Settings
from ..experiment.summary import write_summary
from ..routing_table import RoutingTable
from .notebooks import check_parameters, execute

REAL = {
    "03_routerbench": (paths.routerbench_dir, ROUTERBENCH.with_(dataset="routerbench")),
    "04_sprout": (paths.sprout_dir, SPROUT.with_(dataset="sprout")),
    "05_embedllm": (paths.embedllm_dir, EMBEDLLM.with_(dataset="embedllm")),
}
SMOKE: dict[str, Any] = {"seeds": (42, 43), "T": 1000}


@dataclass(frozen=True)
class Places:
    """Where a reproduction writes.

    Attributes
    ----------
    runs : finished runs. tables : stored tables. figures : the figures folder, whose part `real` takes
        what is drawn from real rows and `notebooks` the executed copies.
    real : whether the data are real rows.
    """

    runs: Path
    tables: Path
    figures: Path
    real: bool

    @property
    def drawn(self) -> Path:
        """Where figures and their summary go."""
        return self.figures / "real" if self.real else self.figures

    @property
    def notebooks(self) -> Path:
        """Where executed notebooks go."""
        return self.figures / "notebooks"

    def check(self) -> None:
        """Raise OSError, naming the folder, if one of them cannot be written to."""
        for folder in (self.runs, self.tables, self.drawn, self.notebooks):
            ensure_writable(folder)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m cqb.artifact.reproduce", description=__doc__)
    parser.add_argument(
        "--smoke", action="store_true", help="2 seeds, 1,000 rounds, all output to a new folder"
    )
    parser.add_argument("--workers", type=int, help="processes side by side (default: all cores)")
    options = parser.parse_args(arguments)
    found = {name: settings for name, (folder, settings) in REAL.items() if folder() is not None}
    real = bool(found)
    chosen = found or EXPERIMENTS
    try:
        if options.smoke:
            folder = Path(tempfile.mkdtemp(prefix="cqb-smoke-"))
            places = Places(folder / "runs", folder / "results", folder / "figures", real)
            chosen = {name: settings.with_(**SMOKE) for name, settings in chosen.items()}
        else:
            tables = paths.data_dir() / "results"
            places = Places(paths.runs_dir(), tables, paths.figures_dir(), real)
        reproduce(chosen, places, options.workers)
    except KeyboardInterrupt:
        print(
            "\nreproduce: interrupted; finished runs are kept, run it again to go on",
            file=sys.stderr,
        )
        return 130
    except (OSError, ValueError, ImportError, RuntimeError) as error:
        notes = "".join(f"\n  {note}" for note in getattr(error, "__notes__", ()))
        print(f"reproduce: {error}{notes}", file=sys.stderr)
        return 1
    return 0


def reproduce(
    experiments: Mapping[str, Settings], places: Places, workers: int | None = None
) -> None:
    """Run the experiments, write tables and summary, execute the notebooks, say where to look.

    Parameters
    ----------
    experiments : settings by the name of the notebook that shows them.

    Raises
    ------
    OSError
        A folder cannot be written to (told before any work), or the data are not there.
    ValueError, ImportError
        The data are wrong, or the encoder they need is not installed.
    RuntimeError
        A worker died twice over one run, or a notebook failed (:class:`.notebooks.NotebookError`).
    """
    places.check()
    chosen = _notebooks(experiments, places)
    tables, keys = [], {}
    for settings in experiments.values():
        tidy, keys[settings.dataset] = _experiment(settings, places, workers)
        tables.append(tidy)
        path = places.drawn / f"{settings.dataset}_results.csv"
        results_table.write(tidy, path, key=keys[settings.dataset])
    write_summary(pd.concat(tables), places.drawn / "summary.csv", keys=keys)
    fidelity.write(tables, places.drawn / "claims.csv", keys=keys)
    for notebook, parameters in chosen.items():
        variables = {"CQB_RUNS": str(places.runs), "CQB_FIGURES": str(places.figures)}
        with _step(f"execute {notebook.name}"):
            execute(notebook, places.notebooks / notebook.name, parameters, variables)
    print(f"figures and summary.csv: {places.drawn}")
    print(f"executed notebooks:      {places.notebooks}")
    print(f"every run's numbers:     {places.tables}")


def _experiment(
    settings: Settings, places: Places, workers: int | None
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Make and store the runs of one experiment: its tidy table, as stored, and the table's key."""
    with _step(f"load {settings.dataset}"):
        table = experiment.load_table(settings.dataset)
    print(f"  {_described(table)}")
    earlier = _earlier(settings, table, places.tables)
    with _step(f"make {len(settings.tasks())} runs of {settings.T} rounds"):
        runs = RunStore(places.runs, table)
        tidy = experiment.sweep(settings, table, store=runs, workers=workers)
    tidy = results.as_stored(tidy)
    print(f"  {compared(tidy, earlier)}")
    about = {"report": dict(table.report), "peak_memory_mib": _peak_memory()}
    results.store(tidy, settings, table, folder=places.tables, **about)
    view_store.store(settings, table, runs, folder=places.tables)
    return tidy, results.key(settings, table)


def compared(tidy: pd.DataFrame, earlier: pd.DataFrame | None) -> str:
    """One line on how a new table agrees with an earlier one of the same key; seconds are left out."""
    if earlier is None:
        return "no table of these settings, data and code is stored to compare with"
    columns = [*KEYS, *(measure for measure in MEASURES if measure != "seconds")]
    if tidy[columns].equals(earlier[columns]):
        return "every number agrees with the stored table"
    apart = np.abs(tidy["regret"].to_numpy() - earlier["regret"].to_numpy()).max()
    return f"differs from the stored table, in cumulative regret by up to {apart:.3g} departures"


def _notebooks(experiments: Mapping[str, Settings], places: Places) -> dict[Path, dict[str, Any]]:
    """The notebooks to execute, with their parameters: those on real rows, or all of them."""
    folder = paths.root() / "notebooks"
    subjects = {}
    for name, settings in experiments.items():
        parameters = {
            "DATA": settings.dataset,
            "SEEDS": len(settings.seeds),
            "T": settings.T,
            "FIGURES": str(places.drawn),
        }
        check_parameters(folder / f"{name}.ipynb", parameters)
        subjects[folder / f"{name}.ipynb"] = parameters
    others = [] if places.real else sorted(folder.glob("*.ipynb"))
    return {**{path: {} for path in others}, **subjects}


def _earlier(settings: Settings, table: RoutingTable, folder: Path) -> pd.DataFrame | None:
    """The stored table, if there is one that is whole and of the same key."""
    try:
        tidy, record = results.load(settings.dataset, folder)
    except (FileNotFoundError, ValueError):
        return None
    return tidy if record["key"] == results.key(settings, table) else None


def _described(table: RoutingTable) -> str:
    text = f"{table.name}: {len(table)} rows, {len(table.models)} models"
    report = table.report
    if dropped := sum(report.get("rows_dropped", {}).values()):
        text += f"; {dropped} of {report['rows_read']} rows dropped as incomplete"
    if "distinct_vectors" in report:
        text += f"; {report['distinct_vectors']} distinct vectors"
    if "truncated_share" in report:
        text += f", {report['truncated_share']:.1%} of prompts truncated"
    return text


def _peak_memory() -> dict[str, float]:
    """Largest resident memory so far, MiB, of this process and of any one worker."""
    unit = 2**20 if sys.platform == "darwin" else 2**10  # getrusage tells bytes there, KiB here
    who = {"main": resource.RUSAGE_SELF, "largest_worker": resource.RUSAGE_CHILDREN}
    return {name: round(resource.getrusage(which).ru_maxrss / unit) for name, which in who.items()}


@contextlib.contextmanager
def _step(what: str) -> Iterator[None]:
    """Say what begins, and how long it took when it ends well."""
    print(what, flush=True)
    started = time.monotonic()
    yield
    print(f"  {time.monotonic() - started:.1f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
