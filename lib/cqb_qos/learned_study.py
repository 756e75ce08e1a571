"""The learned policies on the sweep's workloads, from their stored weights, and the committed rows.

Weights are read and applied with NumPy: nothing here trains, or needs the extra `rl`. The rows look like
the sweep's, one per policy, load and seed, so that both can be compared on the same requests.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cqb import paths
from cqb.experiment.code_hash import code_hash
from cqb.experiment.provenance import digest
from cqb.experiment.stored import (
    StaleResultsWarning,
    place,
    read_stored,
    write_record,
    write_table,
)
from cqb.files import sha256_file
from . import learned
from .decision import Policy
from .episodes import Episodes, serve
from .evaluate import TIMED, batch_of
from .learned import LearnedRouter
from .metrics import measure
from .sweep import COLUMNS, DEFAULT, JUDGED, Settings, named_system
from .sweep import TIMED as TIMED_LOAD
from .synthetic import Load
from .system import System
from .trainees import CONTROLS, MAIN, Trainee

FORMAT = "cqb qos learned results 1"
NAME = "qos-learned"


@dataclass(frozen=True)
class Study:
    """Which policies are run on which loads; requests, seeds and N are the sweep's.

    Attributes
    ----------
    loads : of the main policies. control_loads : of the others.
    """

    requests: int = 5000
    seeds: tuple[int, ...] = tuple(range(200, 210))
    trainees: tuple[Trainee, ...] = MAIN + CONTROLS
    loads: tuple[Load, ...] = field(default_factory=lambda: Settings().loads[DEFAULT])
    control_loads: tuple[Load, ...] = JUDGED
    N: int = 3

    @classmethod
    def beside(cls, settings: Settings) -> Study:
        """The study of the learned policies on the workloads of a sweep."""
        return cls(
            requests=settings.requests,
            seeds=settings.seeds,
            loads=settings.loads[DEFAULT],
            N=settings.N,
        )


def run(
    study: Study,
    *,
    weights: Path | None = None,
    parts: Path | None = None,
    say: Callable[[str], None] = print,
) -> pd.DataFrame:
    """The rows of a study, with the sweep's columns; `say` is told of each policy.

    Parameters
    ----------
    weights : the folder of stored weights, by default `results` in the data folder.
    parts : of finished policies, by default `qos-learned` in the runs folder: a run goes on from there.

    Raises
    ------
    FileNotFoundError, ValueError
        Weights are missing, or damaged.
    OSError
        The folder of parts cannot be written to.
    """
    tables, parts = [], parts or paths.runs_dir() / "qos-learned"
    for trainee in study.trainees:
        start = time.perf_counter()
        path = learned.stored(trainee.file, weights)
        router, _ = learned.load(path, study.N)
        rest = replace(study, trainees=(trainee,))
        mark = digest([FORMAT, rest, code(), sha256_file(path), named_system(DEFAULT, study.N)])
        rows = _kept(place(f"{trainee.file}-{mark[:12]}", parts), rest, router)
        tables.append(rows)
        say(f"{trainee.policy}: {time.perf_counter() - start:.1f} s")
    return pd.concat(tables, ignore_index=True)


def _kept(path: Path, study: Study, router: LearnedRouter) -> pd.DataFrame:
    """The rows of the one policy of a study, played unless they are kept at `path`."""
    try:
        return read_stored(path, FORMAT)[0]
    except FileNotFoundError:
        pass
    except ValueError as error:
        warnings.warn(f"{error}; the policy is run again", StaleResultsWarning, stacklevel=3)
    rows = _play(study, router)
    sha256 = write_table(path, rows)
    write_record(path.with_suffix(".json"), format=FORMAT, sha256=sha256)
    return rows


def _play(study: Study, router: LearnedRouter) -> pd.DataFrame:
    """The rows of the one policy of a study."""
    (trainee,), system = study.trainees, named_system(DEFAULT, study.N)
    loads = study.loads if trainee in MAIN else study.control_loads
    measured = measure(serve(batch_of(loads, study.seeds, study.requests, system), system, router))
    which = [(load.kind, load.rate, seed) for load in loads for seed in study.seeds]
    about = {"part": "test", "system": DEFAULT, "policy": trainee.policy, "price": 0.0}
    about |= {"requests": study.requests}
    about["decision_ms"] = decision_ms(router, study.seeds[0], system)
    labels = pd.DataFrame(which, columns=["kind", "rate", "seed"]).assign(**about)
    return pd.concat([labels, measured], axis=1)[COLUMNS]


def decision_ms(policy: Policy, seed: int, system: System) -> float:
    """The median time of one decision in a single environment, in milliseconds, as in the sweep."""
    episodes = Episodes(batch_of([TIMED_LOAD], [seed], TIMED, system), system)
    decision, seconds = episodes.decision, []
    while decision is not None:
        start = time.perf_counter()
        actions = policy(decision)
        seconds.append(time.perf_counter() - start)
        decision, _ = episodes.step(actions)
    return 1000.0 * float(np.median(seconds))


def code() -> str:
    """sha256 (hex) over the code that decides a row."""
    return code_hash("related.qos.evaluate", "related.qos.learned")


def key(study: Study, weights: Path | None = None) -> dict[str, Any]:
    """What decides the rows: hashes of study and system, of the code, and of each policy's weights."""
    return {
        "study": digest([study, named_system(DEFAULT, study.N)]),
        "code": code(),
        "weights": {t.file: sha256_file(learned.stored(t.file, weights)) for t in study.trainees},
    }


def results(
    study: Study,
    *,
    folder: Path | None = None,
    weights: Path | None = None,
    parts: Path | None = None,
) -> pd.DataFrame:
    """The rows of a study: the stored ones if they still hold, else those of a new run.

    One printed line says which. `folder` is of stored tables; the others are as in :func:`run`.
    """
    path = place(NAME, folder)
    try:
        rows, record = read_stored(path, FORMAT)
        rows = rows[COLUMNS]
    except FileNotFoundError:
        reason = "no table is stored"
    except ValueError as error:
        warnings.warn(f"{error}; the policies are run again", StaleResultsWarning, stacklevel=2)
        reason = "the stored table is damaged"
    else:
        if record["key"] == key(study, weights):
            print(f"{len(rows)} rows of learned policies, from the stored table")
            return rows
        reason = "the stored table is of other settings, code or weights"
    print(f"the learned policies are run anew ({reason})", flush=True)
    return run(study, weights=weights, parts=parts, say=lambda line: None)


def store(
    rows: pd.DataFrame, study: Study, folder: Path | None = None, weights: Path | None = None
) -> Path:
    """Write the rows and their record; OSError if that cannot be done."""
    path = place(NAME, folder)
    write_record(
        path.with_suffix(".json"),
        format=FORMAT,
        key=key(study, weights),
        sha256=write_table(path, rows),
        rows=len(rows),
        workload="synthetic",
        study=study,
    )
    return path


def histories(trainees: Sequence[Trainee], weights: Path | None = None) -> pd.DataFrame:
    """A row per policy and checkpoint of its training: `policy`, `frames`, `seconds`, `validation`."""
    rows = []
    for trainee in trainees:
        _, about = learned.load(learned.stored(trainee.file, weights))
        rows += [
            {
                "policy": trainee.policy,
                "frames": row["frames"],
                "seconds": row["seconds"],
                "validation": row["mean"],
            }
            for row in about["history"]
        ]
    return pd.DataFrame(rows)
