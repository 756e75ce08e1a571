"""Claims and verdicts: on made-up results of known growth, order and size, and without any wishing."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from cqb import claims
from made_up import made_up

POLICIES = ("ORACLE", "ACQB", "ACQB-CL", "ACQB-CL-LN", "RANDOM")
CELLS = [(1, 0.0, 0.5), (2, 5.0, 0.65)]
ROUNDS = tuple(range(100, 5001, 100))


def table(growth: float = 0.5, noise: float = 0.02, gap: float = -1.0) -> pd.DataFrame:
    """Regret grows like t ** growth; ACQB-CL has 0.9 and RANDOM 2 times ACQB's, ACQB-CL-LN the same.

    The gap is 10 + `gap` * t / 1000 for all, and 50 more for RANDOM.
    """
    tidy = made_up(policies=POLICIES, cells=CELLS, rounds=ROUNDS, seeds=6, stand_in=False)
    rng = np.random.default_rng(5)
    luck = {key: 1 + noise * rng.normal() for key in tidy.groupby(["policy", "seed", "K"]).groups}
    factor = {"ORACLE": 0.0, "ACQB": 1.0, "ACQB-CL": 0.9, "ACQB-CL-LN": 1.0, "RANDOM": 2.0}
    own = [luck[key] for key in tidy[["policy", "seed", "K"]].itertuples(index=False, name=None)]
    tidy["regret"] = tidy["policy"].map(factor) * own * tidy["t"] ** growth
    wiggle = 0.1 * rng.normal(size=len(tidy))
    tidy["gap"] = 10 + gap * tidy["t"] / 1000 + 50 * (tidy["policy"] == "RANDOM") + wiggle
    return tidy


def verdict(found: pd.DataFrame, claim: str, measure: str = "") -> str:
    rows = found[found["claim"].str.startswith(claim) & found["measure"].str.startswith(measure)]
    return rows["verdict"].item()


@pytest.mark.parametrize(
    ("growth", "expected"), [(0.5, 0.5), (0.8, 0.8), (0.3, 0.3)], ids=["root", "steeper", "flatter"]
)
def test_the_exponent_is_that_of_the_curve(growth, expected):
    values = claims.exponent(table(growth), "ACQB")
    assert values.to_numpy() == pytest.approx(expected)
    assert len(values) == 2 * 6


def test_verdicts_follow_the_interval():
    steep, flat = claims.paper_claims(table(0.8)), claims.paper_claims(table(0.3))
    claim = "ACQB's routing regret grows"
    assert verdict(steep, claim) == "not reproduced"
    assert verdict(flat, claim) == "reproduced"
    assert verdict(flat, "ACQB beats RANDOM", "regret") == "reproduced"
    assert verdict(flat, "ACQB beats RANDOM", "queue") == "reproduced"
    assert verdict(flat, "ACQB-CL beats ACQB at equal scale", "regret") == "reproduced"
    assert verdict(flat, "ACQB-CL as published", "regret") == "not decided"
    shrinking, growing = claims.paper_claims(table(gap=-1.0)), claims.paper_claims(table(gap=1.0))
    assert verdict(shrinking, "ACQB's queue-length") == "reproduced"
    assert verdict(growing, "ACQB's queue-length") == "not reproduced"


def test_generated_data_reproduce_nothing():
    found = claims.paper_claims(table(0.8).assign(stand_in=True))
    assert set(found["verdict"]) <= {"on the claimed side", "on the other side", "not decided"}
    assert verdict(found, "ACQB's routing regret grows") == "on the other side"


def test_one_seed_decides_nothing():
    alone = table(0.8)
    found = claims.paper_claims(alone[alone["seed"] == alone["seed"].min()])
    assert set(found["verdict"]) == {"not decided"}


def test_policies_swapped_turn_the_verdict_around():
    swapped = table().replace({"policy": {"ACQB": "RANDOM", "RANDOM": "ACQB"}})
    assert verdict(claims.paper_claims(swapped), "ACQB beats RANDOM", "regret") == "not reproduced"


def test_estimates_are_paired_means_with_t_intervals_over_seeds():
    tidy = table()
    found = claims.paper_claims(tidy).set_index("claim").loc["ACQB beats RANDOM"].iloc[0]
    last = tidy[tidy["t"] == 5000].pivot(index=["K", "seed"], columns="policy", values="regret")
    typical = last["RANDOM"].groupby("K").transform("mean")
    per_seed = (100 * (last["ACQB"] - last["RANDOM"]) / typical).groupby("seed").mean()
    low, high = stats.ttest_1samp(per_seed, 0.0).confidence_interval(0.95)
    assert found[["low", "high"]].tolist() == pytest.approx([low, high])
    assert (found["settings"], found["seeds"]) == (2, 6)


def test_shrinking_is_the_last_fifth_less_the_second():
    tidy = table()
    rows = tidy[(tidy["policy"] == "ACQB") & (tidy["K"] == 1) & (tidy["seed"] == 3)]
    late = rows.loc[rows["t"] > 4000, "gap"].mean()
    early = rows.loc[(rows["t"] > 1000) & (rows["t"] <= 2000), "gap"].mean()
    assert claims.late_gap(tidy, "ACQB").loc[1, 0.0, 0.5, 3] == pytest.approx(late - early)


def test_claims_about_policies_that_were_not_run_are_not_made():
    tidy = table()
    found = claims.paper_claims(tidy[tidy["policy"].isin(["ORACLE", "ACQB", "RANDOM"])])
    assert not found["claim"].str.contains("CL").any()
    assert set(found["data"]) == {"Made up (real rows)"}
    real = claims.paper_claims(tidy.assign(stand_in=False))
    assert set(real["data"]) == {"Made up (real rows)"}


def test_the_table_has_every_estimate_with_its_verdict_under_its_data():
    found = claims.paper_claims(table())
    for measure, own in found.groupby("measure", sort=False):
        verdicts = ["reproduced", "not reproduced", "not decided"] * len(own)
        own = own.assign(verdict=verdicts[: len(own)], data="One, 3 families (real rows)")
        other = own.assign(data="Other", estimate=own["estimate"] + 1.0, verdict="not decided")
        shown = claims.claims_table(pd.concat([own, other], ignore_index=True))
        assert list(shown) == ["One", "Other"]
        assert list(shown.index) == list(own["claim"])
        digits = 2 if measure == claims.GROWTH else 1
        for row, word in zip(own.itertuples(), ["yes", "no", "open"] * len(own), strict=False):
            here, there = shown.loc[row.claim]
            assert here.startswith(f"{row.estimate:.{digits}f} ({row.low:.{digits}f}, ")
            assert here.endswith(f") {word}")
            assert there.startswith(f"{row.estimate + 1.0:.{digits}f} (")


def test_the_authors_own_numbers_are_read_from_their_file():
    """The growth that the note on their repository tells as a ratio: 1.753 and 1.768."""
    text = claims.of_the_authors()
    assert f"sprout, K = 1, arrival rate 0.9, ACQB: growth exponent {np.log2(1.753):.2f}" in text
    assert f"embedllm, K = 1, arrival rate 0.3, ACQB: growth exponent {np.log2(1.768):.2f}" in text
    both = claims.published("routerbench").query("t == 5000 and K == 1 and arrival_rate == 0.5")
    table = both.set_index("policy")
    difference = (
        table.loc["ACQB-CL", "authors_regret_mean"] - table.loc["ACQB", "authors_regret_mean"]
    )
    assert difference == pytest.approx(1104.8 - 1157.5, abs=0.2)
    assert "from -2.3 to" in text


# --- the full table ------------------------------------------------------------------------------

FULL_CELLS = [(1, 5.0, 0.5), (1, 0.0, 0.5), (2, 5.0, 0.65)]


@pytest.fixture(scope="module")
def real() -> pd.DataFrame:
    tidy = made_up(stand_in=False, cells=FULL_CELLS, rounds=(2500, 5000))
    return tidy.assign(dataset="RouterBench, some families")


def test_means_deviations_and_paired_differences(real):
    table = claims.full_table(real).set_index(["K", "lam", "policy"])
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


def test_the_authors_numbers_are_given_for_the_same_set_setting_and_policy_only(real):
    table = claims.full_table(real).set_index(["K", "lam", "policy"])
    table = table.sort_index()["authors_regret_mean"]
    # The three that the note on their repository lists for these settings, and no number at lam = 0.
    assert table[1, 5.0, "ACQB"] == table[1, 5.0, "ACQB-T"] == pytest.approx(1157.5, abs=0.05)
    assert table[1, 5.0, "Q-UCB"] == pytest.approx(1953.0, abs=0.05)
    assert table[2, 5.0, "RANDOM"] == pytest.approx(1081.8, abs=0.05)
    assert table[1, 0.0].isna().all()
    assert pd.isna(table[1, 5.0, "RANDOM"])  # they stored its gap alone
    for other in (real.assign(stand_in=True), real.assign(dataset="Something else")):
        assert claims.full_table(other)["authors_regret_mean"].isna().all()


def test_versions_of_a_cell_count_once_the_unmarked_first():
    table = claims.published("sprout")
    assert not table.duplicated(claims.PUBLISHED_KEYS).any()
    chosen = table.query("K == 1 and arrival_rate == 0.9 and policy == 'ACQB-CL' and t == 5000")
    assert chosen["authors_regret_mean"].item() == pytest.approx(573.85, abs=0.01)
    marked = claims.published("routerbench").query("K == 2 and arrival_rate == 0.75 and t == 5000")
    assert set(marked["policy"]) >= {"ACQB-CL", "ACQB-CL-LN"}
    assert claims.published("wildchat").empty
