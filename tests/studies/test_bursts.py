"""The study of bursts in small: the same load and draws under both kinds of arrivals."""

import numpy as np
import pandas as pd
import pytest

from cqb.arrivals import Trace
from cqb.figures import experiments
from cqb.studies import bursts


@pytest.fixture(scope="module")
def found():
    trace = Trace("log", np.cumsum(np.random.default_rng(0).pareto(0.8, 8000)))
    tasks = [
        bursts.burst(kind, name, seed, T=200)
        for kind in bursts.KINDS
        for name in ("ORACLE", "RANDOM")
        for seed in (1, 2)
    ]
    return pd.concat([bursts.rows(task, trace) for task in tasks], ignore_index=True)


def test_both_kinds_have_the_load_and_bursts_the_longer_queue(found):
    table = bursts.table(found)
    assert set(table["arrival_rate"]) == {0.6}
    assert (table.loc[table["policy"] == "ORACLE", "gap"] == 0).all()
    oracle = table[table["policy"] == "ORACLE"].groupby("arrivals")["queue_mean"].mean()
    assert oracle["Azure trace"] > oracle["Bernoulli"]


def test_waits_are_shares_and_the_figure_shows_both(found):
    waits = found[found["t"].isna()]
    assert waits["share"].dropna().between(0, 1).all()
    figure = experiments.bursts(found)
    assert [ax.get_title("left") for ax in figure.axes] == [*bursts.KINDS, *bursts.KINDS]


def test_tasks_are_named_by_what_differs():
    tasks = bursts.STUDIES["bursts"].tasks
    assert len({str(task) for task in tasks}) == len(tasks) == 120
    assert str(bursts.burst("Bernoulli", "ORACLE", 7)) == "ORACLE, Bernoulli, seed 7"
