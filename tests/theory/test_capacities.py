"""Capacities on routing tables: small cases by hand, and the real slice's published figures."""

import os
from pathlib import Path

import numpy as np
import pytest

from cqb import datasets
from cqb.environment import Environment
from cqb.routing_table import departure_odds, split_rows
from cqb.theory.laws import RULES, capacities, table_capacities

REAL = os.environ.get("CQB_ROUTERBENCH_DIR")


def _two_queries() -> Environment:
    rates = np.array([[0.5, 0.8, 0.2], [0.5, 0.2, 0.8]])
    return Environment(np.eye(2), np.arange(2), rates / (1.0 - rates), "by hand", True)


def test_two_queries_by_hand():
    found = capacities(_two_queries(), 1, [0, 1, 2])
    assert tuple(found) == RULES
    assert found["oracle"] == pytest.approx(0.8)
    assert found["RANDOM"] == pytest.approx(0.5)
    # Model 0 serves either query in 2 rounds; models 1 and 2 need (1.25 + 5) / 2.
    assert found["best single assortment"] == pytest.approx(0.5)
    cycles = [(1 + 0.5 + 0.5 * 0.2) / (1 - 0.08), (1 + 0.5 + 0.5 * 0.8) / (1 - 0.08)]
    assert found["cycle by mean score"] == pytest.approx(1 / np.mean(cycles))


def test_pairs_add_their_odds_and_have_no_cycle():
    found = capacities(_two_queries(), 2, [0, 1, 2])
    odds = _two_queries().odds
    best = odds[0, 0] + odds[0, 1]
    assert found["oracle"] == pytest.approx(best / (1 + best))
    assert set(found) == set(RULES[:3])
    # Models 1 and 2 together serve both queries alike: 4.25 : 1.
    assert found["best single assortment"] == pytest.approx(4.25 / 5.25)


def test_a_pool_of_a_table_is_that_of_its_runs():
    table = datasets.load("routerbench-standin", None)
    frame = table_capacities(table, [(1, 5.0), (2, 0.0)], seeds=[42, 43])
    pools = [departure_odds(table.utility(5.0)[split_rows(table, s).pool]) for s in (42, 43)]
    best = [p.max(axis=1) for p in pools]
    expected = np.mean([1 / np.mean((1 + b) / b) for b in best])
    assert frame.loc[0, "oracle"] == pytest.approx(expected)
    assert np.isnan(frame.loc[1, "cycle by mean score"])


def test_the_real_slice_has_the_capacities_that_were_measured_before():
    if not REAL:
        pytest.skip("CQB_ROUTERBENCH_DIR names no folder of RouterBench files")
    table = datasets.load("routerbench", Path(REAL))
    if len(table) != 2205:
        pytest.skip("another selection of RouterBench files")
    # No rule here looks at a vector: any distinct ones do.
    table = table.with_embeddings(np.eye(len(table)))
    frame = table_capacities(
        table, [(1, 0.0), (1, 1.0), (1, 5.0), (2, 0.0), (2, 5.0)], range(42, 47)
    )
    expected = [
        [0.81, 0.54, 0.46, 0.68],
        [0.84, 0.57, 0.50, 0.71],
        [0.90, 0.64, 0.62, 0.76],
        [0.90, 0.77, 0.77, np.nan],
        [0.95, 0.84, 0.86, np.nan],
    ]
    np.testing.assert_allclose(frame[list(RULES)].to_numpy(), expected, atol=0.02)  # other pools
