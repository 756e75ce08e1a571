"""The studies: partitions, scenarios, routers, summaries, and what is still to come."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cqb import datasets
from cqb.routing_table import RoutingTable, split_rows
from cqb.study.replay import sample
from cqb_port import scenario as scenarios
from cqb_port import studies, summaries
from cqb_port.features import Estimates
from cqb_port.predictors import SimilarityRidge
from cqb_port.registry import BASELINES, ROUTERS, SYSTEMS, play
from cqb_port.router import AdaptivePort, Remaining
from cqb_port.scenario import Task, approximate, dealt_rows, nearest, partition, scenario
from cqb_port.session import measure, replay

NO_INDEX = tuple(name for name in ROUTERS if not name.startswith("Greedy"))
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


def test_a_partition_uses_every_row_once_and_never_reports_a_tuning_row(table):
    history, stream = dealt_rows(table, 7)
    assert sorted([*history, *stream]) == list(range(150))
    assert len(history) == 90
    tuning = split_rows(table, 0, pool_size=1, refinement_size=0).tuning
    assert not set(tuning) & set(stream)
    assert list(stream) != list(dealt_rows(table, 8)[1])


def test_models_keep_their_budgets_when_some_are_left_out(table):
    """Budgets, scores and costs of a subset are those of the same models."""
    deal = partition(table, 7, models=3)
    _, stream = dealt_rows(table, 7)
    place = [
        j for j in range(4) if any((table.costs[stream, j] == row).all() for row in deal.costs)
    ]
    assert len(place) == 3
    assert (deal.scores == table.scores[np.ix_(stream, place)].T).all()


def test_partitions_of_one_seed_share_their_similarities(table):
    """Which takes most of the time, and changes no prediction."""
    shared = partition(table, 7, models=3)
    alone = SimilarityRidge(shared.history).estimate(shared.vectors)
    for own, lent in zip(alone, shared.predicted.stream, strict=True):
        assert (own == lent).all()


def test_a_seed_fills_one_place_of_the_cache(table):
    """With two places for each of twenty seeds, every scenario would train its predictor again."""
    partition.cache_clear()
    scenarios._similarities.cache_clear()
    assert scenario(TASK, table).partition.predicted
    assert scenario(TASK, table).partition.predicted
    assert (partition.cache_info().currsize, partition.cache_info().misses) == (1, 1)


def test_orders_permute_one_stream_and_sorting_keeps_families_together(table):
    plain, order = scenario(TASK, table), scenario(replace(TASK, order=11), table)
    assert sorted(plain.rows) == sorted(order.rows)
    assert order.budgets == pytest.approx(plain.budgets)
    assert (plain.rows != order.rows).any()
    by_family = scenario(replace(TASK, by_family=True), table)
    families = by_family.partition.families[by_family.rows]
    assert (families[1:] != families[:-1]).sum() == 2


def test_scenarios_refuse_what_the_table_does_not_hold(table):
    with pytest.raises(ValueError, match="models: found 5"):
        scenario(replace(TASK, models=5), table)
    with pytest.raises(ValueError, match="queries: found 61"):
        scenario(replace(TASK, queries=61), table)
    with pytest.raises(ValueError, match="no embeddings"):
        partition(replace(table, embeddings=None), 3)


def test_every_policy_keeps_to_the_bounds_and_optimum_is_best(table):
    rows = studies.run(TASK, table).set_index("policy").to_dict("index")
    assert set(rows) == set(NO_INDEX)
    here = scenario(TASK, table)
    for row in rows.values():
        assert row["lpr"] <= 1 + 1e-9
        assert row["cost"] <= here.budgets.sum()
        assert row["throughput"] + row["lost"] + row["declined"] == here.horizon
    assert rows["Approx Optimum"]["rp"] == 1.0
    assert max(rows, key=lambda name: rows[name]["lpr"]) == "Optimum"
    # Many queries cost more than what is left of a budget, so not even Optimum reaches the bound.
    assert rows["Optimum"]["lpr"] > 0.9


def test_greedy_rules_are_the_knn_rules_on_the_neighbours_of_the_graph(table, monkeypatch):
    """Equal where the graph finds every exact neighbour, and different where it does not."""
    pytest.importorskip("faiss")

    def played(seed):
        names = ("Greedy-Perf", "KNN-Perf", "Greedy-Cost", "KNN-Cost")
        here = scenario(replace(TASK, seed=seed), table)
        return here, [play(name, here) for name in names]

    here, (greedy, knn, greedy_cost, knn_cost) = played(3)
    for found, exact in zip(
        approximate(here.partition, 5), nearest(here.partition, 5).stream, strict=True
    ):
        assert (found == exact).all()
    assert (greedy, greedy_cost) == (knn, knn_cost)

    class FirstRows:
        def __init__(self, vectors):
            pass

        def nearest(self, queries, k):
            return np.tile(np.arange(k), (len(queries), 1))

    monkeypatch.setattr(scenarios, "ApproximateIndex", FirstRows)
    _, (greedy, knn, _, _) = played(4)
    assert greedy != knn


def test_the_study_compares_all_policies_in_all_settings():
    tasks = studies.comparison()
    assert len(BASELINES) == 8
    assert {t.split for t in tasks if t.experiment == "split"} == set(studies.SPLITS)
    for experiment, worlds in (("split", 160), ("sorted", 20), ("order", 20)):
        chosen = [t for t in tasks if t.experiment == experiment]
        assert len(chosen) == worlds
        assert all(set(t.policies) == set(ROUTERS) for t in chosen)
    orders = [t for t in tasks if t.experiment == "order"]
    assert len({t.seed for t in orders}) == 1
    assert len({t.noise_seed for t in orders}) == 20
    assert sum(t.experiment == "100 orders" for t in studies.sweeps()) == 100


def test_every_setting_of_paretobandit_can_be_played():
    """Three models leave out the splits that favour three or more, and nothing else."""
    table = datasets.load("paretobandit")
    tasks = studies.STUDIES["port-comparison-paretobandit"].tasks
    played = {(t.experiment, t.split, t.c): t for t in tasks}
    assert len(played) == 10
    for task in played.values():
        here = scenario(task, table)
        assert here.horizon == 714
        assert len(here.partition.history) == 1071
    means = table.costs.mean(axis=0)
    assert round(float(np.median(means) / means.min())) == studies.MIDDLE
    assert all(set(task.policies) == set(ROUTERS) for task in tasks)


def test_summaries_and_verdicts_match_a_hand_calculation():
    tidy = pd.DataFrame(
        {
            "dataset": "d",
            "stand_in": True,
            "experiment": "e",
            "setting": "s",
            "seed": [1, 2, 3] * 2,
            "policy": ["a"] * 3 + ["b"] * 3,
            "lpr": [0.5, 0.6, 0.7, 0.4, 0.6, 0.5],
        }
    )
    row = summaries.summarise(tidy).iloc[0]
    half = 4.302653 * 0.1 / np.sqrt(3)  # t quantile with 2 degrees of freedom
    assert (row["seeds"], row["lpr_mean"]) == (3, pytest.approx(0.6))
    assert row["lpr_high"] - row["lpr_mean"] == pytest.approx(half, rel=1e-6)
    names = {"a": summaries.BEST, "b": "Random"}
    verdict = summaries.verdict_table(tidy.assign(policy=tidy["policy"].map(names))).iloc[0]
    assert (verdict["against"], verdict["verdict"]) == ("Random", summaries.NO_DIFFERENCE)
    assert verdict["mean"] == pytest.approx(0.1)
    assert verdict["high"] - verdict["mean"] == pytest.approx(half, rel=1e-6)


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
        router = AdaptivePort(budget, N, history=Estimates(scores, costs), depleting=depleting)
        perf[depleting] = measure(replay(router, budget, stream, *stream))["perf"]
    assert perf[True] >= perf[False] - 1e-9
    with pytest.raises(ValueError, match="depleting"):
        AdaptivePort(budget, N, every=5, depleting=True, random=rng)


def test_published_ratios_are_the_ones_of_the_paper():
    """PORT over the baselines, averaged over 24 pairs: 3.55 (Perf), 1.85 (Perf per dollar), 4.25."""
    for field, mean in (("perf", 3.553), ("ppc", 1.849), ("throughput", 4.253)):
        relative = summaries.published_ratios(field)
        ratios = relative.loc["PORT-ref"] / relative.loc[list(BASELINES)]
        assert ratios.to_numpy().mean() == pytest.approx(mean, abs=6e-4)
    relative = summaries.published_ratios("perf")
    assert relative.loc["PORT-ref", "RouterBench"] == pytest.approx(0.8466, abs=5e-5)
    assert set(relative.index) == {"PORT-ref", *BASELINES, "Approx Optimum", "Optimum"}


def test_every_router_and_system_is_in_a_study_and_in_the_short_replays_of_some_commits():
    """A changed constant of any of them must be noticed."""
    for name, study in studies.STUDIES.items():
        replayed = {n for commit in range(40) for n in sample(study, str(commit))}
        assert {study.stratum(study.tasks[n]) for n in replayed} == set(
            map(study.stratum, study.tasks)
        ), name
    everyone = {p for s in studies.STUDIES.values() for task in s.tasks for p in task.policies}
    assert everyone == {*ROUTERS, *SYSTEMS}


def test_queue_rows_are_one_for_each_system(table):
    task = replace(studies.queue([3])[0], policies=("PORT", "ACQB + prices", "RANDOM"))
    rows = studies.run(task, table)
    assert rows["policy"].tolist() == list(task.policies)
    assert (rows["departed"] + rows["lost"] == 60).all()
    assert (rows["cost"] <= scenario(task, table).budgets.sum()).all()
