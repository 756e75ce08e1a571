"""The studies of the QoS system: tasks, prices, summaries of rows, and the small demonstrations."""

import numpy as np
import pandas as pd
import pytest

from cqb.arrivals import Trace
from cqb_qos import (
    POLICIES,
    Expert,
    Load,
    default_system,
    demonstrations,
    measure,
    serve,
    stack,
    summaries,
    workload,
)
from cqb_qos.studies import (
    CANDIDATES,
    DEFAULT,
    PRICES,
    STUDIES,
    SYSTEMS,
    TIGHT,
    Task,
    best_prices,
    recorded,
    run,
    sweep,
    trained,
    workloads,
)
from cqb_qos.trained_models import MAIN, load

LOADS = (Load("Poisson", 3.0), Load("Gamma", 4.0))
RULES = ("RR", "Feasible+drop", "Priced Feasible+drop")


def tasks() -> list[Task]:
    test = [
        Task("test", system, policy, 0.25, loads, seed, 60)
        for policy in RULES
        for system, loads in ((DEFAULT, LOADS), (TIGHT, (Load("Poisson", 6.0),)))
        for seed in (200, 201, 202)
    ]
    prices = [
        Task("training", DEFAULT, RULES[2], price, LOADS, seed, 60)
        for price in (0.1, 0.5)
        for seed in (100, 101)
    ]
    return [*prices, *test]


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return pd.concat([run(task) for task in tasks()], ignore_index=True)


def test_a_row_is_the_run_it_names(rows):
    """Rows of episodes served side by side against a run of each alone, to the last digit."""
    assert rows.columns.tolist() == STUDIES["qos-sweep"].table(progress=False).columns.tolist()[1:]
    for row in rows[rows["seed"] == 201].to_dict("records"):
        batch = stack([workload(Load(row["kind"], row["rate"]), 201, 60)])
        router = POLICIES[row["policy"]]((201,), 60, row["price"])
        alone = measure(serve(batch, SYSTEMS[row["system"]], router)).iloc[0]
        assert all(row[name] == alone[name] or np.isnan(alone[name]) for name in alone.index)
    timed = (rows["part"] == "test") & (rows["system"] == DEFAULT)
    assert (rows["decision_ms"] > 0.0).tolist() == timed.tolist()


def test_a_row_of_a_trained_model_is_the_run_it_names():
    task = Task("test", DEFAULT, MAIN[0].policy, 0.0, LOADS, 201, 60)
    alone = measure(serve(stack([workload(LOADS[1], 201, 60)]), default_system(), load(MAIN[0])[0]))
    assert run(task)["qos"].iloc[1] == pytest.approx(alone["qos"].item())


def test_prices_are_the_best_of_the_training_rows(rows):
    training = rows[rows["part"] == "training"]
    means = training.groupby("price")["qos"].mean()
    (best,) = best_prices(rows).values()
    assert means[best] == means.max()
    assert best_prices(STUDIES["qos-sweep"].table()) == PRICES


def test_a_smaller_sweep_has_the_tasks_of_the_stored_one():
    """Fewer seeds are found in the stored table; prices are chosen on the same runs at any size."""
    stored = set(STUDIES["qos-sweep"].keys(""))
    assert set(sweep(seeds=(200, 201)).keys("")) < stored
    assert set(trained(seeds=(203,)).keys("")) < set(STUDIES["qos-learned"].keys(""))
    short = sweep(requests=40, seeds=(200,))
    assert sum(key in stored for key in short.keys("")) == 5 * sum(map(len, CANDIDATES.values()))
    with pytest.raises(ValueError, match=r"seeds: found \[100\]"):
        sweep(seeds=(100,))


def test_short_replays_of_some_commits_run_every_rule_and_every_network():
    from cqb.study.replay import sample

    for name, wanted in (
        ("qos-sweep", set(POLICIES)),
        ("qos-learned", {"graph", "flat", "arrived"}),
    ):
        study = STUDIES[name]
        replayed = {n for commit in range(60) for n in sample(study, str(commit))}
        assert {study.stratum(study.tasks[n]) for n in replayed} == wanted


def test_a_recorded_workload_is_served_as_the_trace_has_it():
    rng = np.random.default_rng(0)
    tokens = rng.integers(5, 60, 300)
    trace = Trace("log", np.cumsum(rng.pareto(1.5, 300)), 10 * tokens, tokens)
    (task,) = [t for t in recorded(60, (200,)).tasks if t.policy == "Feasible+drop"]
    batch = workloads(task, trace)
    assert (np.diff(batch.arrivals[:, -1]) < 0).all()  # a higher rate is the same window, shorter
    assert (batch.prompts == 10 * batch.lengths[:, 0]).all()
    rows = run(task, trace)
    assert rows["rate"].tolist() == [1.0, 4.0, 16.0]
    assert rows["decision_ms"].isna().all()
    assert set(summaries.summarise(rows)["workload"]) == {"recorded"}


def test_means_intervals_and_paired_differences(rows):
    summary = summaries.summarise(rows)
    assert len(summary) == 3 * 3
    cell = (rows["part"] == "test") & (rows["system"] == "default") & (rows["kind"] == "Gamma")
    a, b = (
        rows[cell & (rows["policy"] == name)]["qos"].to_numpy() for name in ("RR", "Feasible+drop")
    )
    row = summary[(summary["kind"] == "Gamma") & (summary["policy"] == "RR")].iloc[0]
    half = 4.302653 * a.std(ddof=1) / np.sqrt(3)  # the 97.5% quantile of t, 2 degrees of freedom
    assert row["qos_mean"] == pytest.approx(a.mean())
    assert (row["qos_low"], row["qos_high"]) == pytest.approx((a.mean() - half, a.mean() + half))
    paired = summaries.paired(rows, "RR")
    row = paired[(paired["kind"] == "Gamma") & (paired["policy"] == "Feasible+drop")].iloc[0]
    half = 4.302653 * (b - a).std(ddof=1) / np.sqrt(3)
    assert row["difference"] == pytest.approx((b - a).mean())
    assert row["high"] - row["low"] == pytest.approx(2 * half)
    with pytest.raises(ValueError, match="no run of 'nobody'"):
        summaries.paired(rows, "nobody")


def test_tables_as_text(rows):
    table = summaries.qos_table(rows, LOADS)
    assert list(table) == ["Poisson 3", "Gamma 4"]
    assert list(table.index) == list(RULES)
    assert list(summaries.difference_table(rows, "RR", LOADS).index) == list(RULES[1:])
    summary = summaries.summarise(rows).set_index(["system", "kind", "policy"])
    mean = summary.loc[("default", "Poisson", "RR"), "qos_mean"]
    assert table.loc["RR", "Poisson 3"].startswith(f"{mean:.3f} ± ")
    assert "RR" not in summaries.drops_by_length(rows, Load("Gamma", 4.0)).index
    assert "of 2 loads" in summaries.verdict(rows, "Feasible+drop", "RR", LOADS)


def test_the_demonstrations_show_what_the_theory_says():
    """Exact delays; a neutral router's flags; a knee below the largest rate."""
    expert = Expert("only")
    delays = demonstrations.frozen_delays(expert, range(6), 10)
    assert np.abs(delays["ours"] - delays["simulated"]).max() < 1e-12
    assert 1e-4 < np.abs(delays["published"] - delays["simulated"]).max() < 1e-3
    flags = demonstrations.flags(Load("Poisson", 5.0), (0, 1), 150, default_system())
    made_late = flags["right"] + flags["missed"]
    assert made_late.nunique() == 1
    assert made_late.iloc[0] > 0
    knee = demonstrations.knee(expert, 0.03, (0.05, 3.0), (0, 1), 150)
    one = workload(Load("Poisson", 1.0), 0, 150, 1)
    lone = demonstrations.lone_latency(one.prompts, one.lengths[0], expert).mean()
    assert knee["latency"].iloc[0] == pytest.approx(lone, rel=0.05)
    assert knee["latency"].iloc[1] > 3 * lone
