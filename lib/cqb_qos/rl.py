"""Train the learned policies (the optional extra `rl`): ``python -m cqb_qos.rl``.

Each model of :data:`.trained_models.MODELS` is trained; a training that was interrupted continues from
its last checkpoint in the runs folder. The weights of the best checkpoint and the record of the training
are written to the results folder.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch

from cqb import paths
from cqb.study.provenance import machine, packages, plain

from .trained_models import MODELS, store
from .training import Training, train


def main(arguments: Sequence[str] | None = None) -> int:
    """Train all policies, or those named; returns the exit status."""
    names = {Path(m.file).stem.removeprefix("qos-policy-"): m for m in MODELS.values()}
    parser = argparse.ArgumentParser(prog="python -m cqb_qos.rl", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=list(names), default=list(names))
    parser.add_argument("--results", type=Path, help="folder of the weights")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)  # larger teams only wait for each other on networks this small
    say = partial(print, flush=True)
    for name in options.only:
        model = names[name]
        training = Training().with_(**model._asdict())
        router, history = train(training, paths.runs_dir() / "qos-rl", say)
        about = {"training": plain(training), "history": history}
        path = (options.results or paths.results_dir()) / model.file
        store(router, path, **about, machine=machine(), packages=packages())
        best = max(row["mean"] for row in history)
        say(f"{name}: best validation {best:.4f}, stored")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
