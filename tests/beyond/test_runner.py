"""The comparison: every policy by the shared sweep, resumable, kept as a table with its key."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import cqb
import cqb.beyond.__main__ as command
import tiny
from cqb.beyond import studies
from cqb.beyond.runner import balanced, comparison, make_runs, results_of, tidy_table
from cqb.beyond.standing import METRICS, changed, joined, standing
from cqb.environment import from_table
from cqb.experiment import results
from cqb.experiment.run_store import RunStore
from cqb.experiment.task import Cell, Task, play
from cqb.policies import LearnerSettings

TABLE = tiny.table()
CELL = Cell(1, 0.0, 0.4)


def _task(policy: str, seed: int = 3, T: int = 60) -> Task:
    return Task(CELL, policy, seed, T, 40, LearnerSettings())


@pytest.mark.parametrize("policy", ["INFORMED", "ACQB-W", "ACQB-MW", "ACQB-M", "TS-memory"])
def test_a_run_is_decided_by_its_task(policy):
    one, again = (play(_task(policy), TABLE).trajectory for _ in range(2))
    np.testing.assert_array_equal(one.assortment, again.assortment)
    other = play(_task(policy, seed=4), TABLE).trajectory
    assert not np.array_equal(one.row, other.row)


def test_scored_rows_need_a_table():
    world = from_table(TABLE, 3, 0.0, 40)
    with pytest.raises(
        ValueError, match=r"INFORMED: .* has no rows outside its pool to take scored"
    ):
        play(_task("INFORMED"), world)


def test_every_policy_is_played_by_the_shared_sweep():
    # Those given scored rows or refined vectors beside plain ones, on processes and in this one alike.
    names = ("ACQB-CL", "ACQB-MW", "INFORMED", "RANDOM")
    how = {"arrival_rate": 0.4, "T": 30, "seeds": [1, 2], "pool_size": 40, "checkpoints": 1}
    here, there = (
        cqb.run(TABLE, names, workers=workers, **how).drop(columns="seconds") for workers in (1, 2)
    )
    pd.testing.assert_frame_equal(here, there)
    assert set(here["policy"]) == set(names)


def test_what_is_done_when_time_runs_out_is_balanced():
    cells = (CELL, Cell(2, 0.0, 0.4))
    settings = comparison("tiny", cells=cells, policies=("RANDOM", "CYCLE"), seeds=(1, 2), T=9)
    order = [(task.cell.K, task.seed, task.policy) for task in balanced(settings.tasks())]
    names = ("RANDOM", "CYCLE", "ORACLE")
    assert order == [(K, seed, name) for K in (1, 2) for seed in (1, 2) for name in names]


def test_the_comparison_goes_on_where_it_stopped(tmp_path):
    settings = comparison(
        "tiny",
        cells=(CELL,),
        policies=("TS-memory", "ACQB-MW", "INFORMED"),
        seeds=(1, 2, 3),
        T=60,
        pool_size=40,
        checkpoints=3,
    )
    store = RunStore(tmp_path, TABLE)
    with pytest.raises(ValueError, match="no run is stored"):
        tidy_table(settings, TABLE, store)
    task = _task("TS-memory", seed=1)
    store.save(task, play(task, TABLE))
    with pytest.raises(ValueError, match="no run is stored"):  # its oracle is not there
        tidy_table(settings, TABLE, store)
    assert make_runs(settings.with_(seeds=(1, 2)), TABLE, store) == 7
    assert make_runs(settings, TABLE, store) == 4
    assert make_runs(settings, TABLE, store) == 0
    tidy = tidy_table(settings, TABLE, store)
    assert len(tidy) == 4 * 3 * 3
    run = play(_task("ACQB-MW", seed=2), TABLE)
    row = tidy[(tidy["policy"] == "ACQB-MW") & (tidy["seed"] == 2) & (tidy["t"] == 60)]
    assert row["regret"].item() == pytest.approx(run.trajectory.regret.sum())


def test_a_stored_comparison_is_used_for_its_settings_and_data_alone(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CQB_RUNS", str(tmp_path / "runs"))
    how = {"cells": (CELL,), "policies": ("RANDOM", "CYCLE"), "T": 40, "pool_size": 40}
    settings = comparison("tiny", **how, seeds=(1, 2), checkpoints=2)
    made = results_of(settings, TABLE, tmp_path)
    assert "running 6 runs (no table is stored)" in capsys.readouterr().out
    results.store(made, settings, TABLE, folder=tmp_path)
    pd.testing.assert_frame_equal(results_of(settings, TABLE, tmp_path), made)
    assert "from the stored table (same code)" in capsys.readouterr().out
    results_of(settings.with_(seeds=(1,)), TABLE, tmp_path)
    assert "of other settings or data" in capsys.readouterr().out


def test_rows_of_policies_that_do_what_they_did_stand(tmp_path, monkeypatch):
    """With one policy's code changed, that one alone is to be run, and the table comes out whole."""
    monkeypatch.setenv("CQB_RUNS", str(tmp_path / "runs"))
    cells = (CELL, Cell(2, 0.0, 0.4))
    how = {"cells": cells, "policies": ("RANDOM", "ORACLE", "CYCLE"), "T": 40, "pool_size": 40}
    settings = comparison("tiny", **how, seeds=(1, 2), checkpoints=2)
    assert standing(settings, TABLE, tmp_path).rows.empty
    made = results_of(settings, TABLE, tmp_path)

    results.store(made, settings, TABLE, folder=tmp_path)
    assert standing(settings, TABLE, tmp_path).rows.empty  # its record does not tell the codes
    then = studies.codes(METRICS, settings.policies) | {"CYCLE": "another"}
    results.store(made, settings, TABLE, folder=tmp_path, codes=then)
    kept = standing(settings, TABLE, tmp_path)
    _, record = results.load("beyond-tiny", tmp_path)
    assert kept.made == {
        "RANDOM": {"created": record["created"], "commit": record["git"]["commit"]}
    }
    assert set(kept.rows["policy"]) == {"RANDOM"}
    rest = changed(settings, kept)
    assert rest.policies == ("ORACLE", "CYCLE")
    again = results_of(rest.with_(dataset="rest"), TABLE, tmp_path).assign(dataset="tiny")
    both = joined(again, kept, settings).assign(dataset=made["dataset"])
    pd.testing.assert_frame_equal(both.drop(columns="seconds"), made.drop(columns="seconds"))

    for other in (settings.with_(T=39), settings.with_(seeds=(1, 2, 3))):
        assert standing(other, TABLE, tmp_path).rows.empty
    then[METRICS] = "another"
    results.store(made, settings, TABLE, folder=tmp_path, codes=then)
    assert standing(settings, TABLE, tmp_path).rows.empty


def test_a_policy_stands_only_with_all_its_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("CQB_RUNS", str(tmp_path / "runs"))
    how = {"cells": (CELL,), "policies": ("RANDOM", "CYCLE"), "T": 40, "pool_size": 40}
    settings = comparison("tiny", **how, seeds=(1, 2), checkpoints=2)
    made = results_of(settings, TABLE, tmp_path)
    partly = made[(made["policy"] != "CYCLE") | (made["seed"] == 1)]
    codes = studies.codes(METRICS, settings.policies)
    results.store(partly, settings, TABLE, folder=tmp_path, codes=codes)
    assert set(standing(settings, TABLE, tmp_path).made) == {"RANDOM"}


def test_the_command_runs_all_or_only_what_has_changed(tmp_path, monkeypatch, capsys):
    """Without the runs behind a stored table, as in a fresh clone."""
    how = {"cells": (CELL,), "policies": ("ORACLE", "RANDOM", "CYCLE"), "T": 40, "pool_size": 40}
    settings = comparison("tiny", **how, seeds=(1, 2), checkpoints=2)
    for name, value in (
        ("comparison", lambda dataset: settings),
        ("calibration", SimpleNamespace(load_table=lambda dataset: TABLE)),
        ("reports", SimpleNamespace(write=lambda *what, **about: None)),
    ):
        monkeypatch.setattr(command, name, value)
    monkeypatch.setenv("CQB_DATA", str(tmp_path))
    tables, printed = [], []
    for run, arguments in enumerate(([], ["--changed"], [])):
        monkeypatch.setenv("CQB_RUNS", str(tmp_path / f"runs {run}"))
        assert command.main(["tiny", "comparison", "waiting", "--workers", "1", *arguments]) == 0
        waits, about = studies.load("beyond-waiting-tiny")
        tables.append((results.load("beyond-tiny")[0].drop(columns="seconds"), waits))
        printed.append(capsys.readouterr().out)
        assert set(about["stands"]) == ({"RANDOM", "CYCLE"} if arguments else set())
    assert "6 runs made" in printed[0]
    assert "of the stored table stand RANDOM, CYCLE\n2 runs made" in printed[1]
    assert "6 runs made" in printed[2]
    for tidy, waits in tables[1:]:
        pd.testing.assert_frame_equal(tidy, tables[0][0])
        pd.testing.assert_frame_equal(waits, tables[0][1])
