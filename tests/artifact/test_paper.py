"""The paper's experiments in full: what they ask for, sets that are not there, a cluster, going on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import tiny
from cqb import experiment, paths
from cqb.artifact import paper
from cqb.artifact.paper import main
from cqb.experiment import results
from cqb.experiment.run_store import RunStore
from cqb.experiment.settings import PAPER
from cqb.experiment.task import Cell

TABLE = tiny.table()
CELLS = (Cell(1, 0.0, 0.3), Cell(1, 0.0, 0.5), Cell(2, 0.0, 0.5))
SETTINGS = tiny.SETTINGS.with_(
    dataset="routerbench-paper", cells=CELLS, policies=("ACQB", "RANDOM"), T=60
)


@pytest.fixture
def checkout(tmp_path, monkeypatch) -> Path:
    """A checkout with one tiny set; the other two are not there."""
    for variable, _ in paper.FOLDERS.values():
        monkeypatch.delenv(variable, raising=False)
    for name in ("CQB_DATA", "CQB_RUNS", "CQB_FIGURES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CQB_ROOT", str(tmp_path))

    def load(name):
        if name == "routerbench":
            return TABLE
        raise FileNotFoundError(f"{name}: no files in data/raw/{name}")

    monkeypatch.setattr(experiment, "load_table", load)
    monkeypatch.setattr(paper, "PAPER", {"routerbench": SETTINGS})
    return tmp_path


def test_the_papers_settings():
    """3 sets x K in {1, 2} x 3 arrival rates x lam in {0, 1, 5} x 10 seeds, as its authors ran them."""
    rates = {
        "routerbench": {1: {0.5, 0.6, 0.7}, 2: {0.65, 0.75, 0.85}},
        "sprout": {1: {0.7, 0.8, 0.9}, 2: {0.75, 0.85, 0.95}},
        "embedllm": {1: {0.3, 0.4, 0.5}, 2: {0.45, 0.55, 0.65}},
    }
    assert set(PAPER) == set(rates)
    for name, settings in PAPER.items():
        assert settings.seeds == tuple(range(42, 52))
        assert settings.T == 5000
        for K in (1, 2):
            cells = [cell for cell in settings.cells if cell.K == K]
            assert len(cells) == 9
            assert {cell.arrival_rate for cell in cells} == rates[name][K]
            assert {cell.lam for cell in cells} == {0.0, 1.0, 5.0}
            reported = {p for cell in cells for p in settings.policies_in(cell)}
            assert reported >= {"ACQB", "ACQB-CL", "ACQB-CL-LN", "CQB-eps", "RANDOM"}
            assert ("Q-UCB" in reported) == ("Q-ThS" in reported) == (K == 1)
        learner = settings.learner
        expected = (1e-3, 0.05) if name == "sprout" else (1e-4, 0.01)
        assert (learner.alpha_coef, learner.exploration_rate) == expected


@pytest.mark.slow
def test_one_set_is_run_and_the_missing_ones_are_named(checkout, capsys):
    assert main(["--workers", "1"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "Tiny stand-in: 200 rows; 18 runs" in out
    assert "sprout: skipped, it is not here (sprout: no files in data/raw/sprout)" in out
    assert "set CQB_EMBEDLLM_DIR to a folder of its files" in out
    tidy, record = results.load("routerbench-paper")
    assert record["key"] == results.key(SETTINGS, TABLE)
    assert len(tidy) == 3 * 2 * 2 * 7
    drawn = {path.name for path in (checkout / "figures" / "real").glob("*.png")}
    assert drawn == {
        f"routerbench-paper_{value}_K{K}.png" for value in ("regret", "gap") for K in (1, 2)
    }
    table = pd.read_csv(checkout / "figures" / "real" / "routerbench-paper_results.csv")
    assert len(table) == 3 * 2
    assert len(pd.read_csv(checkout / "figures" / "real" / "paper_claims.csv")) > 0
    # A second time nothing is played again.
    store = RunStore(paths.runs_dir(), TABLE)
    assert all(store.load(task) is not None for task in SETTINGS.tasks())


def test_a_set_that_is_asked_for_and_not_there_is_an_error(checkout, monkeypatch, capsys):
    monkeypatch.setattr(paper, "PAPER", {})
    monkeypatch.setenv("CQB_SPROUT_DIR", str(checkout / "nothing"))
    monkeypatch.setattr(paper, "_experiment", lambda *_: None)
    monkeypatch.setattr(paper, "PAPER", dict.fromkeys(paper.FOLDERS))
    assert main([]) == 1
    assert capsys.readouterr().err == "paper: sprout: no files in data/raw/sprout\n"


def test_no_set_at_all_is_told(checkout, monkeypatch, capsys):
    def nothing(name):
        raise FileNotFoundError(f"{name}: no files")

    monkeypatch.setattr(experiment, "load_table", nothing)
    assert main([]) == 1
    assert "none of the three sets is there" in capsys.readouterr().err


def test_ctrl_c_says_how_to_go_on(checkout, monkeypatch, capsys):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(experiment, "sweep", stop)
    assert main([]) == 130
    assert "finished runs are kept" in capsys.readouterr().err


def test_a_scheduler_that_does_not_answer_is_told(checkout, monkeypatch, capsys):
    pytest.importorskip("distributed", reason="the extra cluster is not installed")
    monkeypatch.setattr(paper, "PATIENCE", "0.2s")
    assert main(["--scheduler", "tcp://127.0.0.1:9"]) == 1
    assert "paper: " in capsys.readouterr().err


SERVE = """
import sys
from distributed import LocalCluster
if __name__ == "__main__":
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        print(cluster.scheduler_address, flush=True)
        sys.stdin.read()
"""
RUN = """
import sys
from cqb import experiment
from cqb.artifact import paper
import tiny
if __name__ == "__main__":
    experiment.load_table = lambda name: tiny.table()
    paper.FOLDERS = {"routerbench": paper.FOLDERS["routerbench"]}
    paper.PAPER = {"routerbench": tiny.SETTINGS.with_(dataset="routerbench-paper")}
    sys.exit(paper.main(["--scheduler", sys.argv[1]]))
"""


@pytest.mark.slow
def test_the_sweep_runs_unchanged_on_a_cluster(checkout):
    """`make paper SCHEDULER=...`: two worker processes, and the table that this process makes alone."""
    pytest.importorskip("distributed", reason="the extra cluster is not installed")
    for name, text in (("serve.py", SERVE), ("run.py", RUN)):
        (checkout / name).write_text(text)
    search = os.pathsep.join([str(Path(__file__).parents[1]), *filter(None, sys.path)])
    about = {"env": {**os.environ, "PYTHONPATH": search}, "cwd": checkout, "text": True}
    served = subprocess.Popen(
        [sys.executable, "serve.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, **about
    )
    try:
        address = served.stdout.readline().strip()
        done = subprocess.run(
            [sys.executable, "run.py", address], capture_output=True, timeout=240, **about
        )
    finally:
        served.communicate("", timeout=60)
    assert done.returncode == 0, done.stderr
    assert f"{address}: 2 workers" in done.stdout
    found, _ = results.load("routerbench-paper")
    alone = RunStore(checkout / "alone", TABLE)
    expected = experiment.sweep(tiny.SETTINGS, TABLE, store=alone, workers=1)
    columns = [column for column in expected if column != "seconds"]
    pd.testing.assert_frame_equal(found[columns], results.as_stored(expected)[columns])
