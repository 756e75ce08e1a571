"""Sensitivity: what a point runs, that a study goes on, is stored, and is drawn and told as it is."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import tiny
from cqb import experiment
from cqb.contrastive.settings import RefinementSettings
from cqb.environment import from_table
from cqb.experiment.task import Cell
from cqb.policies import LearnerSettings
from cqb.sensitivity import plots, study
from cqb.sensitivity.__main__ import main
from cqb.sensitivity.points import FACTORS, ROUTERBENCH, STAND_IN, Point, Study, every_point

TABLE = tiny.table()
SMALL = RefinementSettings(hidden=8, output=6, rows=60, epochs=3, tau_neg=0.0)
POINTS = (
    Point("lambda0", 1.0),
    Point("lambda0", 0.25, LearnerSettings(lambda0=0.25)),
    Point("tau_pos", 0.5, refinement=SMALL),
    Point("tau_pos", 0.6, refinement=SMALL.with_(tau_pos=0.6)),
    Point("load", 0.5, load=0.5),
    Point("load", 0.9, load=0.9),
)
STUDY = Study(
    "sensitivity-tiny",
    "tiny",
    (Cell(1, 0.0, 0.3), Cell(1, 5.0, 0.4)),
    (1, 2, 3),
    POINTS,
    120,
    tiny.POOL,
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> pd.DataFrame:
    return study.run(STUDY, TABLE, tmp_path_factory.mktemp("runs"))


def test_a_point_changes_one_setting_of_the_papers():
    for point in every_point():
        factor = FACTORS[point.factor]
        assert point.value in factor.values
        if point.factor == "load":
            assert point.load == point.value
            assert (point.learner, point.refinement) == (LearnerSettings(), None)
        elif factor.refined:
            assert point.learner == LearnerSettings()
            assert (point.refinement == RefinementSettings()) == (point.value == factor.default)
        else:
            assert point.refinement is None
            assert (point.learner == LearnerSettings()) == (point.value == factor.default)
    assert {point.factor for point in every_point()} == set(FACTORS)


def test_no_reported_seed_is_used():
    reported = set(experiment.settings.ROUTERBENCH.seeds)
    assert not reported & {*ROUTERBENCH.seeds, *STAND_IN.seeds}
    assert {cell.K for chosen in (ROUTERBENCH, STAND_IN) for cell in chosen.cells} == {1}


def test_a_row_for_every_point_cell_and_seed(runs):
    assert list(runs.columns) == [*study.KEYS, *study.MEASURES]
    assert len(runs) == 2 * 3 * len(POINTS)
    assert not runs.duplicated(study.KEYS).any()
    assert runs.loc[runs["factor"] == "tau_pos", "anchors"].between(1, 60).all()
    assert runs.loc[runs["factor"] != "tau_pos", "anchors"].isna().all()


def test_plain_points_are_the_runs_of_an_experiment(runs):
    tidy = experiment.run(
        TABLE, ["ACQB"], lam=5.0, arrival_rate=0.4, T=120, seeds=[1, 2, 3], pool_size=tiny.POOL
    )
    wanted = tidy[tidy["t"] == 120].set_index("seed")
    rows = runs[(runs["factor"] == "lambda0") & (runs["value"] == 1.0) & (runs["lam"] == 5.0)]
    for name in ("regret", "gap", "queue_mean"):
        assert rows.set_index("seed")[name].to_dict() == pytest.approx(wanted[name].to_dict())


def test_load_is_a_share_of_the_oracles_capacity(runs):
    rows = runs[(runs["factor"] == "load") & (runs["lam"] == 0.0)].set_index(["seed", "value"])
    for seed in STUDY.seeds:
        capacity = from_table(TABLE, seed, 0.0, tiny.POOL).capacity(1)
        assert rows.loc[(seed, 0.9), "rate"] == pytest.approx(0.9 * capacity)
        assert rows.loc[(seed, 0.9), "capacity"] == pytest.approx(capacity)


def test_finished_runs_are_not_played_again(runs, tmp_path, monkeypatch):
    few = Study("x", "tiny", STUDY.cells[:1], (1,), POINTS[:2], 60, tiny.POOL)
    first = study.run(few, TABLE, tmp_path)

    def fail(*_):
        raise AssertionError("played again")

    monkeypatch.setattr(study, "play", fail)
    pd.testing.assert_frame_equal(study.run(few, TABLE, tmp_path), first, check_exact=True)


def test_a_stored_table_comes_back_and_says_how_it_stands(runs, tmp_path, monkeypatch, capsys):
    path = study.store(STUDY, TABLE, runs, tmp_path)
    back, record = study.load(STUDY, tmp_path)
    pd.testing.assert_frame_equal(back, runs, check_exact=True)
    assert record["stand_in"] is True
    assert capsys.readouterr().out == (
        "sensitivity-tiny: 36 runs, from the stored table (settings and code unchanged)\n"
    )
    monkeypatch.setattr(study, "code_hash", lambda *_: "other")
    study.load(STUDY, tmp_path)
    assert "(made with other code)" in capsys.readouterr().out
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"sensitivity-tiny\.parquet: .*damaged"):
        study.load(STUDY, tmp_path)


def test_means_have_t_intervals_over_seeds(runs):
    found = plots.means(runs, "lambda0").set_index(["lam", "value"])
    values = runs[(runs["factor"] == "lambda0") & (runs["lam"] == 0.0) & (runs["value"] == 0.25)]
    low, high = stats.ttest_1samp(values["regret"], 0.0).confidence_interval(0.95)
    row = found.loc[(0.0, 0.25)]
    assert row[["regret_mean", "regret_low", "regret_high"]].tolist() == pytest.approx(
        [values["regret"].mean(), low, high]
    )


def test_differences_to_the_papers_value_are_paired(runs):
    rows = runs[(runs["factor"] == "lambda0") & (runs["lam"] == 0.0)]
    table = rows.pivot(index="seed", columns="value", values="regret")
    low, high = stats.ttest_rel(table[0.25], table[1.0]).confidence_interval(0.95)
    text = plots.paired_difference(runs, "lambda0", (0.0, 0.3), 0.25)
    middle, half = (float(part) for part in text.split(" ± "))
    assert middle == pytest.approx((low + high) / 2, abs=0.5)
    assert half == pytest.approx((high - low) / 2, abs=0.5)
    assert plots.paired_difference(runs, "lambda0", (0.0, 0.3), 1.0) == "-"


@pytest.mark.parametrize("name", ["lambda0", "tau_pos", "load"])
def test_a_figure_has_a_line_per_service_and_marks_the_papers_value(runs, name):
    figure = plots.factor(runs, name)
    assert figure.get_suptitle().startswith("Tiny stand-in (generated data): ACQB")
    values = sorted({point.value for point in POINTS if point.factor == name})
    for ax in figure.axes:
        marked = [line.get_xdata()[0] for line in ax.lines if line.get_linestyle() == ":"]
        assert marked == ([] if name == "load" else [FACTORS[name].default])
        lines = [line for line in ax.lines if list(np.atleast_1d(line.get_xdata())) == values]
        assert len(lines) >= 2
    raw = [line for line in figure.axes[0].lines if line.get_label() == "ACQB, raw vectors"]
    assert len(raw) == (2 if name == "tau_pos" else 0)


def test_the_table_names_the_best_value(runs, monkeypatch):
    monkeypatch.setattr(plots, "FACTORS", {"lambda0": FACTORS["lambda0"]})
    text = plots.best_table(runs).splitlines()
    assert len(text) == 1 + 2
    means = plots.means(runs, "lambda0")
    best = means[means["lam"] == 0.0].nsmallest(1, "regret_mean")["value"].iloc[0]
    assert f" {best:g} " in text[1]


def test_an_unknown_study_is_named(capsys):
    assert main(["sprout"]) == 1
    assert "no study sprout; known: standin, routerbench" in capsys.readouterr().err


def test_rows_that_are_not_there_are_told(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CQB_ROUTERBENCH_DIR", str(tmp_path / "nothing"))
    assert main(["routerbench"]) == 1
    assert "sensitivity: routerbench: " in capsys.readouterr().err
