"""The summaries of the tables: numbers as they are, every policy in every table."""

import itertools

import numpy as np
import pandas as pd
import pytest

from cqb.studies.beyond import summaries
from cqb.studies.beyond.tuning import PLACE


def test_what_more_knowledge_is_worth_is_paired_by_seed_and_setting():
    regrets = {"A": (10.0, 20.0), "A-prompt": (7.0, 19.0), "A-rows": (4.0, 14.0), "B": (1.0, 1.0)}
    rows = [
        ("Tiny", K, "recurring", policy, seed, t, K * regret * t / 50)
        for K, (policy, of) in itertools.product((1, 2), regrets.items())
        for seed, regret in enumerate(of)
        for t in (25, 50)
    ]
    rows = [row for row in rows if not (row[1] == 2 and row[3] == "A-prompt")]
    names = ["dataset", "K", "regime", "policy", "seed", "t", "regret"]
    bar = pd.DataFrame(rows, columns=names)
    found = summaries.worth(bar, "-rows")
    assert list(found.index) == ["A-rows"]
    assert list(found.columns) == [f"Tiny, recurring, K = {K}" for K in (1, 2)]
    assert list(found.loc["A-rows"]) == ["15, -6 ± 0", "30, -12 ± 0"]
    # Where a version was not run, there is nothing to say; -3 and -1 are -2 ± 12.7 of 1.
    assert list(summaries.worth(bar, "-prompt").loc["A-prompt"]) == ["15, -2 ± 13", "-"]


def test_loads_have_their_closed_form_where_there_is_one():
    table = pd.DataFrame(
        {"policy": ["ACQB", "ACQB", "ORACLE", "ORACLE"], "rate": [0.5, 0.7, 0.8, 0.8]}
    ).assign(closed=[np.nan, np.nan, 0.81, 0.83])
    found = summaries.stability(table)
    assert list(found.loc["ORACLE"]) == ["0.80 ± 0.00", "0.82"]
    assert list(found.loc["ACQB"]) == ["0.60 ± 1.27", "-"]


def test_settings_are_chosen_for_each_kind_of_place():
    best = {"recorded": "weak", "linear": "strong"}
    rows = [
        ("A", setting, world, 1, 0.0, 0.5, seed, 1.0 + (setting != best[world]))
        for setting, world, seed in itertools.product(("strong", "weak"), best, (1, 2))
    ]
    scores = pd.DataFrame(rows, columns=["policy", "setting", *PLACE, "seed", "regret"])
    assert list(summaries.choices(scores).loc["A"]) == [2, "weak", "strong"]


def test_the_hidden_instance_has_rules_and_learners():
    table = pd.DataFrame({"policy": ["RANDOM", "RANDOM"], "serves": [3.0, 3.2]})
    found = summaries.hidden(table, {"random model": 3.1})["serves per query"]
    assert found["random model (recursion)"] == "3.10"
    assert found["RANDOM"].split(" ± ")[0] == "3.10"
    assert float(found["RANDOM"].split(" ± ")[1]) == pytest.approx(1.27)
