"""Every policy on every load: ``python -m cqb_qos``.

Chooses the prices of the rules on training seeds, runs all rules on others, and then the learned
policies, from their stored weights, on the same. Writes the rows to ``qos-sweep.parquet`` and
``qos-learned.parquet`` in the results folder and the summary of both to ``qos_summary.csv`` in the
figures folder, each with its record. Finished parts are kept in the runs folder, so that the same
command goes on after an interruption.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from cqb import paths
from . import learned_study, tables
from .findings import qos_table
from .learned_study import Study
from .sweep import DEFAULT, Settings, best_prices, run


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the sweep; returns the exit status."""
    standard = Settings()
    parser = argparse.ArgumentParser(
        prog="python -m cqb_qos",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--requests", type=int, default=standard.requests, help="of a run")
    parser.add_argument("--seeds", type=int, default=len(standard.seeds), help="how many, from 200")
    parser.add_argument("--results", type=Path, default=None, help="where the rows go")
    parser.add_argument("--figures", type=Path, default=None, help="where the summary goes")
    options = parser.parse_args(arguments)
    first = standard.seeds[0]
    settings = standard.with_(
        requests=options.requests, seeds=tuple(range(first, first + options.seeds))
    )
    tidy = run(settings, say=_say)
    tables.store(tidy, settings, options.results)
    study = Study.beside(settings)
    learned = learned_study.run(study, say=_say)
    learned_study.store(learned, study, options.results)
    both = pd.concat([tidy, learned], ignore_index=True)
    place = options.figures or paths.figures_dir()
    keys = {"sweep": tables.key(settings), "learned": learned_study.key(study)}
    tables.write_summary(both, place / "qos_summary.csv", key=keys)
    _say(f"prices: {best_prices(tidy)}")
    _say(qos_table(both, settings.loads[DEFAULT]).to_string())
    return 0


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
