"""Replay: it agrees with what was stored, and names every kind of disagreement."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import tiny_study
from cqb.files import sha256_file
from cqb.study import data, replay, store
from cqb.study.replay import Extent, Verdict
from cqb.tables import file_text
from tiny_study import LOG, Task, run, runs_of, study

ALL = Extent(everything=True)


@pytest.fixture
def stored(tmp_path, monkeypatch) -> Path:
    """The tiny study, stored; returns the path of its table."""
    monkeypatch.setenv("CQB_DATA", str(tmp_path))
    return study().store(study().rows())


def test_an_unchanged_study_agrees(stored):
    verdict = replay.replay(study(), ALL)
    assert verdict.agrees
    assert verdict.text.startswith("replayed 6 of 6, agree (")


def test_a_renamed_function_and_another_time_do_not_matter(stored, monkeypatch):
    def renamed(task: Task, world: object) -> pd.DataFrame:
        return run(task, world).assign(seconds=99.0)

    assert replay.replay(study(run=renamed), ALL).agrees


def test_a_changed_constant_is_named_with_its_task(stored, monkeypatch):
    monkeypatch.setattr(tiny_study, "FACTOR", 4)
    verdict = replay.replay(study(), ALL)
    assert verdict.agrees is False
    assert "DISAGREE" in verdict.text
    assert verdict.details[0].startswith("easy, seed 1: value: found 4.0, stored is 3.0")


def test_a_column_that_is_no_longer_made_is_named(stored):
    verdict = replay.replay(study(run=lambda *given: run(*given).drop(columns="note")), ALL)
    assert verdict.agrees is False
    assert verdict.details[0] == "easy, seed 1: the stored column note is no longer made"


def test_one_edited_number_is_damage_and_with_its_hash_a_disagreement(stored):
    rows = pd.read_parquet(stored)
    rows.loc[4, "value"] = 8.0
    stored.write_bytes(store.parquet(rows))
    verdict = replay.replay(study(), Extent())
    assert verdict.agrees is False
    assert "damaged" in verdict.text
    record = json.loads(stored.with_suffix(".json").read_text())
    record["sha256"] = sha256_file(stored)
    stored.with_suffix(".json").write_text(json.dumps(record))
    verdict = replay.replay(study(), ALL)
    assert verdict.details == (
        "easy, seed 3: value: found 9.0, stored is 8.0 (row 1 of the task's 2; 1 differ)",
    )


def on_another_processor(stored: Path) -> None:
    record = json.loads(stored.with_suffix(".json").read_text("utf-8"))
    record["machine"]["blas"] = ["openblas 0.3.30 Other"]
    stored.with_suffix(".json").write_text(json.dumps(record), "utf-8")


def moved(factors: dict[int, float]):
    """The tiny study's run with the value of some seeds multiplied."""
    return lambda task, world: run(task, world).assign(
        value=lambda rows: rows["value"] * factors.get(task.seed, 1.0)
    )


@pytest.mark.parametrize(
    ("factors", "here", "elsewhere"),
    [
        ({}, True, True),
        ({1: 1 + 1e-9, 2: 1 + 1e-9, 3: 1 + 1e-9}, False, True),
        ({1: 1 + 1e-2, 2: 1 + 1e-2}, False, False),
    ],
)
def test_the_last_digits_count_on_the_same_kind_of_processor(stored, factors, here, elsewhere):
    again = study(run=moved(factors))
    assert replay.replay(again, ALL).agrees is here
    on_another_processor(stored)
    assert replay.replay(again, ALL).agrees is elsewhere


def test_another_processor_may_decide_few_near_ties_in_another_way(stored):
    on_another_processor(stored)

    def one_of_six(task: Task, world: object) -> pd.DataFrame:
        return moved({1: 2.0} if task.kind == "easy" else {})(task, world)

    verdict = replay.replay(study(run=one_of_six), ALL)
    assert verdict.agrees
    assert "(5 to the digit, 0 within 0.001, 1 took other decisions)" in verdict.text
    assert verdict.details[0].startswith("easy, seed 1: value: found 6.0, stored is 3.0")


def test_tolerances_hold_by_column(stored):
    def shaken(task: Task, world: object) -> pd.DataFrame:
        rows = run(task, world)
        return rows.assign(value=rows["value"] + 1e-9)

    assert replay.replay(study(run=shaken), ALL).agrees is False
    assert replay.replay(study(run=shaken, tolerance={"value": 1e-8}), ALL).agrees
    assert replay.replay(study(run=shaken, tolerance={"seed": 1e-8}), ALL).agrees is False


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"version": 2}, "stored is version 1, declared is 2"),
        ({"seeds": (1, 2, 3, 4)}, "2 of 8 tasks are not stored, the first: easy, seed 4"),
        ({"seeds": (1, 2)}, "2 stored tasks are not declared"),
        ({"artifacts": ("weights",)}, "6 of 6 tasks are not stored"),
    ],
)
def test_a_table_of_another_study_disagrees(stored, change, text):
    verdict = replay.replay(study(**change), ALL)
    assert verdict.agrees is False
    assert verdict.text.startswith(text)


def test_what_cannot_be_checked_is_said_and_is_no_disagreement(stored, monkeypatch):
    assert replay.replay(study(name="nothing"), ALL).agrees is None
    monkeypatch.setattr(data, "identity", lambda name: "here" if name else "")
    monkeypatch.setattr(data, "load", lambda name: None)
    far = study(name="far", data="set")
    far.store(far.rows())
    assert replay.replay(far, ALL).agrees
    monkeypatch.setattr(data, "identity", lambda name: "other rows")
    verdict = replay.replay(far, ALL)
    assert (verdict.agrees, verdict.text) == (
        False,
        "stored with other data than the data set set here",
    )
    monkeypatch.setattr(data, "identity", lambda name: None)
    verdict = replay.replay(far, ALL)
    assert (verdict.agrees, verdict.text) == (None, "not replayed: the data set set is not here")


def test_a_package_that_is_missing_is_said_and_is_no_disagreement(stored):
    def without(task, world):
        raise ImportError("the index needs Faiss")

    verdict = replay.replay(study(run=without), ALL)
    assert (verdict.agrees, verdict.text) == (None, "not replayed: the index needs Faiss")


def test_shards_cover_every_task_once(stored, tmp_path, monkeypatch):
    (tmp_path / "log").mkdir()
    monkeypatch.setenv(LOG, str(tmp_path / "log"))
    for shard in (1, 2, 3, 4):
        assert replay.replay(study(), Extent(True, shard, 4)).agrees
    assert runs_of(tmp_path / "log") == [f"{k}-{s}" for k in ("easy", "hard") for s in (1, 2, 3)]
    assert replay.replay(study(), ALL).agrees  # resumes: every task is found finished
    assert len(runs_of(tmp_path / "log")) == 6
    for shard in (0, 5):
        with pytest.raises(ValueError, match=f"found {shard}/4, expected one from 1/4 to 4/4"):
            Extent(True, shard, 4)


def test_a_sample_has_the_cheapest_of_each_stratum_and_a_changing_part():
    many = study(
        kinds=("easy", "hard", "endless"),
        seeds=tuple(range(30)),
        cost=lambda task: {"easy": 0.1, "hard": 0.9, "endless": 99.0}[task.kind] * (1 + task.seed),
    )
    chosen = [str(many.tasks[n]) for n in replay.sample(many, "one")]
    assert {"easy, seed 0", "hard, seed 0"} <= set(chosen)
    assert len(chosen) == 2 + replay.CHANGING
    assert not [label for label in chosen if label.startswith("endless")]
    assert replay.sample(many, "one") == replay.sample(many, "one")
    others = {tuple(replay.sample(many, str(commit))) for commit in range(30)}
    assert len(others) > 10


def test_a_sample_stays_within_its_budget_and_commits_replay_the_other_strata():
    dear = study(kinds=tuple("abcdefgh"), seeds=(1,), cost=lambda task: 1.5)
    assert len(replay.sample(dear, "x")) == int(replay.BUDGET // 1.5) + replay.CHANGING
    assert {n for commit in range(50) for n in replay.sample(dear, str(commit))} == set(range(8))
    assert len(replay.sample(study(kinds=("a",), seeds=(1,), cost=lambda task: 6.5), "x")) == 1
    assert replay.sample(study(cost=lambda task: 99.0), "x") == []


def test_a_sample_goes_by_the_seconds_that_were_measured(stored):
    rows = pd.read_parquet(stored).assign(seconds=lambda rows: 8.0 - rows["seed"])
    seconds = replay._measured(study(), study().keys(""), rows)
    assert seconds == [7.0, 6.0, 5.0, 7.0, 6.0, 5.0]
    # The cheapest seed of the first kind, then one of the other kind's.
    assert replay.sample(study(), "x", seconds)[0] == 2
    assert replay._measured(study(), study().keys(""), rows.drop(columns="seconds")) == [1.0] * 6


def test_reports_are_derived_again_and_compared_as_text(tmp_path):
    table = pd.DataFrame({"stand_in": [True], "regret": [1 / 3], "name": ["x"]})

    def missing() -> pd.DataFrame:
        raise FileNotFoundError("tiny: 6 of 6 tasks are not stored")

    reports = {"same.csv": lambda: table, "gone.csv": lambda: table, "far.csv": missing}
    (tmp_path / "same.csv").write_text("stand_in,regret,name\ntrue,0.333333,x\n")
    found = {v.name: v.agrees for v in replay.rederive(reports, tmp_path)}
    assert found == {"same.csv": True, "gone.csv": False, "far.csv": None}
    (tmp_path / "same.csv").write_text("stand_in,regret,name\ntrue,0.333334,x\n")
    (first, *_) = replay.rederive(reports, tmp_path)
    assert first == Verdict("same.csv", False, "DISAGREES with the stored tables")


def test_a_report_named_json_is_a_list_of_records(tmp_path):
    table = pd.DataFrame({"id": ["E1", "R2 λ"], "low": [1 / 3, np.nan], "n": [2, 3]})
    text = file_text("same.json", table)
    assert json.loads(text) == [
        {"id": "E1", "low": 0.333333, "n": 2},
        {"id": "R2 λ", "low": None, "n": 3},
    ]
    assert "λ" in text
    (tmp_path / "same.json").write_text(text, encoding="utf-8")
    for last, agrees in ((3, True), (4, False)):
        reports = {"same.json": lambda last=last: table.assign(n=[2, last])}
        (found,) = replay.rederive(reports, tmp_path)
        assert found.agrees is agrees


def test_a_table_that_no_study_declares_is_named(stored):
    assert replay.strays({"tiny": study()}) == []
    (stray,) = replay.strays({})
    assert (stray.name, stray.agrees) == ("tiny", False)
