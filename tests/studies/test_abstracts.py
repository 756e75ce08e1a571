"""The claims of the abstracts: what decides a verdict, and where each claim is shown."""

import json
from pathlib import Path

import pandas as pd
import pytest
from scipy import stats

from cqb.studies import abstracts
from cqb.study import store
from cqb.tables import select

ROOT = Path(__file__).resolve().parents[2]


def side(low: float, high: float) -> str:
    """The verdict on a difference that is claimed to be above 0."""
    return abstracts.WORDS[abstracts.claims.verdict_on(-high, -low, 0.0, False)]


@pytest.fixture(scope="module")
def committed() -> pd.DataFrame:
    return pd.DataFrame(json.loads((ROOT / "figures" / "claims.json").read_text("utf-8")))


def test_a_claim_about_several_rivals_is_decided_by_the_least_favourable(monkeypatch):
    """Two rivals are beaten and one is not: the claim does not hold."""
    tested = pd.DataFrame(
        [
            ("ACQB beats Q-UCB", "regret, difference", -9.0, -8.0, "reproduced"),
            ("ACQB beats Q-UCB", "queue-length regret, difference in queries", 5.0, 6.0, "x"),
            ("ACQB beats Q-ThS", "regret, difference", -1.0, 1.0, "not decided"),
            ("ACQB beats RANDOM", "regret, difference", -9.0, -7.0, "reproduced"),
        ],
        columns=["claim", "measure", "low", "high", "verdict"],
    ).assign(estimate=lambda t: (t["low"] + t["high"]) / 2, data="a set (real rows)")
    claim = "ACQB has less regret than Q-UCB, Q-ThS and RANDOM"
    monkeypatch.setattr(abstracts, "TESTED", {claim: abstracts.TESTED[claim]})
    monkeypatch.setattr(abstracts.claims, "paper_claims", lambda rows: tested)
    monkeypatch.setattr(abstracts, "SHOWN_IN", {"paretobandit": ("04", "f", "make x", 1)})
    (row,) = abstracts._on_real_rows()
    assert (row["estimate"], row["verdict"]) == (0.0, abstracts.UNDECIDED)


@pytest.mark.parametrize(
    ("ends", "verdict"), [((1, 2), "holds"), ((-2, -1), "fails"), ((-1, 1), "undecided")]
)
def test_the_side_of_an_interval_decides(ends, verdict):
    assert side(*ends) == verdict


@pytest.mark.parametrize(
    ("found", "verdict"),
    [("holds", "holds"), ("fails", "fails"), ("out of reach at this T", "undecided")],
)
def test_a_bound_of_the_theory_that_fails_is_said_to_fail(monkeypatch, found, verdict):
    checks = abstracts.theory.verdicts().assign(verdict=found)
    monkeypatch.setattr(abstracts.theory, "verdicts", lambda: checks)
    assert [row["verdict"] for row in abstracts._in_theory()] == [verdict, verdict]


def test_port_is_compared_with_the_best_simple_rule_seed_by_seed(committed):
    rows = select(
        store.read_verified("port-comparison-paretobandit")[0],
        experiment="split",
        setting="weighted",
    )
    wide = rows.pivot(index="seed", columns="policy", values="lpr")
    rules = wide[list(abstracts.SIMPLE)]
    best = rules.mean().idxmax()
    low, high = stats.ttest_rel(wide["PORT-ref"], rules[best]).confidence_interval(0.95)
    (row,) = committed[
        committed["claim"].str.startswith("PORT scores")
        & committed["data"].str.startswith("ParetoBandit")
    ].to_dict("records")
    assert best in row["measure"]
    assert (row["low"], row["high"]) == pytest.approx((low, high), rel=1e-4)
    assert row["verdict"] == side(low, high)


def test_every_claim_names_a_notebook_a_figure_and_a_verdict_that_exist(committed):
    assert list(committed) == abstracts.COLUMNS
    assert set(committed["source"]) == {abstracts.ACQB, abstracts.PORT, abstracts.QOS}
    assert set(committed["verdict"]) <= {
        *abstracts.WORDS.values(),
        abstracts.UNMET,
        abstracts.GENERATED,
    }
    for notebook, figure in set(zip(committed["notebook"], committed["figure"], strict=True)):
        cells = json.loads((ROOT / "notebooks" / f"{notebook}.ipynb").read_text("utf-8"))["cells"]
        assert any(f'"{figure}"' in "".join(cell["source"]) for cell in cells)
        assert (ROOT / "figures" / f"{figure}.png").is_file()
