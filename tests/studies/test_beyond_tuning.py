"""Laws of persistence by their predictions, and settings chosen on rows that are never reported."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import tiny
from cqb.environment import pooled_environment
from cqb.persistence import FRESH, Persistence, Prior
from cqb.persistence.filter import Filter
from cqb.routing_table import split_rows
from cqb.runs import Cell
from cqb.studies.beyond.tuning import (
    KINDS,
    LAWS,
    LINEAR,
    LOGGERS,
    PLACE,
    RECORDED,
    Candidate,
    LawTask,
    Round,
    TuningTask,
    candidates,
    chosen,
    kinds,
    log_rounds,
    place,
    run,
    run_law,
    scores,
)

TABLE = tiny.table()


def test_the_tuning_world_holds_the_tuning_rows_and_no_others():
    world, _ = place(TABLE, RECORDED, 0.0)
    tuning = split_rows(TABLE, 5, 40, 0).tuning
    np.testing.assert_array_equal(np.sort(world.rows), tuning)


@pytest.mark.parametrize("kind", [RECORDED, LINEAR])
def test_warm_candidates_are_given_tuning_rows_that_are_not_served(kind):
    served, scored = place(TABLE, kind, 0.0, 1, warm=True)
    both = np.vstack([served.contexts, scored.contexts])
    tuning = TABLE.embeddings[split_rows(TABLE, 5, 40, 0).tuning]
    np.testing.assert_array_equal(np.unique(both, axis=0), np.unique(tuning, axis=0))
    assert (len(served.contexts), len(scored.contexts)) == (30, 10)
    assert place(TABLE, kind, 0.0, 1, warm=False)[0].pool_size == 40


def test_every_candidate_is_named_once_and_can_be_run():
    grid = candidates()
    assert len({(one.policy, one.setting) for one in grid}) == len(grid)
    assert {one.policy for one in grid} == {"ACQB", "ACQB-P", "ACQB-M", "ACQB-MW"}
    assert grid[0].setting == "lambda0 1, alpha_coef 0.0001"  # the published one
    for one in grid:
        row = run(TuningTask(one, RECORDED, Cell(1, 0.0, 0.4), 100, 8), TABLE)
        assert row[["policy", "setting"]].iloc[0].to_list() == [one.policy, one.setting]
        assert np.isfinite(row["regret"].item())


def test_the_setting_of_a_candidate_decides_its_run():
    def regret(*numbers: tuple[str, float]) -> float:
        task = TuningTask(Candidate("ACQB", numbers), LINEAR, Cell(1, 0.0, 0.4), 1, 200)
        return run(task, TABLE)["regret"].item()

    narrow = regret(("lambda0", 1.0), ("alpha_coef", 1e-4))
    assert regret(("lambda0", 1.0), ("alpha_coef", 1.0)) != narrow
    assert regret(("lambda0", 1.0), ("alpha_coef", 1e-4)) == narrow


def _scores(regrets: dict[str, list[float]]) -> pd.DataFrame:
    rows = [
        ("A", setting, RECORDED, 1, 0.0, 0.4, seed, regret)
        for setting, values in regrets.items()
        for seed, regret in enumerate(values)
    ]
    return pd.DataFrame(rows, columns=["policy", "setting", *PLACE, "seed", "regret"])


def test_the_first_setting_stays_unless_it_is_clearly_beaten():
    clear = _scores({"first": [10, 20, 30, 40], "other": [5, 10, 15, 21]})
    assert chosen(clear)["A"] == "other"
    # A mean log lower by .1, with a standard error of .15: not enough.
    noise = _scores(
        {"first": [10, 20, 30, 40], "other": [10 * np.exp(0.2), 20, 30, 40 / np.exp(0.6)]}
    )
    assert chosen(noise)["A"] == "first"
    # No place outweighs the others: the mean of regrets would say "other".
    scale = _scores({"first": [10, 1000], "other": [20, 900]})
    assert chosen(scale)["A"] == "first"


def test_exploration_rates_must_beat_the_setting_that_the_grid_chose():
    grid = {"first": [10, 20, 30, 40], "other": [5, 10, 15, 20]}
    little = [5 * np.exp(0.2), 10, 15, 20 / np.exp(0.6)]
    assert chosen(_scores({**grid, "other, exploration_rate 0": little}))["A"] == "other"
    much = [3, 6, 9, 12]
    rate = "other, exploration_rate 0"
    assert chosen(_scores({**grid, rate: much}))["A"] == rate
    # With a setting that was not chosen it is no candidate.
    assert chosen(_scores({**grid, "first, exploration_rate 0": much}))["A"] == "other"


def test_the_kind_of_a_round_follows_from_the_past_of_its_query():
    rounds = [
        Round(0, 1, (2,), -1),
        Round(0, 1, (1,), -1),
        Round(1, 1, (2,), 2),
        Round(0, 1, (2,), 2),
    ]
    assert kinds(rounds).tolist() == [
        "first try",
        "another model",
        "first try",
        "same model",
    ]


def test_the_score_is_the_mean_log_probability_and_prefers_the_true_law():
    # Rates of .1 and .99 that do not depend on the contexts: an answer never changes.
    rng = np.random.default_rng(5)
    rates = rng.choice([0.1, 0.99], size=(80, 4))
    environment = pooled_environment("test", True, rng.normal(size=(80, 3)), rates / (1 - rates))
    rounds = log_rounds(environment, "RANDOM", Cell(1, 0.0, 0.3), 1, 400)
    persists = (Persistence("query", 0.99, 0.0, 0.1, 0.99),)
    fresh, true = (
        {kind: score for kind, _, score in scores(environment, rounds, law)}
        for law in ((FRESH,), persists)
    )
    filter_ = Filter(environment.contexts, 4, Prior(hypotheses=(FRESH,)))
    direct = [
        (filter_.arrive([q], [x]), filter_.observe(q, S, pick))[1] for q, x, S, pick in rounds
    ]
    assert fresh["all"] == pytest.approx(np.mean(direct))
    assert true["same model"] > fresh["same model"] + 0.1
    assert set(fresh) == {*KINDS, "all"}
    assert max(fresh.values()) < 0


def test_a_task_scores_one_law_on_the_rounds_of_every_logger():
    rows = pd.concat([run_law(LawTask(law, Cell(1, 0.0, 0.6), 100, 30), TABLE) for law in LAWS])
    assert set(rows["log"]) == set(LOGGERS)
    assert rows.groupby("law")["score"].nunique().min() > 1
    # The rounds are the same for every law.
    assert (rows.groupby(["log", "kind"])["rounds"].nunique() == 1).all()
