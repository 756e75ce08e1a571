"""The compressed history against the plain gradient over all of its entries."""

from __future__ import annotations

import numpy as np
import pytest

from cqb import mnl
from cqb.learner.history import History


def _history(K: int, rounds: int = 120, N: int = 4, d: int = 6) -> History:
    """Rounds of random contexts and assortments, with steps of random models between them."""
    rng = np.random.default_rng(K)
    history = History(N, d, K, ridge=0.5)
    contexts = rng.normal(size=(15, d))
    for _ in range(rounds):
        context = int(rng.integers(15))
        assortment = tuple(sorted(rng.permutation(N)[:K].tolist()))
        pick = int(rng.choice([*assortment, -1]))
        history.observe(context, contexts[context], assortment, pick)
        history.gradient(assortment)
        history.move(assortment, 0.05 * rng.normal(size=(K, d)))
    return history


def _plain_gradient(history: History, assortment: tuple[int, ...]) -> np.ndarray:
    return mnl.gradient(history.theta[list(assortment)], history.block(assortment), 0.5)


@pytest.mark.parametrize(("K", "assortment"), [(1, (2,)), (2, (0, 3)), (3, (0, 1, 3))])
def test_the_kept_gradient_is_the_gradient_as_exactly_as_the_blur_says(K, assortment):
    history = _history(K)
    exact = _plain_gradient(history, assortment)
    error = np.linalg.norm(history.gradient(assortment) - exact, axis=1).max()
    assert 0.0 < error <= history.blur(assortment) < 1e-4
    history.refresh(assortment)
    np.testing.assert_allclose(history.gradient(assortment), exact, atol=1e-12)
    assert history.blur(assortment) == 0.0


def test_a_step_that_is_taken_back_leaves_no_trace():
    history, pair = _history(2), (1, 2)
    before = history.gradient(pair)
    theta = history.theta[list(pair)].copy()
    states = [history.models[j].state() for j in pair]
    odds = history.odds.view.copy()
    history.move(pair, 1e9 * np.ones((2, 6)))
    history.gradient(pair)
    history.restore(pair, theta, states)
    np.testing.assert_array_equal(history.odds.view, odds)
    np.testing.assert_array_equal(history.gradient(pair), before)
    np.testing.assert_array_equal(history.theta[list(pair)], theta)


def test_work_grows_with_distinct_rounds_only():
    history = History(3, 2, 1, 1.0)
    for _ in range(50):
        for context in range(3):
            history.observe(context, np.array([1.0, context]), (1,), -1)
    assert history.models[1].entry.used == 3
    np.testing.assert_array_equal(history.models[1].serves.view, [50.0] * 3)
