"""A running study is killed twenty times at random moments, then finished: an undisturbed table."""

import multiprocessing
import os
import random
import signal
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

import cqb
from cqb.runs import Cell
from cqb.studies.experiments import PARETOBANDIT
from cqb.study import Study, data

KILLS = 20
LONGEST = 600  # seconds until a task must have ended


# Once, on import: every copy of the process then has the data and the compiled loops.
cqb.run(data.load(PARETOBANDIT.dataset), "ACQB", T=20, seeds=1, arrival_rate=0.8)
data.identity(PARETOBANDIT.dataset)


def study() -> Study:
    """Real rows, 120 runs: more than the kills let end."""
    policies, seeds = ("ACQB", "CQB-eps", "Q-ThS"), tuple(range(30))
    short = PARETOBANDIT.with_(cells=(Cell(1, 0.0, 0.8),), policies=policies, seeds=seeds, T=500)
    return short.study("killed", 1)


def run(runs: str, workers: int) -> None:
    """In a process group of its own: run the study and store it."""
    os.setsid()
    os.environ["CQB_RUNS"] = runs
    tables = Path(runs).parent / "results"
    study().store(study().rows(tables, workers=workers), tables)


def start(folder: Path, workers: int) -> multiprocessing.Process:
    """The study in a fresh copy of a process that has imported everything."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["test_kills"])
    process = context.Process(target=run, args=(str(folder / "runs"), workers))
    process.start()
    return process


def parts(folder: Path) -> int:
    return len(list((folder / "runs").rglob("*.parquet")))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Folders of their own for tables and unfinished tasks; the data are those of the repository."""
    made = tmp_path_factory.mktemp("killed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CQB_RUNS", str(made / "runs"))
        # A forkserver finds what it is to import in PYTHONPATH alone.
        search = [str(Path(__file__).parent), *filter(None, sys.path)]
        patch.setenv("PYTHONPATH", os.pathsep.join(search))
        yield made


@pytest.mark.parametrize("kill", range(KILLS))
def test_a_kill(kill, folder, record_property):
    """After some tasks ended and a random time, every process of the study is killed at once."""
    rng, before = random.Random(kill), parts(folder)
    process = start(folder, workers=2 if kill % 7 == 6 else 1)
    ended, deadline = before + rng.randint(1, 3), time.monotonic() + LONGEST
    while parts(folder) < ended:
        assert process.is_alive(), "it ended before it was killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(rng.uniform(0, 0.2))
    os.killpg(process.pid, signal.SIGKILL)
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert all(len(pd.read_parquet(path)) for path in (folder / "runs").rglob("*.parquet"))
    record_property("outcome", "killed, every finished task whole")


def test_the_table_is_that_of_an_undisturbed_run(folder, monkeypatch, record_property):
    done = parts(folder)
    assert 0 < done < len(study().tasks)
    resumed = study().rows(folder / "results", workers=2)
    study().store(resumed, folder / "results")
    left = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".part"]
    assert sorted(path.name for path in left) == ["killed.json", "killed.parquet"]
    undisturbed = study().rows(folder / "elsewhere", workers=2, keep=False)
    pd.testing.assert_frame_equal(
        *(rows.drop(columns="seconds") for rows in (resumed, undisturbed))
    )
    record_property("outcome", "equal table")
