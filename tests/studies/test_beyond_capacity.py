"""The load that a policy can carry, by bisection, against closed forms."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

import tiny
from cqb.policies import LearnerSettings
from cqb.runs import Cell, Task, play
from cqb.studies.beyond import capacity
from cqb.studies.beyond.capacity import (
    CLOSED_FORM,
    HiddenTask,
    StabilityTask,
    growth,
    run,
    run_hidden,
    waiting_work,
)

TABLE = tiny.table()


def test_growth_is_the_slope_of_the_second_half():
    series = np.random.default_rng(1).normal(size=101).cumsum()
    late = series[50:]
    assert growth(series) == pytest.approx(np.polyfit(np.arange(late.size), late, 1)[0])


def test_waiting_work_counts_each_query_while_it_waits():
    run = play(Task(Cell(1, 0.0, 0.9), "RANDOM", 3, 100, 40, LearnerSettings()), TABLE).trajectory
    np.testing.assert_array_equal(waiting_work(run, np.ones(100)), run.queue)
    # By hand: query i weighs 2^-i (in float64 exactly), from its arrival until it has departed.
    serves = np.zeros(100)
    serves[run.arrived - 1] = 0.5 ** np.arange(run.arrived.size)
    expected = [
        sum(
            0.5**i
            for i, (arrived, departed) in enumerate(zip(run.arrived, run.departed, strict=True))
            if arrived <= t and not 0 < departed <= t
        )
        for t in range(101)
    ]
    np.testing.assert_allclose(waiting_work(run, serves), expected, atol=1e-12)


def test_an_overload_that_hides_in_few_hard_queries_is_found(monkeypatch):
    """One query in twenty needs ten serves; in overload the oracle leaves these, and few others wait.

    Twelve seeds, each against the closed form of its own pool: a standard error of .014 by the work
    that waits, of .009 by the number of queries, which says .06 too much. The bound is between.
    """
    table = tiny.table(rows=400)
    scores = np.ones_like(table.scores)
    scores[::20] = 0.0
    hard = dataclasses.replace(table, scores=scores, costs=np.zeros_like(table.costs))
    tasks = [StabilityTask("ORACLE", seed, 4000, 100, 0.3, 0.98, 5) for seed in range(12)]

    def excess() -> float:
        found = pd.concat([run(task, hard) for task in tasks])
        return float((found["rate"] - found["closed"]).mean())

    assert abs(excess()) < 0.035
    monkeypatch.setattr(capacity, "waiting_work", lambda run, serves: run.queue)
    assert excess() > 0.035


def test_bisection_finds_the_closed_form_of_rules_that_do_not_learn():
    tasks = [
        StabilityTask(policy, seed, 3000, 40, 0.2, 1.0, 5)
        for policy in ("ORACLE", "RANDOM")
        for seed in (1, 2, 3)
    ]
    table = pd.concat([run(task, TABLE) for task in tasks], ignore_index=True)
    assert set(CLOSED_FORM) >= set(table["policy"])
    means = table.groupby("policy")[["rate", "closed"]].mean()
    # The grid's step is .025; 3,000 rounds resolve a growth of .01 to about .02 in the rate.
    np.testing.assert_allclose(means["rate"], means["closed"], atol=0.06)


def test_the_hidden_instance_separates_memory_from_none():
    tasks = [HiddenTask(p, seed, T=800) for p in ("TS-memory", "RANDOM") for seed in (1, 2)]
    mean = pd.concat([run_hidden(task) for task in tasks]).groupby("policy")["serves"].mean()
    predicted = tasks[0].predicted()
    # About 600 queries: standard error .1 for the random model, .06 for memory.
    assert mean["RANDOM"] == pytest.approx(predicted["random model"], abs=0.4)
    assert mean["TS-memory"] == pytest.approx(predicted["greedy memory"], abs=0.25)
