"""A first look in a minute: four policies on real rows, one table, one figure, and a check.

``python notebooks/smoke.py [--rounds N] [--to FOLDER]``

The rows are those of ParetoBandit, which are part of this repository. The runs are part of the stored
study ``paretobandit-short``, so their regret is compared with the stored one. No tracked file changes.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from cqb import paths
from cqb.experiments import Experiment
from cqb.figures import save
from cqb.figures.experiments import curves
from cqb.files import write_text
from cqb.stats import final, summarise
from cqb.studies.experiments import EXPERIMENTS, STUDIES
from cqb.study.comparison import CLOSE, DIVERGED
from cqb.study.provenance import cores, stamp
from cqb.tables import file_text

STUDY = "paretobandit-short"
POLICIES = ("ACQB", "Q-UCB", "Q-ThS", "RANDOM")
COLUMNS = ["policy", "regret_mean", "regret_low", "regret_high", "queue_mean", "repeat_share"]
RUN = ["policy", "seed"]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status: 1 if a run disagrees with the stored table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--rounds", type=int, help="of each run; others than the stored ones are not compared"
    )
    parser.add_argument("--to", type=Path, default=paths.figures_dir() / "smoke", metavar="FOLDER")
    options = parser.parse_args(arguments)
    try:
        return 0 if smoke(options.rounds, options.to) else 1
    except (OSError, ValueError, RuntimeError) as error:
        print(f"smoke: {error}", file=sys.stderr)
        return 1


def smoke(rounds: int | None, folder: Path) -> bool:
    """Run, write, print; whether the runs agree with the stored ones.

    Parameters
    ----------
    rounds : of each run; None for those of the stored study.
    """
    began = time.monotonic()
    whole = EXPERIMENTS[STUDY]
    short = whole.with_(
        cells=whole.cells[:1], policies=POLICIES, T=whole.T if rounds is None else rounds
    )
    rows = short.study("smoke", 1).table(workers=cores(), keep=False)
    agrees, check = compared(rows, short) if short.T == whole.T else (True, "not compared: other T")
    table = final(summarise(rows))[COLUMNS].round(2)
    made = written(rows, table, short, folder)
    print(
        f"\n{rows['dataset'].iloc[0]} (real rows), {short.cells[0]}, {short.T} rounds, "
        f"{len(short.seeds)} seeds\n{table.to_string(index=False)}\n"
    )
    print(f"figure: {made[0]}\ntable:  {made[1]}\ncheck:  {check}")
    print(f"smoke: {'passed' if agrees else 'FAILED'} in {time.monotonic() - began:.0f} s")
    return agrees


def compared(rows: pd.DataFrame, short: Experiment) -> tuple[bool, str]:
    """Whether the final regret of each run is the stored one, and a line on it."""
    stored = final(STUDIES[STUDY].read()).merge(pd.DataFrame([vars(c) for c in short.cells]))
    both = final(rows).merge(stored, on=RUN, how="left", suffixes=("", "_stored"))
    off = (both["regret"] - both["regret_stored"]).abs() / both["regret_stored"].clip(lower=1)
    same = int((off <= CLOSE).sum())  # NaN, a run that is not stored, is none
    line = f"{same} of {len(both)} runs have the regret that is stored for {STUDY}"
    return len(both) - same <= DIVERGED * len(both), line


def written(
    rows: pd.DataFrame, table: pd.DataFrame, short: Experiment, folder: Path
) -> tuple[Path, Path]:
    """The figure and the table as files in `folder`."""
    figure = curves(summarise(rows), K=short.cells[0].K, value="regret")
    record = stamp(data=short.dataset, rounds=short.T, seeds=short.seeds, policies=short.policies)
    path = folder / "regret.csv"
    write_text(path, file_text(path.name, table))
    return save(figure, "regret", record, folder), path


if __name__ == "__main__":
    sys.exit(main())
