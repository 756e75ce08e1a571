"""Run the sensitivity studies and store their tables; draw the figures of real rows.

``python -m cqb.sensitivity [standin] [routerbench]``

Both by default. Finished runs are kept, so that an interrupted study goes on with the next call.
"routerbench" needs real rows (CQB_ROUTERBENCH_DIR, or the download).
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from .. import paths
from ..experiment.provenance import stamp
from ..experiment.sweeps import load_table
from ..house_style import save
from . import plots, study
from .points import FACTORS, STUDIES


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m cqb.sensitivity", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(STUDIES))
    names = parser.parse_args(arguments).names or list(STUDIES)
    if unknown := set(names) - set(STUDIES):
        print(
            f"no study {', '.join(sorted(unknown))}; known: {', '.join(STUDIES)}", file=sys.stderr
        )
        return 1
    for name in names:
        try:
            _one(name)
        except (OSError, ValueError) as error:
            print(f"sensitivity: {name}: {error}", file=sys.stderr)
            return 1
    return 0


def _one(name: str) -> None:
    """Run one study and store its table; of real rows, draw a figure for each factor too."""
    chosen = STUDIES[name]
    table = load_table(chosen.dataset)
    started = time.process_time()
    runs = study.run(chosen, table, paths.runs_dir() / "sensitivity")
    path = study.store(chosen, table, runs)
    print(f"{name}: {len(runs)} runs, {time.process_time() - started:.0f} CPU s, {path.name}")
    if table.stand_in:
        return
    about = {"command": "python -m cqb.sensitivity", "study": chosen.name}
    record = stamp(**about, seeds=chosen.seeds, data=table.data_hash())
    for factor in FACTORS:
        figure = plots.factor(runs, factor)
        save(figure, f"03_sensitivity_{factor}", record, paths.figures_dir() / "real")


if __name__ == "__main__":
    sys.exit(main())
