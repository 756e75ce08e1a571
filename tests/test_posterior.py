"""The posterior in its dense and lazy forms, and the Thompson choice that skips work."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cqb import posterior
from cqb.learner import draw_kernels, thompson
from cqb.learner.lazy_inverse import BLOCK, LazyInverse


def test_precision_after_many_updates_is_the_direct_inverse():
    # More updates than two blocks, so that the lazy form has folded and holds open terms too.
    rng = np.random.default_rng(0)
    d, count = 20, 2 * BLOCK + 17
    xs = rng.normal(size=(count, d)) / math.sqrt(d)
    dense, lazy = np.eye(d) / 0.25, LazyInverse(d, 0.25)
    for x in xs:
        dense = posterior.add_observation(dense, x)
        lazy.grow(x)
    exact = np.linalg.inv(0.25 * np.eye(d) + xs.T @ xs)
    np.testing.assert_allclose(dense, exact, atol=1e-8)
    np.testing.assert_allclose(lazy.gram(np.eye(len(exact))), exact, atol=1e-8)
    queries = rng.normal(size=(3, d))
    np.testing.assert_allclose(lazy.gram(queries), queries @ exact @ queries.T, atol=1e-8)
    np.testing.assert_allclose(lazy.dot(queries[0]), exact @ queries[0], atol=1e-8)


def test_a_zero_vector_leaves_the_posterior_alone():
    covariance = np.eye(3)[None] * np.array([1.0, 2.0])[:, None, None]
    updated = posterior.add_observation(covariance, np.array([[0.0, 0, 0], [1.0, 0, 0]]))
    np.testing.assert_array_equal(updated[0], covariance[0])
    assert updated[1, 0, 0] == pytest.approx(2 / 3)


def test_weighted_growth_is_a_weighted_term():
    lazy = LazyInverse(3, 2.0)
    x = np.array([1.0, -1.0, 0.5])
    lazy.grow(x, weight=0.2)
    exact = np.linalg.inv(2 * np.eye(3) + 0.2 * np.outer(x, x))
    np.testing.assert_allclose(lazy.gram(np.eye(len(exact))), exact, atol=1e-12)


def test_a_ridge_must_be_positive():
    with pytest.raises(ValueError, match="ridge: found 0"):
        LazyInverse(3, 0.0)


def test_thompson_draws_have_the_exact_covariance():
    # 40,000 joint draws: each entry of the sample covariance within five standard errors.
    rng = np.random.default_rng(3)
    d, q, n = 4, 3, 40_000
    seen = rng.normal(size=(6, d))
    covariance = np.linalg.inv(np.eye(d) + seen.T @ seen)
    queries = rng.normal(size=(q, d))
    exact = 0.49 * queries @ covariance @ queries.T
    normals = rng.standard_normal((n, q, 1, 1))
    spread = posterior.score_covariance(covariance, queries)
    draws = posterior.sampled_scores(np.zeros((n, 1, q)), spread[None, None], normals, 0.7)[..., 0]
    error = np.sqrt((exact**2 + np.outer(np.diag(exact), np.diag(exact))) / n)
    assert (np.abs(np.cov(draws.T) - exact) < 5 * error).all()
    # The draws are jointly normal around zero: so are their means.
    assert (np.abs(draws.mean(0)) < 5 * np.sqrt(np.diag(exact) / n)).all()


@pytest.mark.parametrize("copies", [False, True])
def test_the_factor_of_a_singular_covariance(copies):
    rng = np.random.default_rng(4)
    queries = rng.normal(size=(9, 5))
    if copies:
        queries[6] = queries[2]
    covariance = queries @ queries.T
    lower = posterior.dependent_cholesky(covariance)
    np.testing.assert_allclose(lower @ lower.T, covariance, atol=1e-10)
    assert np.count_nonzero(np.abs(lower).max(0) > 1e-9) == 5
    columns, pivots = thompson.cholesky(covariance)
    np.testing.assert_allclose(columns, lower[:, pivots], atol=1e-8)


def test_the_radius_by_value():
    # theory.md, section 6: kills a radius that is off by a constant factor.
    radius = posterior.confidence_radius(5000, 384, 1, 1.0, 4.0, 1.0)
    assert radius == pytest.approx(68.7468, abs=1e-4)
    assert posterior.confidence_radius(5000, 384, 1, 1.0, 4.0, 1e-4) == pytest.approx(radius * 1e-4)


def test_the_number_of_optimistic_draws():
    assert [posterior.optimistic_draws(K) for K in (1, 2, 3, 4, 8)] == [1, 9, 14, 17, 25]
    with pytest.raises(ValueError, match="K: found 0"):
        posterior.optimistic_draws(0)


D = 6


def _case(seed: int, q: int, N: int, K: int, spread: float, alpha: float, copies: int = 0):
    """Posteriors after a few observations each, and means on the scale where pruning is at stake.

    The first queries but one may be copies of each other.
    """
    rng = np.random.default_rng(seed)
    ridge = 0.5
    queries = rng.normal(size=(q, D))
    queries[: copies + 1] = queries[0]
    models = [LazyInverse(D, ridge) for _ in range(N)]
    information = np.tile(ridge / (queries**2).sum(1)[:, None], (1, N))
    for j, model in enumerate(models):
        for i in rng.integers(0, q, rng.integers(0, 8)):
            model.grow(queries[i])
            information[i, j] += 1
    mean = spread * rng.normal(size=(q, N))
    normals = rng.standard_normal((q, N, posterior.optimistic_draws(K)))
    return queries, models, information**-0.5, mean, normals, alpha


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, 10_000),
    st.integers(1, 14),
    st.integers(2, 5),
    st.integers(1, 3),
    st.sampled_from([0.0, 0.05, 0.5]),
    st.sampled_from([0.01, 0.1, 1.0]),
    st.integers(0, 4),
)
def test_skipping_work_changes_no_choice(seed, q, N, K, spread, alpha, copies):
    # More queries than dimensions, and queries twice: what depends on others has no draw of its own.
    K = min(K, N - 1)
    queries, models, deviation, mean, normals, alpha = _case(seed, q, N, K, spread, alpha, copies)
    grams = np.stack([m.gram(queries) for m in models])
    scores = posterior.sampled_scores(mean.T, grams, normals, alpha)
    values = np.sort(scores, axis=1)[:, -K:]
    rates = np.log(np.exp(values).sum(1))
    position, assortment = thompson.choose(
        _candidates(queries, mean, deviation, normals), models, alpha, K
    )
    assert rates[position] == pytest.approx(rates.max(), abs=1e-9)
    assert sorted(scores[position, list(assortment)]) == pytest.approx(values[position], abs=1e-9)


def _candidates(queries, mean, deviation, normals) -> thompson.Candidates:
    return thompson.Candidates(queries, np.arange(len(queries)), mean, deviation, normals)


def test_pruning_spares_the_covariance_where_the_choice_is_clear(monkeypatch):
    queries, models, deviation, mean, normals, _ = _case(1, 5, 4, 2, 0.5, 0.0)
    candidates, asked = _candidates(queries, mean, deviation, normals), []
    gram = LazyInverse.gram
    monkeypatch.setattr(LazyInverse, "gram", lambda *what: asked.append(1) or gram(*what))
    thompson.choose(candidates, models, 1e-4, 2)
    assert asked == []
    thompson.choose(candidates, models, 1.0, 2)
    assert asked


def test_the_largest_draw_spares_those_of_models_that_cannot_reach_it(monkeypatch):
    """Three models close together: the bounds alone leave all of them to be drawn, a draw does not."""
    queries, models, deviation, mean, normals, _ = _case(3, 4, 3, 1, 0.0, 0.0)
    mean = mean * 0.0 + [0.3, 0.0, -0.1]
    candidates, asked = _candidates(queries, mean, deviation, normals), []
    upper, sole = thompson.prune(candidates, models, 0.1, 1)
    assert sole is None
    gram = LazyInverse.gram
    monkeypatch.setattr(LazyInverse, "gram", lambda *what: asked.append(1) or gram(*what))
    chosen = thompson.choose(candidates, models, 0.1, 1)
    assert 0 < len(asked) < np.isfinite(upper).any(axis=0).sum()
    scores = posterior.sampled_scores(
        mean.T, np.stack([m.gram(queries) for m in models]), normals, 0.1
    )
    place, j = np.unravel_index(scores.argmax(), scores.shape)
    assert chosen == (place, (j,))


@given(st.integers(0, 2**20), st.integers(1, 4), st.integers(2, 5), st.sampled_from([0.01, 0.3]))
def test_pruning_allows_for_means_that_are_off(seed, q, N, off):
    """Whatever the true means within `off` of those given, their choice is among what is left."""
    queries, models, deviation, mean, normals, alpha = _case(seed, q, N, 1, 0.5, 0.05)
    rng = np.random.default_rng(seed)
    K = min(2, N - 1)
    upper, sole = thompson.prune(
        _candidates(queries, mean, deviation, normals), models, alpha, K, off
    )
    for _ in range(20):
        true = mean + off * rng.choice([-1.0, 1.0], size=mean.shape)
        place, assortment = thompson.choose(
            _candidates(queries, true, deviation, normals), models, alpha, K
        )
        assert np.isfinite(upper[place, list(assortment)]).all()
        assert sole is None or sole == (place, assortment)


def test_a_long_queue_is_bounded_by_the_normals_of_its_independent_queries():
    """Beyond d independent queries a score is a combination of their normals: bounds stop growing.

    Found here by what is left alive: with the bounds of a query that has normals of its own,
    ``|z|`` to the 300th query, nearly all of the queue would be.
    """
    rng = np.random.default_rng(2)
    q, N = 300, 3
    queries = rng.normal(size=(q, D))
    models = [LazyInverse(D, 0.5) for _ in range(N)]
    deviation = np.sqrt((queries**2).sum(axis=1) / 0.5)[:, None].repeat(N, axis=1)
    candidates = _candidates(
        queries, rng.normal(size=(q, N)), deviation, rng.standard_normal((q, N, 1))
    )
    rank = thompson._rank(candidates, models)
    assert rank == D
    count = [
        np.isfinite(draw_kernels.survivors(*candidates[2:], 0.03, 1, thompson.ROOM, r)[0]).sum()
        for r in (rank, q)
    ]
    assert count[0] < 0.2 * count[1]
    # Twins in front: which queries have normals of their own is then not known beforehand.
    queries[1] = queries[0]
    assert thompson._rank(candidates, models) == q
    # And after so many observations that float64 no longer tells.
    queries[1] += 1.0
    models[0].grow(queries[0], 1e12)
    assert thompson._rank(candidates, models) == q
