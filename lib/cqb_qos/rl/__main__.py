"""Train the learned policies: ``python -m cqb_qos.rl``.

Each policy of :data:`..trainees.MAIN` and its controls is trained, or taken up where an earlier
training stopped; the weights of its best checkpoint and the record of its training are written to the
results folder. Checkpoints are kept in the runs folder.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from cqb import paths
from cqb.experiment.provenance import machine, packages, plain
from .. import learned
from ..trainees import CONTROLS, MAIN
from .settings import Training
from .train import train


def main(arguments: Sequence[str] | None = None) -> int:
    """Train all policies, or those named; returns the exit status."""
    trainees = {trainee.file: trainee for trainee in MAIN + CONTROLS}
    parser = argparse.ArgumentParser(
        prog="python -m cqb_qos.rl",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", nargs="+", choices=list(trainees), default=list(trainees))
    parser.add_argument("--results", type=Path, default=None, help="where the weights go")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)  # larger teams only wait for each other on networks this small
    for name in options.only:
        trainee = trainees[name]
        training = Training().with_(network=trainee.network, beta=trainee.beta, seed=trainee.seed)
        done = train(training, paths.runs_dir() / "qos-rl", say=_say)
        path = learned.stored(name, options.results)
        about = {"training": plain(training), "history": done.history}
        learned.store(done.router, path, **about, machine=machine(), packages=packages())
        _say(f"{name}: best validation {max(row['mean'] for row in done.history):.4f}, stored")
    return 0


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
