"""The study: deals, worlds, contenders, the tables it keeps, and what is still to come."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from cqb_port import Estimates, published, runs, study, summary, tables
from cqb_port.beyond import BeyondPort
from cqb_port.contenders import BASELINES, CONTENDERS
from cqb_port.metrics import measure
from cqb_port.parts import tasks_of
from cqb_port.remaining import Remaining
from cqb_port.session import replay
from cqb_port.world import Deal, Task, dealt_rows, world
from cqb.routing_table import RoutingTable, split_rows

NO_INDEX = tuple(name for name in CONTENDERS if not name.startswith("Greedy"))
TASK = Task("split", "weighted", 3, NO_INDEX)


@pytest.fixture(scope="module")
def table() -> RoutingTable:
    """150 rows of 3 families, 4 models; scores and costs depend on the vectors."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(150, 5))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    chance = 1 / (1 + np.exp(-3 * x @ rng.normal(size=(5, 4)) - np.linspace(-1, 1, 4)))
    costs = np.geomspace(1, 20, 4) * 1e-4 * np.exp(0.5 * x[:, :1])
    return RoutingTable(
        name="tiny",
        stand_in=True,
        ids=[f"row {i}" for i in range(150)],
        prompts=["?"] * 150,
        families=[f"family {i % 3}" for i in range(150)],
        models=list("abcd"),
        scores=(rng.random((150, 4)) < chance).astype(float),
        costs=costs,
        embeddings=x,
        report={},
    )


def test_a_deal_uses_every_row_once_and_never_reports_a_tuning_row(table):
    history, stream = dealt_rows(table, 7)
    assert sorted([*history, *stream]) == list(range(150))
    assert len(history) == 90
    tuning = split_rows(table, 0, pool_size=1, refinement_size=0).tuning
    assert not set(tuning) & set(stream)
    assert list(stream) != list(dealt_rows(table, 8)[1])


def test_models_keep_their_budgets_when_some_are_left_out(table):
    """Budgets, scores and costs of a subset are those of the same models."""
    deal = Deal(table, 7, models=3)
    _, stream = dealt_rows(table, 7)
    place = [
        j for j in range(4) if any((table.costs[stream, j] == row).all() for row in deal.costs)
    ]
    assert len(place) == 3
    assert (deal.scores == table.scores[np.ix_(stream, place)].T).all()


def test_deals_of_one_seed_may_share_their_similarities(table):
    """Which takes most of the time, and changes no prediction."""
    alone = Deal(table, 7, models=3)
    shared = Deal(table, 7, models=3, like=Deal(table, 7))
    for own, lent in zip(alone.predicted, shared.predicted, strict=True):
        assert (own == lent).all()
    assert shared.predictor.bases is not alone.predictor.bases


def test_orders_permute_one_stream_and_sorting_keeps_families_together(table):
    deal = Deal(table, 3)
    plain, order = world(TASK, deal), world(replace(TASK, order=11), deal)
    assert sorted(plain.at) == sorted(order.at)
    assert order.budgets == pytest.approx(plain.budgets)
    assert (plain.at != order.at).any()
    families = deal.families[world(replace(TASK, by_family=True), deal).at]
    assert (families[1:] != families[:-1]).sum() == 2


def test_worlds_refuse_what_the_table_does_not_hold(table):
    with pytest.raises(ValueError, match="models: found 5"):
        Deal(table, 3, models=5)
    with pytest.raises(ValueError, match="queries: found 61"):
        world(replace(TASK, queries=61), Deal(table, 3))
    with pytest.raises(ValueError, match="no embeddings"):
        Deal(replace(table, embeddings=None), 3)


def test_every_policy_keeps_to_the_bounds_and_optimum_is_best(table):
    rows = {row["policy"]: row for row in study.play(TASK, table)}
    assert set(rows) == set(NO_INDEX)
    here = world(TASK, Deal(table, 3))
    for row in rows.values():
        assert row["lpr"] <= 1 + 1e-9
        assert row["cost"] <= here.budgets.sum()
        assert row["throughput"] + row["lost"] + row["declined"] == here.horizon
    assert rows["Approx Optimum"]["rp"] == 1.0
    assert max(rows, key=lambda name: rows[name]["lpr"]) == "Optimum"
    # Many queries cost more than what is left of a budget, so not even Optimum reaches the bound.
    assert rows["Optimum"]["lpr"] > 0.9


def test_the_study_compares_all_policies_in_all_settings():
    tasks = study.comparison()
    assert len(BASELINES) == 8
    assert {t.split for t in tasks if t.experiment == "split"} == set(study.SPLITS)
    for experiment, worlds in (("split", 160), ("sorted", 20), ("order", 20)):
        chosen = [t for t in tasks if t.experiment == experiment]
        assert len(chosen) == worlds
        assert all(set(t.policies) == set(CONTENDERS) for t in chosen)
    orders = [t for t in tasks if t.experiment == "order"]
    assert len({t.seed for t in orders}) == 1
    assert len({t.chance for t in orders}) == 20
    assert sum(t.experiment == "100 orders" for t in study.sweeps()) == 100


def test_finished_tasks_are_read_back_and_half_a_line_is_done_again(table, tmp_path):
    tasks = [replace(TASK, policies=("Random", "KNN-Cost"), split=s) for s in ("cost", "perf")]
    seen = []
    first = runs.perform("comparison", tasks, table, tmp_path, lambda a, b: seen.append((a, b)))
    assert seen == [(1, 2), (2, 2)]
    (file,) = tmp_path.iterdir()
    text = file.read_text()
    file.write_text(text[: len(text) // 2 + 40])
    again = runs.perform("comparison", tasks, table, tmp_path, lambda a, b: seen.append((a, b)))
    pd.testing.assert_frame_equal(first, again)
    assert 3 <= len(seen) <= 4


def test_a_stored_table_is_refused_when_damaged_or_of_other_tasks_or_data(table, tmp_path, capsys):
    frame = pd.DataFrame({"seed": [1], "lpr": [0.5]})
    key = tables.key([TASK], table, "related.port.study")
    path = tables.store(frame, "t", key, table, tmp_path)
    pd.testing.assert_frame_equal(tables.stored("t", key, tmp_path), frame)
    assert capsys.readouterr().out == "t: 1 rows, from the stored table (code unchanged)\n"
    pd.testing.assert_frame_equal(tables.stored("t", {**key, "code": "later"}, tmp_path), frame)
    assert "(made with other code)" in capsys.readouterr().out
    elsewhere = tables.key([TASK], None, "related.port.study")
    pd.testing.assert_frame_equal(tables.stored("t", elsewhere, tmp_path), frame)
    other = tables.key([replace(TASK, k=7)], table, "related.port.study")
    with pytest.raises(tables.StaleTableError, match="other tasks"):
        tables.stored("t", other, tmp_path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(tables.StaleTableError, match="sha256"):
        tables.stored("t", key, tmp_path)
    with pytest.raises(tables.StaleTableError, match=r"u\.json.*; run python -m cqb"):
        tables.stored("u", key, tmp_path)


def test_summaries_and_paired_differences_match_a_hand_calculation():
    tidy = pd.DataFrame(
        {
            "experiment": "e",
            "setting": "s",
            "seed": [1, 2, 3] * 2,
            "policy": ["a"] * 3 + ["b"] * 3,
            "lpr": [0.5, 0.6, 0.7, 0.4, 0.6, 0.5],
        }
    )
    row = summary.summarise(tidy, ["lpr"]).iloc[0]
    half = 4.302653 * 0.1 / np.sqrt(3)  # t quantile with 2 degrees of freedom
    assert (row["seeds"], row["lpr_mean"]) == (3, pytest.approx(0.6))
    assert row["lpr_high"] - row["lpr_mean"] == pytest.approx(half, rel=1e-6)
    difference = summary.paired(tidy, "a").iloc[0]
    assert difference["against"] == "b"
    assert difference["mean"] == pytest.approx(0.1)
    assert difference["high"] - difference["mean"] == pytest.approx(half, rel=1e-6)


def test_what_is_still_to_come_adds_up_and_leaves_out_what_came():
    """Two kinds of queries: after every one of the first kind has come, only the second is left."""
    E, N = 200, 100
    kind = np.arange(E) % 2
    rng = np.random.default_rng(1)
    history = Estimates(0.2 + 0.6 * kind + 0.01 * rng.random((2, E)), np.full((2, E), 1.0))
    left = Remaining(history, N)
    assert left.weights == pytest.approx(np.full(E, 0.5))
    for here in (0, 1):
        rows = np.flatnonzero(kind == here)[::2]
        left.see(Estimates(history.scores[:, rows], history.costs[:, rows]))
        assert left.weights.sum() == pytest.approx(50 if here == 0 else 0)
        if here == 0:
            assert left.weights[kind == 1].sum() > 40


def test_weighing_the_history_pays_on_a_stream_that_is_not_in_random_order():
    """Cheap poor queries first, then good ones: unweighted prices spend too much on the first half."""
    rng = np.random.default_rng(2)
    E, N = 400, 200
    good = np.arange(E) < E // 2
    scores = np.where(good, 0.9, 0.3) + 0.05 * rng.random((1, E))
    costs = np.ones((1, E)) + 0.1 * rng.random((1, E))
    stream = Estimates(np.sort(scores[:, ::2], axis=1), costs[:, ::2])
    budget = np.array([60.0])
    perf = {}
    for depleting in (False, True):
        router = BeyondPort(budget, N, history=Estimates(scores, costs), depleting=depleting)
        perf[depleting] = measure(replay(router, budget, stream, *stream)).perf
    assert perf[True] >= perf[False] - 1e-9
    with pytest.raises(ValueError, match="depleting"):
        BeyondPort(budget, N, every=5, depleting=True, random=rng)


def test_published_ratios_are_the_ones_of_the_paper():
    """PORT over the baselines, averaged over 24 pairs: 3.55 (Perf), 1.85 (Perf per dollar), 4.25."""
    for field, mean in (("perf", 3.553), ("ppc", 1.849), ("throughput", 4.253)):
        ratios = [
            getattr(ours, field) / getattr(theirs, field)
            for name in BASELINES
            for ours, theirs in zip(published.TABLE["PORT-ref"], published.TABLE[name], strict=True)
        ]
        assert np.mean(ratios) == pytest.approx(mean, abs=6e-4)
    assert published.relative("PORT-ref") == pytest.approx(0.8466, abs=5e-5)
    assert published.relative("PORT-RH+") is None


@pytest.mark.parametrize("part", ["comparison", "sweeps", "queue"])
def test_every_part_has_tasks_and_code_behind_it(part):
    assert tasks_of(part, stand_in=True)
    stub = SimpleNamespace(data_hash=lambda: "data")
    assert len(tables.key([], stub, runs.PLAYERS[part][1])["code"]) == 64
