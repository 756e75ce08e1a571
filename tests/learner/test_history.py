"""The compressed history against the plain gradient over all of its entries."""

import numpy as np
import pytest

from cqb import mnl
from cqb.learner.history import FIRST, History, Segments
from learner_kernels import RIDGE, gradient, move


def _history(K: int, rounds: int = 120, N: int = 4, d: int = 6) -> History:
    """Rounds of random contexts and assortments, with steps of random models between them."""
    rng = np.random.default_rng(K)
    history = History(N, d, K, ridge=RIDGE)
    contexts = rng.normal(size=(15, d))
    for _ in range(rounds):
        context = int(rng.integers(15))
        assortment = tuple(sorted(rng.permutation(N)[:K].tolist()))
        pick = int(rng.choice([*assortment, -1]))
        history.observe(context, contexts[context], assortment, pick)
        gradient(history, assortment)
        move(history, assortment, 0.05 * rng.normal(size=(K, d)))
    return history


def _plain_gradient(history: History, assortment: tuple[int, ...]) -> np.ndarray:
    return mnl.gradient(history.theta[list(assortment)], history.block(assortment), RIDGE)


@pytest.mark.parametrize(("K", "assortment"), [(1, (2,)), (2, (0, 3)), (3, (0, 1, 3))])
def test_the_kept_gradient_is_the_gradient_as_exactly_as_the_blur_says(K, assortment):
    history = _history(K)
    exact = _plain_gradient(history, assortment)
    error = np.linalg.norm(gradient(history, assortment) - exact, axis=1).max()
    assert 0.0 < error <= history.blur(assortment) < 1e-4
    history.refresh(assortment)
    np.testing.assert_allclose(gradient(history, assortment), exact, atol=1e-12)
    assert history.blur(assortment) == 0.0


def test_a_refresh_leaves_no_trace_of_a_step_that_was_taken_back():
    history, pair = _history(2), (1, 2)
    history.refresh(pair)
    before, odds = gradient(history, pair), history.odds.copy()
    theta = history.theta[list(pair)].copy()
    move(history, pair, 1e9 * np.ones((2, 6)))
    gradient(history, pair)
    history.theta[list(pair)] = theta
    history.refresh(pair)
    np.testing.assert_array_equal(history.odds, odds)
    np.testing.assert_array_equal(gradient(history, pair), before)


def test_work_grows_with_distinct_rounds_only():
    history = History(3, 2, 1, 1.0)
    for _ in range(50):
        for context in range(3):
            history.observe(context, np.array([1.0, context]), (1,), -1)
    assert (history.rows.spans[1, 1], history.cells.spans[1, 1]) == (3, 3)
    np.testing.assert_array_equal(history.cells.of(1, "counts")[:, 0], [50.0] * 3)


def test_segments_grow_side_by_side_and_lose_nothing():
    """Against a list a model, over many moves to more room."""
    rng = np.random.default_rng(0)
    segments = Segments(3, values=np.zeros(FIRST), pairs=np.zeros((FIRST, 2), np.int64))
    expected: list[list[float]] = [[], [], []]
    for value in rng.random(20 * FIRST):
        j = int(rng.choice(3, p=[0.7, 0.25, 0.05]))
        place = segments.append(j)
        assert place == len(expected[j])
        segments.of(j, "values")[place] = value
        segments.of(j, "pairs")[place] = j, place
        expected[j].append(value)
    for j in range(3):
        np.testing.assert_array_equal(segments.of(j, "values"), expected[j])
        places = np.arange(len(expected[j]))
        np.testing.assert_array_equal(
            segments.of(j, "pairs"), np.stack([0 * places + j, places], 1)
        )


def test_a_block_knows_the_other_models_odds_however_large_its_own_are():
    history = History(3, 2, 2, ridge=RIDGE)
    history.theta[:] = [[40.0, 0.0], [0.5, 0.0], [-1.0, 0.0]]
    x = np.array([1.0, 0.0])
    history.observe(0, x, (0, 1), 0)
    history.observe(0, x, (0, 2), -1)
    log_base = history.block((0, 1)).log_base
    np.testing.assert_allclose(log_base, np.log1p([0.0, np.exp(-1.0)]), rtol=1e-12)
