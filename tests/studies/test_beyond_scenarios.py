"""Scenarios between recorded and linear, prompts that never recur, and the beliefs there."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import tiny
from cqb.environment import draw, from_table, once_each
from cqb.persistence import Persistence, Prior
from cqb.persistence.filter import Filter, studied
from cqb.policies.base import RunSource
from cqb.streams import Streams
from cqb.studies.beyond import scenarios, summaries
from cqb.studies.beyond.scenarios import (
    ACQB_LINEAR,
    FITTED,
    HALF,
    LINEAR,
    RECORDED,
    SCENARIOS,
    ScenarioTask,
    SpreadTask,
    beliefs_of,
    run,
    run_spreads,
    scenario,
)

TABLE = tiny.table()


def test_the_blend_goes_from_linear_to_recorded():
    truth = from_table(TABLE, 3, 0.0, 40)
    whole, none, half = (
        scenario(name, TABLE, 3, 0.0, 40).environment for name in (RECORDED, FITTED, HALF)
    )
    rates = [world.odds / (1 + world.odds) for world in (whole, none, half)]
    np.testing.assert_array_equal(whole.odds, truth.odds)
    np.testing.assert_allclose(rates[2], 0.5 * (rates[0] + rates[1]), rtol=1e-9)
    # Log odds of the fit lie in the span of the context and an intercept.
    x = none.contexts[none.context_of]
    features = np.hstack([x, np.ones((40, 1))])
    left = (
        np.log(none.odds) - features @ np.linalg.lstsq(features, np.log(none.odds), rcond=None)[0]
    )
    np.testing.assert_allclose(left, 0.0, atol=1e-8)


def test_random_linear_utilities_are_linear_and_spread_as_asked():
    made = scenario(LINEAR, TABLE, 3, 0.0, 40)
    world = made.environment
    utilities = np.log(world.odds)
    np.testing.assert_allclose(utilities.mean(axis=0), 0.0, atol=1e-9)
    np.testing.assert_allclose(utilities.std(axis=0), 2.5, rtol=1e-9)
    x = world.contexts[world.context_of]
    features = np.hstack([x, np.ones((40, 1))])
    left = utilities - features @ np.linalg.lstsq(features, utilities, rcond=None)[0]
    np.testing.assert_allclose(left, 0.0, atol=1e-8)
    other = scenario(LINEAR, TABLE, 4, 0.0, 40).environment
    assert not np.allclose(np.log(other.odds), utilities)
    # Rows outside the pool follow the same parameters, so that they can be learned from.
    both = np.vstack([x, made.rows["refinement"].contexts])
    all_ = np.vstack([utilities, np.log(made.rows["refinement"].odds)])
    features = np.hstack([both, np.ones((len(both), 1))])
    left = all_ - features @ np.linalg.lstsq(features, all_, rcond=None)[0]
    np.testing.assert_allclose(left, 0.0, atol=1e-8)


def test_scored_rows_of_the_recorded_scenario_are_those_of_the_table():
    world = scenario(RECORDED, TABLE, 3, 0.0, 40)
    for which, rows in world.rows.items():
        wanted = RunSource(TABLE, 3, 0.0, 40).scored_rows("test", which)
        np.testing.assert_array_equal(rows.contexts, wanted.contexts)
        np.testing.assert_array_equal(rows.odds, wanted.odds)


def test_no_prompt_comes_twice():
    draws = draw(Streams(3), 40, 0.4, 60)
    once = once_each(draws, 3, 40)
    served = once.row[once.arrives]
    assert len(set(served.tolist())) == len(served)
    np.testing.assert_array_equal(once.arrives, draws.arrives)
    np.testing.assert_array_equal(once.outcome, draws.outcome)
    with pytest.raises(ValueError, match=r"pool_size: found 5, expected at least \d+ arrivals"):
        once_each(draws, 3, 5)
    several = draw(Streams(3), 40, 0.4, 3, arrivals=np.array([0, 2, 1]))
    with pytest.raises(ValueError, match="arrivals: found up to 2 queries a round"):
        once_each(several, 3, 40)


def test_policies_and_scenarios_can_be_run_and_beliefs_add_up():
    # The tiny table has 200 rows: 40 for tuning, 110 for refinement, 50 left.
    policies = ("ACQB-M", "ACQB-MW", ACQB_LINEAR, "INFORMED", "RANDOM")
    pairs = [(RECORDED, policy) for policy in policies]
    pairs += [(name, "RANDOM") for name in SCENARIOS if name != RECORDED]
    tasks = [ScenarioTask(*pair, 1, 30, 30) for pair in pairs]
    table = pd.concat([run(task, TABLE) for task in tasks])
    assert (table.groupby(["world", "policy"]).size() == scenarios.CHECKPOINTS).all()
    assert set(table["world"]) == set(SCENARIOS)
    with_memory = table["policy"].isin(["ACQB-M", "ACQB-MW"])
    total = table[["fresh", "half", "all"]].sum(axis=1)
    np.testing.assert_allclose(total[with_memory], 1.0, atol=1e-9)
    assert table.loc[~with_memory, "fresh"].isna().all()


def test_beliefs_are_the_weights_of_what_they_name():
    hypotheses = (
        Persistence(),
        Persistence("query", 0.5, 0.0),
        Persistence("query", 0.99, 0.6),
        Persistence("prompt", 0.99, 0.2),
    )
    filter_ = Filter(np.eye(2), 3, Prior(hypotheses=hypotheses))
    filter_.log_evidence = np.log([0.1, 0.2, 0.3, 0.4])
    fresh, half, everything, prompt, agreement = beliefs_of(filter_)
    assert (fresh, half, everything, prompt) == pytest.approx((0.1, 0.2, 0.7, 0.4))
    assert agreement == pytest.approx((0.3 * 0.6 + 0.4 * 0.2) / 0.9)


def test_the_spread_of_most_evidence_is_the_one_that_a_warm_start_takes():
    tasks = [SpreadTask(name, 1, 30) for name in (RECORDED, LINEAR)]
    table = pd.concat([run_spreads(task, TABLE) for task in tasks], ignore_index=True)
    best = table.loc[table.groupby("world")["evidence"].idxmax()].set_index("world")["spread"]
    for name in (RECORDED, LINEAR):
        rows = scenario(name, TABLE, 1, 0.0, 30).rows["refinement"]
        taken = studied(rows.contexts, rows.contexts, rows.rates, Prior())
        assert taken._prior.context == best[name]
        assert f"{best[name]:g} (1)" in summaries.spreads(table)
