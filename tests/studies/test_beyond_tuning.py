"""Laws of persistence by how well they foresee, and settings chosen on rows that are never reported."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import tiny
from cqb.beyond.law_study import ALL_LAWS, LawStudy
from cqb.beyond.laws import (
    KINDS,
    Round,
    kinds,
    log_rounds,
    prequential,
    score_table,
    tuning_environment,
)
from cqb.beyond.tuning import (
    LINEAR,
    RECORDED,
    Candidate,
    Place,
    TuningStudy,
    chosen,
    horizon,
    tune,
)
from cqb.environment import pooled_environment
from cqb.persistence import FRESH, Persistence, Prior
from cqb.policies.ts_memory import cycle
from cqb.policies.uniform import Uniform
from cqb.routing_table import split_rows

TABLE = tiny.table()


def test_the_tuning_world_holds_the_tuning_rows_and_no_others():
    world = tuning_environment(TABLE, 0.0)
    tuning = split_rows(TABLE, 5, 40, 0).tuning
    np.testing.assert_array_equal(np.sort(world.rows), tuning)
    assert horizon(441) == 2205
    assert horizon(1000) == 5000


def test_tuning_scores_every_candidate_in_every_place(tmp_path, monkeypatch):
    monkeypatch.setenv("CQB_RUNS", str(tmp_path))
    candidates = [Candidate("A", "uniform", Uniform), Candidate("A", "cycle", cycle)]
    places = (Place(RECORDED, 1, 0.0, 0.4), Place(LINEAR, 1, 0.0, 0.4))
    scores = tune(TABLE, candidates, places=places, seeds=(1, 2))
    assert len(scores) == 8
    assert (scores["regret"] > 0).all()
    assert not scores.duplicated(["setting", "world", "seed"]).any()


def test_warm_candidates_are_given_tuning_rows_that_are_not_served(tmp_path, monkeypatch):
    monkeypatch.setenv("CQB_RUNS", str(tmp_path))
    seen = []

    def build(service, streams, rows):
        seen.append((service.contexts, rows.contexts))
        return cycle(service, streams)

    warm = Candidate("A", "warm", build, warm=True)
    tune(TABLE, [warm], places=(Place(RECORDED, 1, 0.0, 0.4),), seeds=(1,))
    ((served, scored),) = seen
    both = np.vstack([served, scored])
    tuning = TABLE.embeddings[split_rows(TABLE, 5, 40, 0).tuning]
    np.testing.assert_array_equal(np.unique(both, axis=0), np.unique(tuning, axis=0))
    assert (len(served), len(scored)) == (30, 10)


def _scores(regrets: dict[str, list[float]]) -> pd.DataFrame:
    rows = [
        ("A", setting, RECORDED, 1, 0.0, 0.4, seed, regret)
        for setting, values in regrets.items()
        for seed, regret in enumerate(values)
    ]
    return pd.DataFrame(rows, columns=["policy", "setting", *Place._fields, "seed", "regret"])


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


def test_a_study_of_laws_is_found_again(tmp_path, monkeypatch):
    monkeypatch.setenv("CQB_RUNS", str(tmp_path))
    study = LawStudy(lams=(0.0,), seeds=(100,), T=30)
    first = study.run(TABLE)
    monkeypatch.setattr(LawStudy, "_piece", None)  # nothing is made a second time
    assert study.run(TABLE).equals(first)
    assert set(first["law"]) == set(ALL_LAWS)
    assert set(first["log"]) == {"TS-memory", "RANDOM"}


def test_the_grids_name_every_setting_once_and_hold_the_published_one(tmp_path, monkeypatch):
    monkeypatch.setenv("CQB_RUNS", str(tmp_path))
    scores = TuningStudy(seeds=(100,), places=(Place(RECORDED, 1, 0.0, 0.4),), T=8).run(TABLE)
    assert not scores.duplicated(["policy", "setting"]).any()
    assert set(scores["policy"]) == {"ACQB", "ACQB-P", "ACQB-M", "ACQB-MW"}
    assert "lambda0 1, alpha_coef 0.0001" in set(scores.loc[scores["policy"] == "ACQB", "setting"])
