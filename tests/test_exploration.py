"""Forced exploration: coins, rotations, and the constant behind the target rate."""

from itertools import combinations, islice

import numpy as np
import pytest

from cqb import exploration


@pytest.mark.parametrize(
    ("arrival_rate", "target", "published"),
    [(0.65, 0.01, 0.5535), (0.75, 0.05, 2.4083), (0.7, 0.05, 2.5828), (0.3, 0.01, 1.1992)],
)
def test_c1_is_what_the_authors_solved_for(arrival_rate, target, published):
    # Values of c1 in the configurations of the authors' published runs, four digits.
    assert exploration.solve_c1(target, arrival_rate, 5000) == pytest.approx(published, abs=2e-3)


@pytest.mark.parametrize("target", [0.0, 0.003, 0.2, 0.5])
def test_c1_meets_its_target(target):
    c1 = exploration.solve_c1(target, 0.5, 700)
    coin = exploration.decaying(c1)
    assert 0.5 * np.mean([coin(t) for t in range(1, 701)]) == pytest.approx(target, abs=1e-10)


def test_a_target_above_the_arrival_rate_is_refused():
    with pytest.raises(ValueError, match=r"exploration_rate: found 0\.6.*arrival rate 0\.5"):
        exploration.solve_c1(0.6, 0.5, 100)


def test_coins_by_value():
    coin = exploration.decaying(0.5)
    assert [coin(0), coin(3), coin(99)] == [0.5, 0.25, 0.05]
    assert exploration.decaying(9.0)(3) == 1.0
    coin = exploration.explore_then_rarely(5, 400)
    assert [coin(t) for t in (3, 4, 5, 399)] == [1.0, 1.0, 0.05, 0.05]


@pytest.mark.parametrize(("c1", "tau"), [(0.5, 1), (2.4083, 5), (100.0, 400)])
def test_the_length_of_pure_exploration(c1, tau):
    assert exploration.pure_rounds(c1, 400) == tau


def test_the_lexicographic_rotation_comes_round():
    seen = list(islice(exploration.lexicographic(4, 2), 8))
    assert seen == [*combinations(range(4), 2), (0, 1), (0, 2)]


@pytest.mark.parametrize(("N", "K"), [(2, 1), (5, 1), (5, 2), (11, 2), (12, 5), (112, 2)])
def test_the_balanced_rotation_is_balanced_at_any_moment(N, K):
    counts = np.zeros(N, int)
    for assortment in islice(exploration.balanced(N, K), 3 * N + 2):
        assert len(set(assortment)) == K
        assert list(assortment) == sorted(assortment)
        counts[list(assortment)] += 1
        assert counts.max() - counts.min() <= 1
