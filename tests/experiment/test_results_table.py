"""The full table of results: intervals and differences by SciPy, the authors' numbers in their place."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from scipy import stats

from cqb.experiment import authors, results_table
from made_up import made_up

CELLS = [(1, 5.0, 0.5), (1, 0.0, 0.5), (2, 5.0, 0.65)]


@pytest.fixture(scope="module")
def real() -> pd.DataFrame:
    tidy = made_up(stand_in=False, cells=CELLS, rounds=(2500, 5000))
    return tidy.assign(dataset="RouterBench, some families")


def test_means_deviations_and_paired_differences(real):
    table = results_table.full_table(real).set_index(["K", "lam", "policy"])
    last = real[(real["t"] == 5000) & (real["K"] == 2)].set_index(["policy", "seed"])["regret"]
    row = table.loc[(2, 5.0, "RANDOM")]
    assert row["regret_mean"] == pytest.approx(last["RANDOM"].mean())
    assert row["regret_sd"] == pytest.approx(last["RANDOM"].std())
    low, high = stats.ttest_1samp(last["RANDOM"], 0.0).confidence_interval(0.95)
    assert row[["regret_low", "regret_high"]].tolist() == pytest.approx([low, high])
    low, high = stats.ttest_rel(last["RANDOM"], last["ACQB"]).confidence_interval(0.95)
    found = row[["regret_difference_low", "regret_difference_high"]].tolist()
    assert found == pytest.approx([low, high])
    assert table.loc[(2, 5.0, "ACQB"), "regret_difference"] != table.loc[(2, 5.0, "ACQB"), "t"]
    assert pd.isna(table.loc[(2, 5.0, "ACQB"), "regret_difference"])
    assert (table["t"] == 5000).all()


def test_the_authors_stand_beside_the_same_set_setting_and_policy_only(real):
    table = results_table.full_table(real).set_index(["K", "lam", "policy"])
    table = table.sort_index()["authors_regret_mean"]
    # The three that the note on their repository lists for these settings, and no number at lam = 0.
    assert table[1, 5.0, "ACQB"] == table[1, 5.0, "ACQB-T"] == pytest.approx(1157.5, abs=0.05)
    assert table[1, 5.0, "Q-UCB"] == pytest.approx(1953.0, abs=0.05)
    assert table[2, 5.0, "RANDOM"] == pytest.approx(1081.8, abs=0.05)
    assert table[1, 0.0].isna().all()
    assert pd.isna(table[1, 5.0, "RANDOM"])  # they stored its gap alone
    for other in (real.assign(stand_in=True), real.assign(dataset="Something else")):
        assert results_table.full_table(other)["authors_regret_mean"].isna().all()


def test_versions_of_a_cell_count_once_the_unmarked_first():
    table = authors.beside("sprout")
    assert not table.duplicated(authors.KEYS).any()
    chosen = table.query("K == 1 and arrival_rate == 0.9 and policy == 'ACQB-CL' and t == 5000")
    assert chosen["authors_regret_mean"].item() == pytest.approx(573.85, abs=0.01)
    marked = authors.beside("routerbench").query("K == 2 and arrival_rate == 0.75 and t == 5000")
    assert set(marked["policy"]) >= {"ACQB-CL", "ACQB-CL-LN"}
    assert authors.beside("wildchat").empty


def test_the_file_reads_back(real, tmp_path):
    path = tmp_path / "figures" / "results.csv"
    results_table.write(real, path, note="of a test")
    back = pd.read_csv(path)
    pd.testing.assert_frame_equal(
        back, results_table.full_table(real), check_dtype=False, rtol=1e-5, atol=1e-8
    )
    assert json.loads(path.with_suffix(".json").read_text())["columns"] == list(back.columns)
