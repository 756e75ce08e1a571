"""Slopes, the store of runs, and predictions R1 to R5 and R9 to R11 at CI's size."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cqb.theory import asymptotic, behaviour, catalogue, plateau, rates, verdicts
from cqb.theory.__main__ import main
from cqb.theory.runs import MAKERS, play, rate_world, tau
from cqb.theory.settings import CI, SETTINGS
from cqb.theory.verdicts import FAILS, HOLDS, OUT_OF_REACH

SMALL = replace(CI, coverage_runs=4, radius_instances=3, long_rounds=400, rate_instances=6)
HORIZONS = (200, 800)


@pytest.fixture(scope="module")
def frame():
    return rates.measure(("ACQB", "CQB-eta-2"), HORIZONS, 6)


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
    assert np.isnan(fit.estimate)
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
    checks = asymptotic.rate_checks(pd.DataFrame(rows), SMALL)
    assert [c.verdict.id for c in checks] == ["R1", "R2", "R3", "R4"]
    assert [c.verdict.verdict for c in checks] == [HOLDS, FAILS, HOLDS, FAILS]
    few = pd.DataFrame([row for row in rows if row["seed"] < 3])
    few["gap"] *= np.random.default_rng(1).lognormal(0.0, 2.0, len(few))
    third = asymptotic.rate_checks(few, SMALL)[2]
    assert third.verdict.verdict == OUT_OF_REACH
    assert "instances" in third.verdict.note


def test_r1_acqbs_regret_grows_well_below_linearly(frame):
    """Six instances, T = 200 and 800. Kills: exploration that never decays, a radius ten times
    too large, regret against the oracle's queue (slopes of .8 and more)."""
    fit = rates.slope(*rates.by_instance(frame, "ACQB", "regret"))
    assert fit.estimate < 0.72
    assert fit.low < 0.55


def test_r2_r4_the_gap_stays_small(frame):
    """Mean gaps at 800 rounds below 2.5 queries (RANDOM's is 100 and more)."""
    last = frame[frame["T"] == 800].groupby("policy")["gap"].mean()
    assert (last < 2.5).all()


def test_r3_tau_by_value():
    assert tau(5, 5_000, 0.1, 0.05) == int(np.ceil(0.05 * 5 * np.log(5_000) / 0.01))
    assert tau(5, 1_000, 0.05, 0.05) == 200


def test_an_anytime_run_tells_of_shorter_horizons(frame):
    pair = play(rate_world(2), "ACQB", 200, 2)
    row = frame[(frame["policy"] == "ACQB") & (frame["T"] == 200) & (frame["seed"] == 2)].iloc[0]
    assert row["regret"] == pytest.approx(pair.learner.regret.sum())
    assert row["gap"] == pytest.approx(pair.gap[191:].mean())


def test_finished_runs_are_not_played_again(tmp_path, monkeypatch):
    first = rates.measure(("CQB-Opt",), (30, 60), 2, folder=tmp_path)
    (file,) = tmp_path.iterdir()
    lines = file.read_text("utf-8").splitlines()
    # An interruption cuts the last line off.
    file.write_text(lines[0] + "\n" + lines[1][:20], encoding="utf-8")
    played = []
    perform = rates.perform
    monkeypatch.setattr(rates, "perform", lambda job: played.append(job) or perform(job))
    seen = []
    again = rates.measure(
        ("CQB-Opt",), (30, 60), 2, folder=tmp_path, progress=lambda *n: seen.append(n)
    )
    pd.testing.assert_frame_equal(first, again)
    assert len(played) == 1
    assert seen == [(2, 2)]


def test_workers_change_nothing():
    alone = rates.measure(("CQB-eta-2",), (30, 60), 2)
    pd.testing.assert_frame_equal(alone, rates.measure(("CQB-eta-2",), (30, 60), 2, workers=2))


def test_r5_the_adversary_does_not_make_cqb_opt_diverge():
    """Kills: an optimist that does not widen for unseen directions (its gap is linear)."""
    check = asymptotic.adversarial(SMALL)
    assert check.verdict.verdict != FAILS
    assert check.table["gap"].iloc[-1] < 6.0


def test_r9_the_truth_stays_within_the_radius():
    """Kills: a radius ten times too small (ratios of 2 to 3 against the real one)."""
    check = behaviour.coverage(SMALL)
    assert check.verdict.verdict == HOLDS
    assert 0.1 < check.verdict.estimate < 0.6


def test_r10_a_smaller_slack_explores_longer():
    check, curves = plateau.plateau(replace(SMALL, plateau_instances=1))
    assert check.verdict.verdict != FAILS
    assert check.table["tau"].tolist() == [80, 80, 67, 80]
    assert len(curves) == 4 * 401


def test_r11_the_theoretical_radius_costs_regret():
    """Three instances, ratio 3 and more. Kills: a radius ten times too small (ratio about 2)."""
    assert behaviour.radius(SMALL).table["regret"].iloc[-1] > 3.0 * behaviour_best(SMALL)


def behaviour_best(setting):
    runs = [
        play(rate_world(seed), "ACQB", setting.long_rounds, seed).learner.regret.sum()
        for seed in range(setting.radius_instances)
    ]
    return float(np.mean(runs))


def test_the_sensitivity_table_changes_one_constant_at_a_time():
    table = asymptotic.sensitivity(replace(SMALL, long_rounds=120, plateau_instances=1))
    assert len(table) == 7
    assert table["constants"].is_unique


def test_the_command_writes_verdicts_and_goes_on(tmp_path, monkeypatch, capsys):
    """Two cheap steps instead of all; the second call plays nothing."""
    monkeypatch.setenv("CQB_RUNS", str(tmp_path / "runs"))
    kept = {name: catalogue.STEPS[name] for name in ("E1", "E2")}
    monkeypatch.setattr(catalogue, "STEPS", kept)
    tiny = replace(SMALL, horizons=(30, 60), rate_instances=3)
    monkeypatch.setitem(SETTINGS, "ci", tiny)
    arguments = ["--ci", "--workers", "1", "--figures", str(tmp_path / "figures")]
    main(arguments)
    rows = json.loads((tmp_path / "figures" / "theory_verdicts.json").read_text("utf-8"))
    assert [row["id"] for row in rows] == ["E1", "E2", "R1", "R2", "R3", "R4"]
    assert set(rows[0]) >= {"id", "prediction", "estimate", "low", "high", "criterion", "verdict"}
    assert "rate runs: 21 of 21" in capsys.readouterr().out
    monkeypatch.setattr(rates, "perform", None)
    monkeypatch.setattr(catalogue, "STEPS", dict.fromkeys(kept))
    main(arguments)
    assert json.loads((tmp_path / "figures" / "theory_verdicts.json").read_text("utf-8")) == rows


def test_the_committed_verdicts_cover_every_prediction():
    from cqb import paths

    found = verdicts.committed(paths.root() / "figures" / "theory_verdicts.json")
    assert found["id"].tolist() == catalogue.ORDER
    assert set(MAKERS) >= {"ACQB", "CQB-eps", "CQB-Opt", "CQB-eta-2"}


def test_r10_is_judged_by_what_the_instances_agree_on():
    """Queues that end at known rounds. Kills: a verdict without regard to the spread."""
    setting = replace(SMALL, plateau_instances=12)
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
        return plateau._plateau_check(table, made(at, spread), setting).verdict.verdict

    assert plateau.ends(np.array([[0, 4, 9, 5, 4, 0], [9, 0, 0, 0, 0, 0]])).tolist() == [3, 0]
    assert judged([60, 40, 20], 3) == HOLDS
    assert judged([60, 20, 40], 3) == FAILS
    assert judged([60, 41, 40], 15) == OUT_OF_REACH
