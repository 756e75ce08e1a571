"""The three worlds of the robustness study: one pool, and odds that differ as the text says."""

import numpy as np
import pandas as pd
import pytest

import tiny
from cqb import datasets
from cqb.environment import from_table
from cqb.figures import beyond as plots
from cqb.metrics import results_table
from cqb.studies.beyond import robust
from cqb.studies.beyond.robust import LINEAR, RATES, RECORDED, SQUEEZED, RobustTask

TABLE = tiny.table()


def rates(world: str) -> np.ndarray:
    odds = robust.environment(world, TABLE, 3, 40).odds
    return odds / (1.0 + odds)


def test_the_worlds_have_one_pool_and_the_odds_they_are_named_after():
    truth = from_table(TABLE, 3, 0.0, 40)
    for world in RATES:
        made = robust.environment(world, TABLE, 3, 40)
        np.testing.assert_array_equal(made.rows, truth.rows)
        np.testing.assert_array_equal(made.contexts, truth.contexts)
        assert made.name == f"{TABLE.name}, {world}"
    recorded, squeezed = rates(RECORDED), rates(SQUEEZED)
    np.testing.assert_allclose(recorded, truth.odds / (1.0 + truth.odds))
    assert (squeezed.min(), squeezed.max()) == pytest.approx((0.25, 0.75))
    np.testing.assert_allclose(squeezed, 0.25 + 0.5 * (recorded - 0.1) / 0.89)


def test_random_linear_utilities_are_linear_and_spread_as_asked():
    made = robust.environment(LINEAR, TABLE, 3, 40)
    utilities = np.log(made.odds)
    np.testing.assert_allclose(utilities.mean(axis=0), 0.0, atol=1e-9)
    np.testing.assert_allclose(utilities.std(axis=0), 2.5, rtol=1e-9)
    features = np.hstack([made.contexts[made.context_of], np.ones((40, 1))])
    left = utilities - features @ np.linalg.lstsq(features, utilities, rcond=None)[0]
    np.testing.assert_allclose(left, 0.0, atol=1e-8)
    assert not np.allclose(made.odds, robust.environment(LINEAR, TABLE, 4, 40).odds)


@pytest.mark.parametrize(("world", "least"), [(RECORDED, 0.6), (SQUEEZED, 0.75), (LINEAR, 0.7)])
def test_no_world_is_more_than_the_oracle_can_serve(world, least):
    made = robust.environment(world, datasets.load("paretobandit"), 200, 1000)
    assert least < RATES[world] / made.capacity(1) < 0.85


def test_every_policy_runs_and_is_drawn_against_ours():
    tasks = [
        RobustTask(world, policy, seed, 0.3, T=60, pool_size=40)
        for world in RATES
        for policy in robust.POLICIES_COMPARED
        for seed in (1, 2)
    ]
    tidy = results_table(pd.concat([robust.run(task, TABLE) for task in tasks]))
    assert set(tidy["dataset"]) == {f"{TABLE.name}, {world}" for world in RATES}
    assert (tidy.loc[tidy["policy"] == "ORACLE", "regret"] < 1e-4).all()
    last = tidy[(tidy["t"] == 60) & (tidy["dataset"] == f"{TABLE.name}, {LINEAR}")]
    regret = last.pivot(index="seed", columns="policy", values="regret")
    expected = (regret["ACQB-tuned"] / regret["ACQB-recall"]).mean()
    axes = plots.robust(tidy, "ACQB-recall").axes
    assert [ax.get_title("left") for ax in axes] == list(dict.fromkeys(tidy["dataset"]))
    names = [label.get_text() for label in axes[0].get_yticklabels()]
    drawn = {names[round(y)]: x for x, y in axes[-1].collections[1].get_offsets()}
    assert drawn["ACQB-tuned"] == pytest.approx(expected)
    assert drawn["ACQB-recall"] == pytest.approx(1.0)
