"""All checks of the theory: ``python -m cqb.theory [--ci | --quick | --full]``.

Writes the verdicts to ``theory_verdicts.json`` in the figures folder and the fitted slopes beside
them in ``theory_slopes.csv``. Progress goes to the standard output; finished steps and runs are
kept in the runs folder, so the same command goes on after an interruption.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from .. import paths
from ..experiment.provenance import cores
from ..files import write_text
from . import asymptotic, verdicts
from .catalogue import measured, run_all
from .settings import SETTINGS


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the checks; returns the exit status, 1 where a prediction fails."""
    parser = argparse.ArgumentParser(prog="python -m cqb.theory", description=__doc__)
    group = parser.add_mutually_exclusive_group()
    for name in SETTINGS:
        group.add_argument(f"--{name}", dest="setting", action="store_const", const=name)
    parser.add_argument("--workers", type=int, default=cores(), help="processes side by side")
    parser.add_argument("--figures", type=Path, default=None, help="where the verdicts go")
    options = parser.parse_args(arguments)
    setting = SETTINGS[options.setting or "quick"]
    # Worker processes take one BLAS thread each.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    folder = paths.runs_dir() / "theory"
    checks = run_all(setting, folder, options.workers, _say)
    place = options.figures or paths.figures_dir()
    verdicts.write(place / "theory_verdicts.json", checks)
    frame = measured(setting, folder, options.workers)
    slopes = asymptotic.slopes(frame)
    write_text(place / "theory_slopes.csv", slopes.round(4).to_csv(index=False))
    _say(verdicts.summary(checks)[["id", "estimate", "95% interval", "verdict"]].to_string())
    _say(slopes.round(3).to_string(index=False))
    return int(any(check.verdict.verdict == verdicts.FAILS for check in checks))


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
