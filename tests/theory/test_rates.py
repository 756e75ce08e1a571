"""Slopes, the studies, and predictions R1 to R5 and R9 to R11 at small sizes."""

import json

import numpy as np
import pandas as pd
import pytest

from cqb import paths
from cqb.studies import theory
from cqb.theory import (
    FAILS,
    HOLDS,
    OUT_OF_REACH,
    Check,
    Task,
    exact,
    learning,
    rates,
    records,
    verdict_text,
)
from cqb.theory.worlds import play, rate_world, tau

HORIZONS = (200, 800)


@pytest.fixture(scope="module")
def frame():
    tasks = [
        Task("R1", (name,), seed, HORIZONS) for name in ("ACQB", "CQB-eta-2") for seed in range(6)
    ]
    return pd.concat([theory.run(task) for task in tasks], ignore_index=True)


def made_up(exponent, noise, instances=40, horizons=(250, 500, 1_000, 2_000)):
    rng = np.random.default_rng(3)
    values = 5.0 * np.array(horizons, float) ** exponent
    return np.array(horizons), values * rng.lognormal(0.0, noise, (instances, len(horizons)))


@pytest.mark.parametrize("exponent", [0.5, -0.25, -0.5])
def test_a_slope_is_recovered_with_its_interval(exponent):
    fit = rates.slope(*made_up(exponent, 0.3))
    assert fit.low < exponent < fit.high
    assert fit.high - fit.low < 0.25
    assert fit.usable == 1.0


def test_intervals_cover_as_often_as_they_say():
    """60 made-up studies of 30 instances: coverage at least 85% (binomial 3 deviations below 95)."""
    rng, T, hits = np.random.default_rng(5), np.array([250, 1_000, 4_000]), 0
    for _ in range(60):
        values = T**0.5 * rng.lognormal(0.0, 0.5, (30, 3))
        fit = rates.slope(T, values)
        hits += fit.low <= 0.5 <= fit.high
    assert hits >= 51


def test_a_mean_that_is_not_positive_has_no_slope():
    horizons, values = made_up(-0.5, 0.3)
    values[:, -1] -= 2.0 * values[:, -1].mean()
    fit = rates.slope(horizons, values)
    assert np.isnan(fit.slope)
    assert fit.usable < 0.05


def test_rate_verdicts_are_those_of_the_slopes():
    """Kills: a verdict that takes an upper bound for an equality, or a wide interval for proof."""
    rows = []
    truth = {"ACQB": (0.3, 0.2), "CQB-eps": (-0.6, -0.6), "CQB-eta-2": (0.4, -0.1)}
    for policy, (regret, gap) in truth.items():
        T, regrets = made_up(regret, 0.3)
        gaps = made_up(gap, 0.3)[1]
        rows += [
            {"policy": policy, "T": t, "seed": i, "regret": regrets[i, k], "gap": gaps[i, k]}
            for i in range(40)
            for k, t in enumerate(T)
        ]
    rows = pd.DataFrame(rows)
    checks = [theory.judged(id, {"R1": rows}) for id in ("R1", "R2", "R3", "R4")]
    assert [check.verdict for check in checks] == [HOLDS, FAILS, HOLDS, FAILS]
    few = rows[rows["seed"] < 3].copy()
    few["gap"] *= np.random.default_rng(1).lognormal(0.0, 2.0, len(few))
    third = theory.judged("R3", {"R1": few})
    assert third.verdict == OUT_OF_REACH
    assert "instances" in third.note


def test_r1_acqbs_regret_grows_well_below_linearly(frame):
    """Six instances, T = 200 and 800. Kills: exploration that never decays, a radius ten times
    too large, regret against the oracle's queue (slopes of .8 and more)."""
    fit = rates.slope(*rates.by_instance(frame, "ACQB", "regret"))
    assert fit.slope < 0.72
    assert fit.low < 0.55


def test_r2_r4_the_gap_stays_small(frame):
    """Mean gaps at 800 rounds below 2.5 queries (RANDOM's is 100 and more)."""
    last = frame[frame["T"] == 800].groupby("policy")["gap"].mean()
    assert (last < 2.5).all()


def test_r3_tau_by_value():
    assert tau(5, 5_000, 0.1, 0.05) == int(np.ceil(0.05 * 5 * np.log(5_000) / 0.01))
    assert tau(5, 1_000, 0.05, 0.05) == 200


def test_an_anytime_run_gives_the_shorter_horizons(frame):
    pair = play(rate_world(2), "ACQB", 200, 2)
    row = frame[(frame["policy"] == "ACQB") & (frame["T"] == 200) & (frame["seed"] == 2)].iloc[0]
    assert row["regret"] == pytest.approx(pair.learner.regret.sum())
    assert row["gap"] == pytest.approx(pair.gap[191:].mean())


def test_a_policy_that_knows_its_horizon_is_run_for_each():
    rows = theory.run(Task("R1", ("CQB-eps",), 1, (60, 120)))
    for T, regret in zip(rows["T"], rows["regret"], strict=True):
        assert regret == pytest.approx(play(rate_world(1), "CQB-eps", T, 1).learner.regret.sum())


def test_r5_the_adversary_does_not_make_cqb_opt_diverge(judge):
    """Kills: an optimist that does not widen for unseen directions (its gap is linear)."""
    check = judge("R5", 6, 400)
    assert check.verdict != FAILS
    assert check.table["gap"].iloc[-1] < 6.0


def test_r9_the_truth_stays_within_the_radius(judge):
    """Kills: a radius ten times too small (ratios of 2 to 3 against the real one)."""
    check = judge("R9", 4, 400)
    assert check.verdict == HOLDS
    assert 0.1 < check.estimate < 0.6


def test_r10_a_smaller_slack_explores_longer(rows_of):
    rows = {"R10": rows_of("R10", 1, 400), "R10 preset": rows_of("R10 preset", 5, 500)}
    check = theory.judged("R10", rows)
    assert check.verdict == OUT_OF_REACH
    assert check.table["tau"].tolist() == [80, 80, 67, 80]
    assert len(learning.curves(rows["R10"])) == 4 * 401
    assert "over 5 instances" in check.note


def test_r11_the_theoretical_radius_costs_regret(judge):
    """Three instances, ratio 3 and more. Kills: a radius ten times too small (ratio about 2)."""
    runs = [play(rate_world(seed), "ACQB", 400, seed).learner.regret.sum() for seed in range(3)]
    assert judge("R11", 3, 400).table["regret"].iloc[-1] > 3.0 * np.mean(runs)


def test_the_sensitivity_table_changes_one_constant_at_a_time():
    table = rates.sensitivity(1, 120)
    assert len(table) == 7
    assert table["constants"].is_unique


@pytest.mark.parametrize("setting", theory.SIZES)
def test_every_check_is_in_one_study_of_each_size(setting):
    tasks = [task for kind in theory.KINDS for task in theory.study(kind, setting).tasks]
    assert {task.check for task in tasks} == set(theory.RUNS)
    for check, runs in theory.RUNS.items():
        seeds, _ = runs.sizes[theory.SIZES.index(setting)]
        assert sum(task.check == check for task in tasks) == seeds * len(list(runs.cases))


def test_rows_of_a_mixed_table_come_back_as_they_were(rows_of):
    """A table of several checks has gaps, which make its counts floats."""
    parts = {"E1": rows_of("E1", 1, 30), "E2": rows_of("E2", 2, 3)}
    back = theory._by_check([pd.concat(parts.values(), ignore_index=True)])
    for check, rows in parts.items():
        pd.testing.assert_frame_equal(back[check].reset_index(drop=True), rows[back[check].columns])
        one, other = (theory.judged(check, table) for table in (back, parts))
        assert verdict_text(one) == verdict_text(other)
        shown = (check.table.round(3).to_string(index=False) for check in (one, other))
        assert len(set(shown)) == 1


def test_the_committed_verdicts_cover_every_prediction(rows_of):
    path = paths.root() / "figures" / "theory_verdicts.json"
    found = pd.DataFrame(json.loads(path.read_text("utf-8")))
    assert found["id"].tolist() == list(theory.JUDGES)
    judged = theory.judged("E1", {"E1": rows_of("E1", 1, 30)})
    assert list(records([judged]).columns) == list(found.columns)


def test_r10_is_judged_by_what_the_instances_agree_on():
    """Queues that end at known rounds. Kills: a verdict without regard to the spread."""
    table = pd.DataFrame(
        {"last round above half": [60, 40, 20], "queue at T": [0.0] * 3, "peak": [9.0] * 3}
    )

    def made(at: list[int], spread: int) -> np.ndarray:
        rng = np.random.default_rng(3)
        queues = np.zeros((3, 12, 101))
        for queue, end in zip(queues, at, strict=True):
            for path in queue:
                path[: end + int(rng.integers(-spread, spread + 1))] = 9.0
        return queues

    def judged(at: list[int], spread: int) -> str:
        return learning._plateau_check(table, made(at, spread), pd.Series([0.6])).verdict

    assert learning.ends(np.array([[0, 4, 9, 5, 4, 0], [9, 0, 0, 0, 0, 0]])).tolist() == [3, 0]
    assert judged([60, 40, 20], 3) == HOLDS
    assert judged([60, 20, 40], 3) == FAILS
    assert judged([60, 41, 40], 15) == OUT_OF_REACH


def test_r10_of_few_instances_has_no_interval():
    table = pd.DataFrame(
        {"last round above half": [60, 40, 20], "queue at T": [0.0] * 3, "peak": [9.0] * 3}
    )
    queues = np.tile(np.where(np.arange(101) < [[60], [40], [20]], 9.0, 0.0)[:, None], (1, 3, 1))
    check = learning._plateau_check(table, queues, pd.Series([0.6, 0.7]))
    assert check.verdict == OUT_OF_REACH
    assert np.isnan([check.low, check.high]).all()
    assert "nan" not in verdict_text(check) + check.table.to_string()


def test_r11_needs_both_arms_of_the_u():
    def judged(smallest: float, largest: float) -> str:
        cost = {0.003: smallest, 0.03: 1.0, 0.3: 2.0, 1.0: largest}
        noise = np.random.default_rng(0)
        rows = [(s, a, c * noise.uniform(0.95, 1.05)) for s in range(8) for a, c in cost.items()]
        table = pd.DataFrame(rows, columns=["seed", "alpha_coef", "regret"]).assign(T=100)
        return learning.judge_radius(table).verdict

    assert judged(1.5, 5.0) == HOLDS
    assert judged(0.7, 5.0) == judged(1.5, 1.2) == FAILS
    assert judged(1.0, 5.0) == OUT_OF_REACH


def test_r7_by_runs_whose_terms_are_known():
    """m falls from .4 to .2, delta rises from .5 to 1: the sum is (.2 + .2) x rounds."""

    def judged(psi: float, falls: bool) -> Check:
        late, early = (0.04, 0.16) if falls else (0.16, 0.04)
        rows = [
            (seed, t, 10, psi, 10 * (early if t == 10 else late), int(t == 20 or seed % 4 == 0))
            for seed in range(40)
            for t in (10, 20)
        ]
        names = ["seed", "t", "rounds", "psi", "squares", "survived"]
        return exact.judge_sum(pd.DataFrame(rows, columns=names))

    check = judged(0.5, True)
    assert check.estimate == pytest.approx(4.0)
    assert check.low < 4.0 < check.high
    assert check.verdict == HOLDS
    assert judged(5.0, True).verdict == judged(0.5, False).verdict == FAILS
