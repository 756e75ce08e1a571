"""Views of runs: shares counted by hand on a few rounds, and that they agree with the tidy table."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import tiny
from cqb import summaries, tables
from cqb.metrics import lock_ins, shares
from cqb.runs import shares_of
from cqb.simulate import IDLE, RETRY, Trajectory
from cqb.stats import SERVICE_KEYS as KEYS
from cqb.stats import service_summary
from cqb.study import data

TABLE = tiny.table()
MODELS = ("A", "B", "C")


def trajectory(query, assortment, pick, arrived, departed) -> Trajectory:
    T = len(pick)
    nothing = np.zeros(T, bool)
    return Trajectory(
        queue=np.zeros(T + 1, np.int32),
        regret=np.zeros(T),
        query=np.array(query, np.int32),
        row=np.array(query, np.int32),
        assortment=np.array(assortment, np.int16),
        pick=np.array(pick, np.int16),
        forced=nothing,
        retrial=nothing,
        repeat=nothing,
        arrived=np.array(arrived, np.int32),
        departed=np.array(departed, np.int32),
    )


# Ten rounds, a block each. Query 0 comes in round 1, retries twice and departs in round 4; query 1
# comes in round 4 and departs at once; query 2 comes in round 5 and never departs; query 3 in round 9.
HAND = trajectory(
    query=[-1, 0, 0, 0, 1, 2, 2, 2, 2, 2],
    assortment=[[-1, -1], [0, 1], [0, 2], [1, 2], [0, 1], *[[0, 1]] * 5],
    pick=[IDLE, RETRY, RETRY, 2, 0, *[RETRY] * 5],
    arrived=[1, 4, 5, 9],
    departed=[4, 5, 0, 0],
)


def of(view: str, table: pd.DataFrame) -> pd.DataFrame:
    return table[table["view"] == view].drop(columns="view")


def test_offers_are_counted_by_block_and_model():
    found = of("models", shares(HAND, MODELS)).pivot(index="place", columns="part", values="share")
    assert list(found.index) == list(range(1, 11))
    assert found.loc[1].isna().all()  # an idle block offers nothing
    assert found.loc[2].tolist() == [0.5, 0.5, 0.0]
    assert found.loc[3].tolist() == [0.5, 0.0, 0.5]
    assert found.loc[4].tolist() == [0.0, 0.5, 0.5]


def test_every_query_is_in_one_class_of_retrials():
    found = of("retrials", shares(HAND, MODELS)).set_index(["part", "place"])["share"]
    expected = {("departed", 0): 0.25, ("departed", 2): 0.25}
    expected |= {("waiting", 0): 0.25, ("waiting", 5): 0.25}
    assert {key: share for key, share in found.items() if share} == expected
    assert found.sum() == 1.0


def test_waits_count_only_queries_that_came_early_enough():
    found = of("waits", shares(HAND, MODELS)).set_index("place")["share"]
    # After 1 round queries 0, 2 and 3 are still there. Query 3 has no 2 rounds to show, and of the two
    # that have 5 (they came by round 5), query 2 is left; nobody came ten rounds before the end.
    assert found.loc[1] == 0.75
    assert found.loc[2] == pytest.approx(2 / 3)
    assert found.loc[5] == pytest.approx(1 / 3)
    assert np.isnan(found.loc[10])
    assert found.index.max() == 10


def test_lock_ins_are_prompts_retried_often_without_a_model_that_could_answer():
    # Seven prompts, K = 1, served 20 times each (prompt 3: 19). Models 0 and 1 could answer prompts 0 to
    # 3 and 6, no model prompt 4, model 2 prompt 5. Odds of exactly 1 are not enough.
    odds = np.array([[2, 9, 1.0]] * 4 + [[0.5, 1.0, 0.9], [0.1, 0.2, 1.1], [2, 9, 1.0]])
    offered = {0: [0] * 19 + [1], 1: [0] * 20, 2: [2] * 20, 3: [2] * 19, 4: [0] * 20, 5: [0] * 20}
    offered[6] = [0] * 20
    query = [row for row, models in offered.items() for _ in models]
    models = [[j] for of_row in offered.values() for j in of_row]
    # The first serve of prompt 6 is a pick, so it is retried 19 times only.
    picks = [*[RETRY] * (len(query) - 20), 0, *[RETRY] * 19]
    run = trajectory([-1, *query], [[-1], *models], [IDLE, *picks], [0] * 7, [0] * 7)
    # Prompt 1 never saw model 1; prompt 2 neither; prompt 5 never saw model 2.
    assert lock_ins(run, odds) == {"lock_ins": 3, "served_often": 4}


@pytest.mark.parametrize("K", [1, 2])
@pytest.mark.parametrize(("serves", "expected"), [(24, 0), (25, 1)])
def test_a_lock_in_needs_enough_retrials_to_offer_every_model(K, serves, expected):
    odds, same = np.full((1, 25 * K), 9.0), [[-1] * K, *[list(range(K))] * serves]
    run = trajectory([-1, *[0] * serves], same, [IDLE, *[RETRY] * serves], [0], [0])
    assert lock_ins(run, odds) == {"lock_ins": expected, "served_often": expected}


@pytest.fixture
def rows(monkeypatch) -> pd.DataFrame:
    """The rows of the tiny experiment with its service metrics."""
    monkeypatch.setattr(data, "load", lambda name: TABLE)
    monkeypatch.setattr(data, "identity", lambda name: "")
    return tiny.SETTINGS.study("tiny", 1, more=shares_of).rows(keep=False)


def test_views_agree_with_the_tidy_table(rows):
    tidy = tiny.SETTINGS.table(rows)
    table = service_summary(rows, tiny.SETTINGS.policies)
    assert list(table.columns) == [*KEYS, "seeds", "share_mean", "share_low", "share_high"]
    whole = table[table["view"] != "waits"].groupby([*KEYS[:7], "place"])["share_mean"].sum()
    assert whole.xs("models", level="view").to_numpy() == pytest.approx(1.0)
    of_queries = whole.xs("retrials", level="view").groupby(KEYS[:6]).sum()
    assert of_queries.to_numpy() == pytest.approx(1.0)
    last = tidy[tidy["t"] == 200].groupby(KEYS[:6])["wait_over_100"].mean()
    waits = table[(table["view"] == "waits") & (table["place"] == 100)].set_index(KEYS[:6])
    assert waits["share_mean"].to_dict() == pytest.approx(last.to_dict())
    assert set(table.loc[table["view"] == "models", "part"]) == set(TABLE.models)
    assert "ORACLE" not in set(table["policy"])


def test_means_have_t_intervals_over_the_runs_that_have_the_share():
    values = [0.1, 0.4, 0.3, np.nan]
    cell = dict(zip(KEYS, ("x", True, 1, 0.0, 0.5, "ACQB", "waits", 5, "there"), strict=True))
    runs = pd.DataFrame([{**cell, "share": value} for value in values])
    (row,) = service_summary(runs, ["ACQB"]).to_dict("records")
    low, high = stats.ttest_1samp(values[:3], 0.0).confidence_interval(0.95)
    assert row["seeds"] == 3
    found = [row[name] for name in ("share_mean", "share_low", "share_high")]
    assert found == pytest.approx([np.mean(values[:3]), low, high])


def test_views_in_text(rows):
    table = service_summary(rows, tiny.SETTINGS.policies)
    lines = summaries.main_models(table, ["ACQB", "ORACLE"]).splitlines()
    assert [line.partition(": ")[0] for line in lines] == [
        "K = 1, lam = 0, ACQB",
        "K = 2, lam = 5, ACQB",
    ]
    last = table[(table["view"] == "models") & (table["place"] == 200) & (table["K"] == 1)]
    best = last[last["policy"] == "ACQB"].nlargest(1, "share_mean").iloc[0]
    assert f": {best['part']} {100 * best['share_mean']:.0f}%," in lines[0]
    found = tables.text(summaries.retrial_table(table, K=1)).splitlines()
    assert found[1].split() == ["at", "once", "5+", "waiting"]
    assert [row.split()[0] for row in found[2:]] == ["ACQB", "Q-UCB", "RANDOM"]
    waits = tables.text(summaries.wait_table(table, K=2, after=(10, 100))).splitlines()
    assert waits[1].split() == ["10", "100"]
