"""Statistics: intervals against SciPy, coverage, paired differences, many comparisons."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import cqb
import tiny
from cqb.metrics import CELL
from cqb.stats import SUMMARY_COLUMNS, final_summary, holm, interval, paired, paired_p, summarise

TABLE = tiny.table()


@pytest.fixture(scope="module")
def tidy() -> pd.DataFrame:
    """The tiny experiment on three seeds."""
    found = []
    for cell in tiny.SETTINGS.cells:
        policies = tiny.SETTINGS.policies_in(cell)
        how = {"K": cell.K, "lam": cell.lam, "arrival_rate": cell.arrival_rate, "T": 200}
        how |= {"seeds": (42, 43, 44), "pool_size": tiny.POOL, "checkpoints": 7}
        found.append(cqb.run(TABLE, policies, **how))
    return pd.concat(found, ignore_index=True)


def test_summary_has_a_row_per_cell_policy_and_round_in_order(tidy):
    summary = summarise(tidy)
    assert list(summary.columns) == SUMMARY_COLUMNS
    expected = tidy[tidy["seed"] == 42]
    keys = ["K", "lam", "policy", "t"]
    assert summary[keys].values.tolist() == expected[keys].values.tolist()
    assert (summary["seeds"] == 3).all()


def test_summary_has_the_columns_of_the_published_format():
    assert ", ".join(SUMMARY_COLUMNS) == (
        "dataset, stand_in, K, lam, arrival_rate, policy, seeds, t, "
        "regret_mean, regret_low, regret_high, gap_mean, gap_low, gap_high, "
        "queue_mean, repeat_share, seconds_per_run"
    )


def test_intervals_are_t_intervals_over_seeds(tidy):
    summary = summarise(tidy).set_index(["K", "policy", "t"])
    runs = tidy[(tidy["K"] == 2) & (tidy["policy"] == "ACQB") & (tidy["t"] == 200)]
    row = summary.loc[(2, "ACQB", 200)]
    for measure in ("regret", "gap"):
        values = runs[measure].to_numpy(float)
        low, high = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
        found = row[[f"{measure}_mean", f"{measure}_low", f"{measure}_high"]].tolist()
        assert found == pytest.approx([values.mean(), low, high])
    assert row["queue_mean"] == pytest.approx(runs["queue_mean"].mean())
    assert row["repeat_share"] == pytest.approx(runs["repeat_share"].mean())
    assert row["seconds_per_run"] == pytest.approx(runs["seconds"].mean())


def test_one_seed_has_a_mean_and_no_interval(tidy):
    summary = summarise(tidy[tidy["seed"] == 43])
    assert summary["regret_mean"].notna().all()
    assert summary[["regret_low", "regret_high", "gap_low", "gap_high"]].isna().all(axis=None)


def test_intervals_cover_at_their_rate():
    rng = np.random.default_rng(1)
    n, seeds, truth = 4000, 5, 3.0
    frame = pd.DataFrame(
        {
            **dict(zip(CELL, ("x", True, 1, 0.0, 0.5), strict=True)),
            "policy": "P",
            "seed": np.tile(np.arange(seeds), n),
            "t": np.repeat(np.arange(n), seeds),
            "regret": rng.normal(truth, 2.0, n * seeds),
            **dict.fromkeys(("gap", "queue_mean", "repeat_share", "seconds"), 1.0),
        }
    )
    summary = summarise(frame)
    covered = ((summary["regret_low"] <= truth) & (truth <= summary["regret_high"])).mean()
    assert abs(covered - 0.95) < 4 * math.sqrt(0.95 * 0.05 / n)


def test_paired_differences_are_those_of_the_same_seed(tidy):
    table = paired(tidy, against="RANDOM")
    assert table[["K", "policy"]].values.tolist() == [[1, "ACQB"], [1, "Q-UCB"], [2, "ACQB"]]
    final = tidy[(tidy["t"] == 200) & (tidy["K"] == 1)].set_index("seed")
    ours, base = (final[final["policy"] == name] for name in ("ACQB", "RANDOM"))
    for measure in ("regret", "gap"):
        difference = ours[measure] - base[measure]
        low, high = stats.ttest_rel(ours[measure], base[measure]).confidence_interval(0.95)
        found = table.loc[0, [f"{measure}_{part}" for part in ("difference", "low", "high")]]
        assert found.tolist() == pytest.approx([difference.mean(), low, high])
    assert (table["seeds"] == 3).all()
    assert (table["t"] == 200).all()


def test_paired_differences_at_an_earlier_round_and_their_signs(tidy):
    one = paired(tidy, against="ACQB", t=86).set_index(["K", "policy"])
    other = paired(tidy, against="RANDOM", t=86).set_index(["K", "policy"])
    assert one.loc[(2, "RANDOM"), "regret_difference"] == pytest.approx(
        -other.loc[(2, "ACQB"), "regret_difference"]
    )


def test_paired_needs_its_policy_and_its_round(tidy):
    with pytest.raises(ValueError, match="no run of 'Q-UCB'"):
        paired(tidy, against="Q-UCB")  # which K = 2 does not have
    with pytest.raises(ValueError, match="t: found 87, expected one of the rounds"):
        paired(tidy, t=87)


def test_the_final_summary_has_the_last_round_and_no_rounding_error(tidy):
    table = final_summary(tidy.assign(regret=tidy["regret"] + 1e-12))
    assert set(table["t"]) == {200}
    assert len(table) == 5
    assert (table["regret_mean"] * 1e9 % 1 < 1e-5).any()


def test_an_interval_leaves_out_what_is_missing():
    values = [0.1, 0.4, 0.3, np.nan]
    found = interval(values)
    low, high = stats.ttest_1samp(values[:3], 0.0).confidence_interval(0.95)
    assert found.n == 3
    assert found[:3] == pytest.approx((np.mean(values[:3]), low, high))
    assert np.isnan(interval([1.0]).low)
    low, high = stats.ttest_1samp(values[:3], 0.0).confidence_interval(0.99)
    wide = interval(values, 0.99)
    assert (wide.low, wide.high) == pytest.approx((low, high))


def test_p_values_are_those_of_the_paired_test():
    one, other = np.random.default_rng(3).normal(size=(2, 9)) + np.array([[0.4], [0.0]])
    assert paired_p(one - other) == pytest.approx(stats.ttest_rel(one, other).pvalue)


def test_holm_is_the_step_down_rule():
    """By hand at 5%: bounds .0125, .0167, .025, .05 for the ascending p-values."""
    assert holm(np.array([0.04, 0.012, 0.016, 0.03])).tolist() == [False, True, True, False]
    assert holm(np.array([0.013, 0.001, 0.02, 0.04])).tolist() == [True] * 4
    assert holm(np.array([np.nan, 0.001])).tolist() == [False, True]
