"""Waiting times with queries that still wait: the product-limit estimator against exact cases."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

import tiny
from cqb.beyond import stability
from cqb.beyond.runner import comparison
from cqb.beyond.stability import CLOSED_FORM, StabilityStudy, growth, waiting_work
from cqb.beyond.standing import Standing, changed, joined, standing_study
from cqb.beyond.studies import STUDIES, Study, store
from cqb.beyond.waiting import WAITS, kaplan_meier, waits
from cqb.beyond.waiting_study import WaitingStudy
from cqb.experiment.task import Cell, Task, play
from cqb.policies import LearnerSettings
from cqb.theory import capacities

TABLE = tiny.table()


def test_without_censoring_it_is_the_empirical_distribution():
    wait = np.random.default_rng(1).integers(1, 30, size=200)
    at = [1, 5, 12, 29]
    found = kaplan_meier(wait, np.ones(200, bool), at)
    np.testing.assert_allclose(found, [(wait > t).mean() for t in at])


def test_a_worked_case():
    # At risk 6: one leaves at 2 (5/6); one is censored at 3; at risk 4: two leave at 5 (1/2); the last
    # two are censored at 8, after which nothing is known.
    wait, left = np.array([2, 3, 5, 5, 8, 8]), np.array([1, 0, 1, 1, 0, 0], bool)
    found = kaplan_meier(wait, left, [1, 2, 4, 5, 8, 9])
    np.testing.assert_allclose(found, [1, 5 / 6, 5 / 6, 5 / 12, 5 / 12, np.nan])


def test_it_sees_through_censoring_where_a_plain_share_does_not():
    # Geometric waits of mean 20, looked at for a random time: 4,000 queries, standard error below .01.
    rng = np.random.default_rng(7)
    true, window = rng.geometric(0.05, 4000), rng.integers(1, 60, 4000)
    wait, left = np.minimum(true, window), true <= window
    (found,) = kaplan_meier(wait, left, [20])
    assert found == pytest.approx(0.95**20, abs=0.04)
    assert np.mean(wait[left] > 20) < 0.95**20 - 0.1


def test_waits_of_a_run_end_with_it():
    run = play(Task(Cell(1, 0.0, 0.9), "RANDOM", 3, 80, 40, LearnerSettings()), TABLE).trajectory
    wait, left = waits(run)
    assert left.sum() == (run.pick >= 0).sum()
    assert (~left).sum() == run.queue[-1]
    assert (wait[left] >= 1).all()
    # A query is counted in the queue after each round from its arrival on until it departs.
    assert wait.sum() + (~left).sum() == run.queue[1:].sum()


def test_the_study_has_a_distribution_for_every_run(tmp_path, monkeypatch):
    monkeypatch.setenv("CQB_RUNS", str(tmp_path))
    settings = comparison(
        "tiny", cells=(Cell(1, 0.0, 0.4),), policies=("RANDOM",), seeds=(1, 2), T=60, pool_size=40
    )
    table = WaitingStudy(settings).run(TABLE)
    assert len(table) == 2 * 2 * len(WAITS)  # RANDOM and the oracle
    falling = table.groupby(["policy", "seed"])["longer"].apply(
        lambda s: (s.diff().dropna() <= 0).all()
    )
    assert falling.all()


def test_waits_of_policies_that_do_what_they_did_stand(tmp_path, monkeypatch):
    monkeypatch.setenv("CQB_RUNS", str(tmp_path / "runs"))
    cells = (Cell(1, 0.0, 0.4), Cell(2, 0.0, 0.4))
    settings = comparison(
        "tiny", cells=cells, policies=("RANDOM", "CYCLE"), seeds=(1, 2), T=60, pool_size=40
    )
    study = Study("waiting", WaitingStudy(settings), "beyond.waiting")
    assert standing_study(study, TABLE, "tiny", tmp_path).rows.empty
    made = study.settings.run(TABLE)
    store(study, TABLE, "tiny", made, tmp_path)
    kept = standing_study(study, TABLE, "tiny", tmp_path)
    assert set(kept.made) == {"RANDOM", "CYCLE"}

    with monkeypatch.context() as later:
        later.setattr("cqb.beyond.studies.policy_code", lambda name: f"new {name}")
        now = standing_study(study, TABLE, "tiny", tmp_path)
        assert now.rows.empty
        assert not now.made
    kept = Standing(kept.rows[kept.rows["policy"] == "CYCLE"], {"CYCLE": kept.made["CYCLE"]})
    rest = changed(settings, kept)
    assert rest.policies == ("RANDOM",)
    pd.testing.assert_frame_equal(joined(WaitingStudy(rest).run(TABLE), kept, settings), made)


def test_a_study_is_of_other_code_when_one_of_its_policies_is(monkeypatch):
    study = STUDIES["worlds"]
    assert {"ACQB", "ACQB-MW", "beyond.world_study"} <= set(study.codes)
    before = study.key(TABLE)
    monkeypatch.setattr("cqb.beyond.studies.policy_code", lambda name: "other" * (name == "ACQB"))
    after = study.key(TABLE)
    assert before["code"] != after["code"]
    assert {**before, "code": ""} == {**after, "code": ""}


def test_growth_is_the_slope_of_the_second_half():
    series = np.random.default_rng(1).normal(size=101).cumsum()
    late = series[50:]
    assert growth(series) == pytest.approx(np.polyfit(np.arange(late.size), late, 1)[0])


def test_waiting_work_counts_each_query_while_it_waits():
    run = play(Task(Cell(1, 0.0, 0.9), "RANDOM", 3, 100, 40, LearnerSettings()), TABLE).trajectory
    np.testing.assert_array_equal(waiting_work(run, np.ones(100)), run.queue)
    # By hand: query i weighs 2^-i (in float64 exactly), from its arrival until it has departed.
    serves = np.zeros(100)
    serves[run.arrived - 1] = 0.5 ** np.arange(run.arrived.size)
    expected = [
        sum(
            0.5**i
            for i, (arrived, departed) in enumerate(zip(run.arrived, run.departed, strict=True))
            if arrived <= t and not 0 < departed <= t
        )
        for t in range(101)
    ]
    np.testing.assert_allclose(waiting_work(run, serves), expected, atol=1e-12)


def test_an_overload_that_hides_in_few_hard_queries_is_found(tmp_path, monkeypatch):
    """One query in twenty needs ten serves; in overload the oracle leaves these, and few others wait.

    Twelve seeds, each against the closed form of its own pool: a standard error of .014 by the work
    that waits, of .009 by the number of queries, which says .06 too much. The bound is between.
    """
    table = tiny.table(rows=400)
    scores = np.ones_like(table.scores)
    scores[::20] = 0.0
    hard = dataclasses.replace(table, scores=scores, costs=np.zeros_like(table.costs))
    seeds = tuple(range(12))
    study = StabilityStudy(
        policies=("ORACLE",), seeds=seeds, T=4000, pool_size=100, low=0.3, high=0.98
    )
    pools = [capacities.on_table(hard, [(1, 0.0)], [seed], 100) for seed in seeds]
    closed = pd.concat(pools)["oracle"].to_numpy()

    def excess(runs: str) -> float:
        monkeypatch.setenv("CQB_RUNS", str(tmp_path / runs))
        return float((study.run(hard)["rate"].to_numpy() - closed).mean())

    assert abs(excess("by work")) < 0.035
    monkeypatch.setattr(stability, "waiting_work", lambda run, serves: run.queue)
    assert excess("by number") > 0.035


def test_bisection_finds_the_closed_form_of_rules_that_do_not_learn(tmp_path, monkeypatch):
    monkeypatch.setenv("CQB_RUNS", str(tmp_path))
    study = StabilityStudy(
        policies=("ORACLE", "RANDOM"), seeds=(1, 2, 3), T=3000, pool_size=40, low=0.2, high=1.0
    )
    table = study.run(TABLE)
    assert set(CLOSED_FORM) >= set(table["policy"])
    means = table.groupby("policy")[["rate", "closed"]].mean()
    # The grid's step is .025; 3,000 rounds tell a growth of .01 from 0 to about .02 in the rate.
    np.testing.assert_allclose(means["rate"], means["closed"], atol=0.06)
    again = study.run(TABLE)
    pd.testing.assert_frame_equal(again, table)
