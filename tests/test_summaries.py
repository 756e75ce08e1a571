"""What the notebooks say in words follows from the numbers."""

import numpy as np
import pandas as pd
import pytest

from cqb import summaries, tables
from cqb.policies.fifo_bandits import Q_UCB
from cqb.simulate import RETRY, Waiting
from cqb.stats import paired, summarise
from cqb.streams import Streams
from cqb.tables import spreads
from made_up import made_up


@pytest.fixture
def tidy():
    return made_up()


def test_final_table_has_every_policy_with_mean_and_paired_difference(tidy):
    summary, differences = summarise(tidy), paired(tidy)
    text = tables.text(summaries.final_table(summary, differences, K=1, value="regret"))
    lines = {line.split()[0]: line for line in text.splitlines()[2:]}
    assert list(lines) == ["ORACLE", "ACQB", "ACQB-T", "CQB-eps", "Q-UCB", "Q-ThS", "RANDOM"]
    row = differences[
        (differences["policy"] == "RANDOM") & (differences["K"] == 1) & (differences["lam"] == 5)
    ].iloc[0]
    margin = row["regret_high"] - row["regret_difference"]
    assert f"{row['regret_difference']:+.0f} ± {margin:.0f}" in lines["RANDOM"]
    assert "-" in lines["ACQB"].split()
    assert "Q-UCB" not in summaries.final_table(summary, differences, K=2, value="regret").index


def test_tables_print_no_negative_zero():
    assert spreads([-0.2], [0.1], 0, "+") == ["+0 ± 0"]


def test_verdicts_count_the_intervals_that_leave_out_zero():
    rows = pd.DataFrame(
        {
            "policy": ["B"] * 4,
            "regret_low": [1.0, -1.0, -3.0, np.nan],
            "regret_high": [2.0, 1.0, -2.0, np.nan],
        }
    )
    first, last = summaries.verdicts(rows, value="regret").splitlines()
    assert first == (
        "B: ACQB has the lower regret in 1 of 4 settings, the higher in 1, and no clear difference in 2."
    )
    assert last.startswith("By chance alone, about 0.2 of these 4 intervals")


def test_growth_compares_the_end_with_the_middle():
    tidy = made_up(policies=("ORACLE", "ACQB"), rounds=(25, 100), cells=[(1, 0.0, 0.5)])
    tidy["regret"] = np.sqrt(tidy["t"])
    text = summaries.growth(summarise(tidy))
    assert text.endswith("R(100) / R(25) = 10 / 5 = 2.00")


def test_side_table_prices_what_was_served(tidy):
    text = tables.text(summaries.side_table(tidy, K=2), index=False)
    line = next(line for line in text.splitlines() if "RANDOM" in line)
    assert line.split() == ["0", "RANDOM", "6.5", "60", "6.0", "25.00", "40"]


def test_exploring_share_is_what_the_policy_does():
    """0.79 at N = 11 and T = 5,000; the policy itself explores that often."""
    share = summaries.exploring_share(11, 5000)
    assert share == pytest.approx(0.79, abs=0.005)
    service = type("Service", (), {"n_models": 11, "T": 5000})()
    policy = Q_UCB.factory(service, Streams(3))
    explored = 0
    for t in range(1, 5001):
        decision = policy.choose(t, Waiting([0], [0], [0], False))
        explored += decision.forced
        policy.observe(t, 0, 0, decision.assortment, RETRY)
    assert explored / 5000 == pytest.approx(share, abs=4 * 0.5 / 5000**0.5)


def test_the_authors_numbers_are_shown_next_to_real_rows_only(tidy):
    assert "not compared" in summaries.published_comparison(tidy)["note"].iloc[0]
    real = made_up(stand_in=False, cells=[(1, 5.0, 0.45)], rounds=(5000,))
    real = real.assign(dataset="RouterBench, some families")
    table = summaries.published_comparison(real)
    regret = real.loc[real["policy"] == "ACQB", "regret"]
    ours = f"{regret.mean():.0f} ± {regret.std():.0f}"
    lines = [line for line in tables.text(table).splitlines() if "1158 ± 203" in line]
    assert len(lines) == 2  # theirs is ACQB or ACQB-T
    assert ours in lines[0]
    named = summaries.published_comparison(real.assign(dataset="ZeroEval"), "routerbench")
    pd.testing.assert_frame_equal(named, table)


def test_seconds_are_means_over_settings(tidy):
    assert "K = 1: ORACLE 0.10 s, ACQB 0.10 s" in summaries.seconds_per_run(summarise(tidy))
