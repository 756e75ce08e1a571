"""Environments: pools, repeated vectors, departure rates, capacity."""

from itertools import combinations

import numpy as np
import pytest

from cqb.environment import Environment, from_rates, pooled_environment


def test_repeated_vectors_share_a_context(linear_world):
    world = linear_world(0)
    assert world.contexts.shape == (59, 8)
    assert world.context_of[5] == world.context_of[6]
    assert world.odds.shape == (60, 5)


@pytest.mark.parametrize("K", [1, 2, 3])
def test_best_assortments_by_enumeration(K):
    odds = np.random.default_rng(K).exponential(size=(20, 5))
    world = pooled_environment("test", True, np.eye(20), odds)
    for row in range(20):
        totals = {s: odds[row, list(s)].sum() for s in combinations(range(5), K)}
        best = max(totals, key=totals.get)
        assert tuple(world.best_assortments(K)[row]) == best
        assert world.departure_rates(K)[row] == pytest.approx(totals[best] / (1 + totals[best]))


def test_capacity_is_a_harmonic_mean():
    rates = np.array([[0.5, 0.1], [0.9, 0.3]])
    world = pooled_environment("test", True, np.eye(2), rates / (1 - rates))
    assert world.capacity(1) == pytest.approx(2 / (1 / 0.5 + 1 / 0.9))


@pytest.mark.parametrize(
    ("contexts", "context_of", "odds", "message"),
    [
        (np.eye(2), np.arange(2), np.ones((0, 3)), "odds: found shape"),
        (np.eye(2), np.arange(3), np.ones((2, 3)), "context_of: found shape"),
        (np.ones(2), np.arange(2), np.ones((2, 3)), "contexts: found shape"),
        (np.eye(2), np.arange(2), np.array([[1.0, np.nan], [1, 1]]), "entry 0, model 1"),
        (
            np.eye(2),
            np.arange(2),
            np.array([[1.0, 1], [-1, 1]]),
            r"found -1\.0 for entry 1, model 0",
        ),
    ],
)
def test_bad_worlds_are_named(contexts, context_of, odds, message):
    with pytest.raises(ValueError, match=message):
        Environment(contexts, context_of, odds, "test", True)


def test_measured_rates_are_the_odds_of_a_fresh_draw():
    rates = np.array([[0.0, 0.25], [1.0, 0.5]])
    here = from_rates("attempts", np.eye(2), rates, attempts=100)
    assert not here.stand_in
    assert here.departure_rates(1) == pytest.approx([0.25, 0.995])
    assert here.odds[0] == pytest.approx([0.005 / 0.995, 1 / 3])
    with pytest.raises(
        ValueError, match=r"rates: found 1.5 for entry 1, model 0, expected \[0, 1\]"
    ):
        from_rates("attempts", np.eye(2), np.array([[0.0, 0.25], [1.5, 0.5]]))
