"""The multinomial-logit model: probabilities, sampling, derivatives, the ridge estimate."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.linear_model import LogisticRegression

from cqb import mnl


def _history(rng: np.random.Generator, H: int, K: int, d: int):
    offered = (rng.random((H, K)) < 0.7).astype(float)
    outcome = rng.integers(0, K + 1, H)
    picks = (outcome[:, None] == np.arange(1, K + 1)) * offered
    return mnl.BlockHistory(
        contexts=rng.normal(size=(H, d)),
        offered=offered,
        picks=picks,
        serves=np.ones(H),
        log_base=np.log1p(rng.random(H)),
    )


def test_departure_rate_is_one_minus_the_retrial_probability():
    utilities = np.random.default_rng(0).normal(size=(7, 4, 3))
    retrial = 1.0 / (1.0 + np.exp(utilities).sum(-1))
    np.testing.assert_allclose(mnl.departure_rate(utilities), 1 - retrial, atol=1e-14)
    np.testing.assert_allclose(mnl.departure_rate(np.array([[800.0, 790.0]])), 1.0)


def test_a_model_that_is_not_offered_does_not_bear_on_the_others():
    # Its utility of 900 set the scale, and the odds of those offered underflowed to 0/0.
    contexts = np.array([[1.0], [1.0]])
    history = mnl.BlockHistory(
        contexts, np.array([[1.0, 0.0], [1.0, 1.0]]), np.zeros((2, 2)), np.ones(2), np.zeros(2)
    )
    probabilities, normaliser = mnl.block_probabilities(np.array([[0.5], [900.0]]), history)
    np.testing.assert_allclose(probabilities[0], [1 / (1 + np.exp(-0.5)), 0.0])
    np.testing.assert_allclose(probabilities[1], [0.0, 1.0])
    np.testing.assert_allclose(normaliser, [np.log1p(np.exp(0.5)), 900.0])


def test_choice_frequencies_match_the_probabilities():
    # 200,000 draws: a shift of one probability by .005 fails with probability above .999.
    odds = np.exp([0.0, 0.3, -0.8, 1.1])
    probabilities = odds / odds.sum()
    uniforms = np.random.default_rng(1).random(200_000)
    drawn = mnl.sample_choice(np.broadcast_to(probabilities, (200_000, 4)), uniforms)
    counts = np.bincount(drawn, minlength=4)
    assert stats.chisquare(counts, 200_000 * probabilities).pvalue > 1e-3


def test_the_retrial_comes_first_in_the_inverse_cdf():
    probabilities = np.array([0.25, 0.5, 0.25])
    edges = np.array([0.0, 0.2499, 0.25, 0.7499, 0.75, 0.9999])
    drawn = mnl.sample_choice(np.broadcast_to(probabilities, (6, 3)), edges)
    assert drawn.tolist() == [0, 0, 1, 1, 2, 2]


@settings(max_examples=60, deadline=None)
@given(
    st.integers(2, 7),
    st.integers(1, 6),
    st.lists(st.integers(-3, 3), min_size=7, max_size=7),
)
def test_top_k_is_the_best_assortment(N, K, values):
    # Integer utilities make ties common; the rates are compared, not the indices.
    K = min(K, N)
    utilities = np.array(values[:N], float)
    chosen = mnl.best_assortment(utilities, K)
    assert (np.diff(chosen) > 0).all()
    best = max(mnl.departure_rate(utilities[list(s)]) for s in combinations(range(N), K))
    assert mnl.departure_rate(utilities[chosen]) == pytest.approx(best, abs=1e-14)


def test_equal_utilities_go_to_the_lowest_index():
    assert mnl.best_assortment(np.array([1.0, 2.0, 2.0, 2.0]), 2).tolist() == [1, 2]


@pytest.mark.parametrize("K", [1, 2, 3])
def test_gradient_and_hessian_by_finite_differences(K):
    rng = np.random.default_rng(K)
    d, step = 4, 1e-6
    history = _history(rng, 30, K, d)
    theta = rng.normal(size=(K, d))
    slope, curvature = mnl.gradient(theta, history, 0.3), mnl.hessian(theta, history, 0.3)
    for i in range(K * d):
        move = np.zeros(K * d)
        move[i] = step
        move = move.reshape(K, d)
        up, down = theta + move, theta - move
        rise = mnl.penalised_loss(up, history, 0.3) - mnl.penalised_loss(down, history, 0.3)
        assert slope.ravel()[i] == pytest.approx(rise / (2 * step), abs=1e-6)
        change = mnl.gradient(up, history, 0.3) - mnl.gradient(down, history, 0.3)
        np.testing.assert_allclose(curvature[i], change.ravel() / (2 * step), atol=1e-6)


@pytest.mark.parametrize("ridge", [1.0, 1 / 16])
def test_ridge_estimate_is_the_peer_librarys(ridge):
    rng = np.random.default_rng(5)
    x = rng.normal(size=(200, 6))
    y = rng.random(200) < 1 / (1 + np.exp(-x @ rng.normal(size=6)))
    peer = LogisticRegression(C=1 / ridge, fit_intercept=False, tol=1e-12, max_iter=10_000)
    peer.fit(x, y)
    history = mnl.BlockHistory(
        x, np.ones((200, 1)), y[:, None].astype(float), np.ones(200), np.zeros(200)
    )
    ours = mnl.ridge_mle(np.zeros((1, 6)), history, ridge)
    np.testing.assert_allclose(ours, peer.coef_, atol=1e-6)


def test_the_estimate_is_found_from_where_the_rate_is_saturated():
    """A long context, picked as often as not, and a start of huge utility: theta = x.

    There a Newton step leads to the mirror image -x, at the same loss, and the next one back: steps
    that need only not rise went to and fro for ever.
    """
    x = np.array([[15.0, 12.0, 3.0]])
    history = mnl.BlockHistory(x, np.ones((1, 1)), np.ones((1, 1)), np.array([2.0]), np.zeros(1))
    assert mnl.penalised_loss(x, history, 1.0) == pytest.approx(
        mnl.penalised_loss(-x, history, 1.0)
    )
    np.testing.assert_allclose(mnl.ridge_mle(x, history, 1.0), 0.0, atol=1e-9)


def test_counted_rounds_weigh_like_repeated_ones():
    rng = np.random.default_rng(8)
    once = _history(rng, 10, 2, 3)
    twice = mnl.BlockHistory(
        *(np.concatenate([getattr(once, f)] * 2) for f in once.__dataclass_fields__)
    )
    counted = mnl.BlockHistory(
        once.contexts, once.offered, 2 * once.picks, 2 * once.serves, once.log_base
    )
    start = np.zeros((2, 3))
    np.testing.assert_allclose(
        mnl.ridge_mle(start, twice, 1.0), mnl.ridge_mle(start, counted, 1.0), atol=1e-9
    )


def test_a_ridge_of_zero_is_refused():
    with pytest.raises(ValueError, match=r"ridge: found 0\.0"):
        mnl.ridge_mle(np.zeros((1, 2)), _history(np.random.default_rng(0), 3, 1, 2), 0.0)
