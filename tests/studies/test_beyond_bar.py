"""The sixteen settings: what they are, who is compared with whom, and the rows of a run."""

import json
from itertools import product

import numpy as np
import pandas as pd
import pytest

import tiny
from cqb import datasets, paths
from cqb.environment import rounds_once
from cqb.metrics import COLUMNS
from cqb.policies import POLICIES
from cqb.runs import Cell
from cqb.studies.beyond import bar, verdict
from cqb.studies.beyond.bar import KNOWLEDGE, LAM, ONCE, RECURRING, SETTINGS, BarTask, Setting
from cqb.studies.beyond.tuning import RECORDED, place
from cqb.study import replay

TABLE = tiny.table()


def test_sixteen_settings():
    assert len(set(SETTINGS)) == 16
    assert {(s.data, s.cell.K, s.regime) for s in SETTINGS} == {
        (data, K, regime) for data in LAM for K in (1, 2) for regime in (ONCE, RECURRING)
    }
    assert {(s.data, s.cell.lam) for s in SETTINGS} == set(LAM.items())


@pytest.mark.parametrize("data", LAM)
def test_arrival_rates_are_four_fifths_of_the_capacity(data):
    try:
        table = datasets.load(data)
    except FileNotFoundError:
        pytest.skip(f"{data} is not here")
    found = {K: bar.arrival_rate(table, K, LAM[data]) for K in (1, 2)}
    assert found == pytest.approx(bar.RATES[data])


@pytest.mark.parametrize("K", [1, 2])
def test_the_arrival_rate_is_of_the_tuning_rows(K):
    tuning_rows = place(TABLE, RECORDED, 0.0)
    assert abs(bar.arrival_rate(TABLE, K, 0.0) - 0.8 * tuning_rows.capacity(K)) <= 0.025 + 1e-9


def test_each_class_of_knowledge_is_what_its_policies_are_given():
    given = {bar.NOTHING: {None}, bar.ROWS: {"refinement"}, bar.SCORES: {"rest", None}}
    for known, names in KNOWLEDGE.items():
        assert {POLICIES[name].rows for name in names} == given[known]
        truth = [name for name in names if POLICIES[name].from_truth]
        assert truth == (["ORACLE"] if known == bar.SCORES else [])
    everyone = [name for names in KNOWLEDGE.values() for name in names]
    assert len(everyone) == len(set(everyone))


def test_memories_by_prompt_are_left_out_where_none_recurs():
    left_out = set(bar.policies(RECURRING)) - set(bar.policies(ONCE))
    assert left_out == {name for name in POLICIES if name.split("-rows")[0].endswith("-prompt")}
    assert {name.replace("-prompt", "") for name in left_out} <= set(bar.policies(ONCE))


def test_no_seed_is_tuned_on_and_reported():
    assert {task.seed for study in bar.TUNING for task in study.tasks} == {100, 101, 102}
    reported = {task.seed for study in bar.REPORTED for task in study.tasks}
    assert reported == set(range(230, 240))  # 200 to 229 have been seen


@pytest.mark.parametrize("regime", [ONCE, RECURRING])
def test_a_run_has_its_regime_and_lock_ins(regime, monkeypatch):
    monkeypatch.setattr(bar, "T", 60)
    setting = Setting("tiny", Cell(2, 0.0, 0.3), regime)
    rows = bar.run(BarTask(setting, "TS-memory-rows", 1), TABLE)
    # 200 rows: 40 for tuning, 110 for refinement, 50 left.
    assert rows["t"].iloc[-1] == (60 if regime == RECURRING else rounds_once(50, 0.3))
    assert (rows["regime"] == regime).all()
    assert set(COLUMNS) - {"gap"} <= set(rows)
    assert (rows["lock_ins"] <= rows["served_often"]).all()
    assert np.diff(rows["regret"]).min() >= 0


def test_a_comparison_that_is_not_stored_is_no_disagreement(tmp_path):
    study = bar.comparison("routerbench", (1,), "bar-nowhere")
    assert replay.replay(study, replay.Extent(), tmp_path).agrees is None


def test_the_comparison_is_the_one_that_was_written_down():
    written = json.loads((paths.data_dir() / "preregistered.json").read_text())
    declared = json.loads(json.dumps(bar.preregistered()))
    assert {name: written[name] for name in declared} == declared


# --- the verdict ---------------------------------------------------------------------------------


def made_up(ours: float, rules: dict[str, float], spread: float = 1.0) -> pd.DataFrame:
    """Two settings, ten seeds; regrets of the class that knows nothing, ours and those of the rules."""
    noise = np.random.default_rng(5)
    rows = []
    for K, seed in product((1, 2), range(200, 210)):
        for policy, regret in {bar.OURS[bar.NOTHING][0]: ours, **rules}.items():
            for t, share in ((500, 0.5), (1000, 1.0)):
                value = share * (regret + spread * noise.standard_normal())
                rows.append(("made up", K, ONCE, policy, seed, t, value, 0, 1, 2.0 * share))
    names = ["dataset", "K", "regime", "policy", "seed", "t", "regret"]
    names += ["lock_ins", "served_often", "seconds"]
    return pd.DataFrame(rows, columns=names)


@pytest.fixture
def only_nothing(monkeypatch):
    monkeypatch.setattr(verdict, "OURS", {bar.NOTHING: bar.OURS[bar.NOTHING]})


def test_ours_is_compared_with_the_best_rule(only_nothing):
    rows = made_up(70.0, {"TS-memory": 120.0, "ACQB-tuned": 100.0, "ORACLE": 0.0})
    found = verdict.standings(rows)
    assert list(found["best_rule"]) == ["ACQB-tuned"] * 2
    np.testing.assert_allclose(found["ratio"], 0.7, atol=0.02)
    assert found["significant"].all()
    assert (found["high"] < 0).all()
    np.testing.assert_allclose(found["milliseconds"], 2.0)
    (judged,) = verdict.verdicts(rows).to_dict("records")
    assert judged["reached"]
    assert judged["low"] < judged["ratio"] < judged["high"] < 0.75


@pytest.mark.parametrize(("ours", "above"), [(110.0, 2), (100.0, 0), (85.0, 0)])
def test_the_aim_is_missed_by_too_little_and_above_is_counted(only_nothing, ours, above):
    (judged,) = verdict.verdicts(made_up(ours, {"TS-memory": 100.0})).to_dict("records")
    assert not judged["reached"]
    assert judged["above"] == above


def test_closeness_is_to_the_best_rule_of_each_setting(only_nothing):
    rules = {"TS-memory": 100.0, "ACQB-tuned": 50.0, "INFORMED": 20.0}
    once = made_up(75.0, rules, spread=0.0)
    rules |= {"TS-memory-prompt": 25.0, "INFORMED-prompt": 5.0}
    recurring = made_up(75.0, rules, spread=0.0).assign(regime=RECURRING)
    found = verdict.closeness(pd.concat([once, recurring])).loc[bar.NOTHING]
    assert found.columns.tolist() == ["mean", "min", "max"]
    assert found.loc["TS-memory-prompt"].tolist() == [1.5, 1.0, 2.0]
    assert found.loc["ACQB-tuned"].tolist() == [1.5, 1.0, 2.0]
    assert found.loc["ACQB-recall"].tolist() == [2.25, 1.5, 3.0]
    assert found.loc["INFORMED-prompt"].tolist() == [0.3, 0.2, 0.4]  # a reference, and no rule
    assert found.index[-1] == "TS-memory"
    assert "INFORMED" not in found.index
