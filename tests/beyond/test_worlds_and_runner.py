"""Worlds between recorded and linear, the resumable comparison, tuning rows and held-out scores."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import cqb
import tiny
from cqb.beyond.laws import (
    KINDS,
    Round,
    kinds,
    log_rounds,
    prequential,
    score_table,
    tuning_environment,
)
from cqb.beyond.runner import balanced, comparison, make_runs, ratios, tidy_table
from cqb.beyond.tuning import Candidate, chosen, horizon, tune
from cqb.beyond.worlds import blend, random_linear
from cqb.environment import from_table, pooled_environment
from cqb.experiment.run_store import RunStore
from cqb.experiment.task import Cell, Task, play
from cqb.persistence import FRESH, Persistence, Prior
from cqb.policies import LearnerSettings
from cqb.policies.ts_memory import cycle
from cqb.policies.uniform import Uniform
from cqb.routing_table import split_rows

TABLE = tiny.table()
CELL = Cell(1, 0.0, 0.4)


def _task(policy: str, seed: int = 3, T: int = 60) -> Task:
    return Task(CELL, policy, seed, T, 40, LearnerSettings())


def test_the_blend_goes_from_linear_to_recorded():
    recorded = from_table(TABLE, 3, 0.0, 40)
    whole = blend(TABLE, 3, 0.0, persistence=1.0, pool_size=40)
    none = blend(TABLE, 3, 0.0, persistence=0.0, pool_size=40)
    half = blend(TABLE, 3, 0.0, persistence=0.5, pool_size=40)
    rates = [world.odds / (1 + world.odds) for world in (whole, none, half)]
    np.testing.assert_allclose(rates[0], recorded.odds / (1 + recorded.odds), rtol=1e-9)
    np.testing.assert_allclose(rates[2], 0.5 * (rates[0] + rates[1]), rtol=1e-9)
    # Log odds of the fit lie in the span of the context and an intercept.
    x = none.contexts[none.context_of]
    features = np.hstack([x, np.ones((40, 1))])
    left = (
        np.log(none.odds) - features @ np.linalg.lstsq(features, np.log(none.odds), rcond=None)[0]
    )
    np.testing.assert_allclose(left, 0.0, atol=1e-8)
    with pytest.raises(ValueError, match=r"persistence: found 1\.5"):
        blend(TABLE, 3, 0.0, persistence=1.5, pool_size=40)


def test_random_linear_utilities_are_linear_and_spread_as_asked():
    world = random_linear(TABLE, 3, spread=2.5, pool_size=40)
    utilities = np.log(world.odds)
    np.testing.assert_allclose(utilities.mean(axis=0), 0.0, atol=1e-9)
    np.testing.assert_allclose(utilities.std(axis=0), 2.5, rtol=1e-9)
    x = world.contexts[world.context_of]
    features = np.hstack([x, np.ones((40, 1))])
    left = utilities - features @ np.linalg.lstsq(features, utilities, rcond=None)[0]
    np.testing.assert_allclose(left, 0.0, atol=1e-8)
    assert not np.allclose(np.log(random_linear(TABLE, 4, pool_size=40).odds), utilities)


@pytest.mark.parametrize("policy", ["INFORMED", "ACQB-W", "ACQB-MW", "ACQB-M", "TS-memory"])
def test_a_run_is_decided_by_its_task(policy):
    one, again = (play(_task(policy), TABLE).trajectory for _ in range(2))
    np.testing.assert_array_equal(one.assortment, again.assortment)
    other = play(_task(policy, seed=4), TABLE).trajectory
    assert not np.array_equal(one.row, other.row)


def test_scored_rows_need_a_table():
    world = from_table(TABLE, 3, 0.0, 40)
    with pytest.raises(
        ValueError, match=r"INFORMED: .* has no rows outside its pool to take scored"
    ):
        play(_task("INFORMED"), world)


def test_every_policy_is_played_by_the_shared_sweep():
    # Those given scored rows or refined vectors beside plain ones, on processes and in this one alike.
    names = ("ACQB-CL", "ACQB-MW", "INFORMED", "RANDOM")
    how = {"arrival_rate": 0.4, "T": 30, "seeds": [1, 2], "pool_size": 40, "checkpoints": 1}
    here, there = (
        cqb.run(TABLE, names, workers=workers, **how).drop(columns="seconds") for workers in (1, 2)
    )
    pd.testing.assert_frame_equal(here, there)
    assert set(here["policy"]) == set(names)


def test_what_is_done_when_time_runs_out_is_balanced():
    cells = (CELL, Cell(2, 0.0, 0.4))
    settings = comparison("tiny", cells=cells, policies=("RANDOM", "CYCLE"), seeds=(1, 2), T=9)
    order = [(task.cell.K, task.seed, task.policy) for task in balanced(settings.tasks())]
    names = ("RANDOM", "CYCLE", "ORACLE")
    assert order == [(K, seed, name) for K in (1, 2) for seed in (1, 2) for name in names]


def test_the_comparison_goes_on_where_it_stopped(tmp_path):
    settings = comparison(
        "tiny",
        cells=(CELL,),
        policies=("TS-memory", "ACQB-MW", "INFORMED"),
        seeds=(1, 2, 3),
        T=60,
        pool_size=40,
        checkpoints=3,
    )
    store = RunStore(tmp_path, TABLE)
    with pytest.raises(ValueError, match="no run is stored"):
        tidy_table(settings, TABLE, store)
    assert make_runs(settings.with_(seeds=(1, 2)), TABLE, store) == 8
    assert make_runs(settings, TABLE, store) == 4
    assert make_runs(settings, TABLE, store) == 0
    tidy = tidy_table(settings, TABLE, store)
    assert len(tidy) == 4 * 3 * 3
    run = play(_task("ACQB-MW", seed=2), TABLE)
    row = tidy[(tidy["policy"] == "ACQB-MW") & (tidy["seed"] == 2) & (tidy["t"] == 60)]
    assert row["regret"].item() == pytest.approx(run.trajectory.regret.sum())
    share = ratios(tidy, "ACQB-MW", ["TS-memory"]).iloc[0]
    final = tidy[tidy["t"] == 60].pivot(index="seed", columns="policy", values="regret")
    assert share["ratio"] == pytest.approx((final["ACQB-MW"] / final["TS-memory"]).mean())
    assert (share["cells"], share["seeds"]) == (1, 3)
    assert share["low"] < share["ratio"] < share["high"]


def test_the_tuning_world_holds_the_tuning_rows_and_no_others():
    world = tuning_environment(TABLE, 0.0)
    tuning = split_rows(TABLE, 5, 40, 0).tuning
    np.testing.assert_array_equal(np.sort(world.rows), tuning)
    assert horizon(441) == 2205
    assert horizon(1000) == 5000


def test_tuning_takes_the_lowest_mean():
    candidates = [Candidate("A", "uniform", Uniform), Candidate("A", "cycle", cycle)]
    scores = tune(TABLE, candidates, cells=((1, 0.0, 0.4),), seeds=(1, 2))
    assert len(scores) == 4
    mean = scores.groupby("setting")["regret"].mean()
    assert chosen(scores)["A"] == mean.idxmin()


def test_rounds_are_told_apart_by_what_they_are_to_their_query():
    rounds = [
        Round(0, 1, (2,), -1),
        Round(0, 1, (1,), -1),
        Round(1, 1, (2,), 2),
        Round(0, 1, (2,), 2),
    ]
    assert [KINDS[k] for k in kinds(rounds)] == [
        "first try",
        "another model",
        "first try",
        "same model",
    ]


def test_the_score_is_the_mean_log_probability_and_prefers_the_true_law():
    # Rates of .1 and .99 that the contexts tell nothing of: an answer never changes.
    rng = np.random.default_rng(5)
    rates = rng.choice([0.1, 0.99], size=(80, 4))
    world = pooled_environment("test", True, rng.normal(size=(80, 3)), rates / (1 - rates))
    rounds = log_rounds(world, "RANDOM", 1, K=1, arrival_rate=0.3, T=400)
    laws = {"fresh": (FRESH,), "persists": (Persistence("query", 0.99, 0.0, 0.1, 0.99),)}
    table = score_table(world, {"RANDOM": rounds}, Prior(), laws)
    overall = table[table["kind"] == "all"].set_index("law")["score"]
    scores, _ = prequential(rounds, world.contexts, world.n_models, Prior(worlds=(FRESH,)))
    assert overall["fresh"] == pytest.approx(scores.mean())
    again = table[table["kind"] == "same model"].set_index("law")["score"]
    assert again["persists"] > again["fresh"] + 0.1
    assert set(table["kind"]) == {*KINDS, "all"}
    assert (table["score"] < 0).all()
