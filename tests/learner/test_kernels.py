"""The compiled loops against plain statements of what they compute."""

import numpy as np
import pytest

from cqb.learner import absorb_kernels, draw_kernels, kernels
from cqb.learner.history import History
from cqb.learner.lazy_inverse import BLOCK, LazyInverse
from learner_kernels import callable_, gradient

_weight_root, _take_step = map(callable_, (absorb_kernels.weight_root, kernels.take_step))


@pytest.mark.parametrize("rates", [[0.3], [0.2, 0.5], [0.1, 0.3, 0.55], [0.0, 1.0]])
def test_the_root_of_the_weights_squares_to_them(rates):
    p = np.array(rates)
    root = _weight_root(p, 7.0)
    np.testing.assert_array_equal(root, np.tril(root))
    np.testing.assert_allclose(root @ root.T, 7.0 * (np.diag(p) - np.outer(p, p)), atol=1e-5)


@pytest.mark.parametrize("K", [1, 2, 3])
def test_survivors_are_those_that_the_bounds_leave(K):
    rng = np.random.default_rng(K)
    q, N, M, alpha = 6, 5, 2, 0.3
    mean, deviation = rng.normal(size=(q, N)), rng.random((q, N))
    normals = rng.normal(size=(q, N, M))
    length = np.sqrt(np.cumsum(normals**2, axis=0))
    upper = mean + alpha * deviation * length.max(axis=2)
    lower = mean - alpha * deviation * length.min(axis=2)

    def of_best(scores):
        return np.log(np.exp(np.sort(scores, axis=1)[:, N - K :]).sum(axis=1))

    good = of_best(upper) >= of_best(lower).max()
    kth = np.sort(lower, axis=1)[:, N - K]
    expected = good[:, None] & (upper >= kth[:, None])
    found, sole = draw_kernels.survivors(mean, deviation, normals, alpha, K, 0.0, q)
    np.testing.assert_allclose(found, np.where(expected, upper, -np.inf))
    assert 0 < np.count_nonzero(expected) < q * N
    assert sole == -1
    found, sole = draw_kernels.survivors(mean, deviation, normals, 1e-6, K, 0.0, q)
    assert np.isfinite(found).sum() == K == np.isfinite(found[sole]).sum()


@pytest.mark.parametrize("observed", [3, BLOCK + 9])
def test_draws_are_rows_of_the_factor_times_the_normals(observed):
    rng = np.random.default_rng(observed)
    inverse = LazyInverse(6, 0.5)
    for x in rng.normal(size=(observed, 6)):
        inverse.grow(x)
    rows, normals = rng.normal(size=(5, 6)), rng.normal(size=(5, 2))
    mine = np.array([0, 2, 4])
    of_all = rng.normal(size=(5, 3, 2))
    of_all[:, 1] = normals
    trusted, drawn = draw_kernels.draws(inverse.gram(rows), of_all, 1, mine, 1e-8)
    assert trusted
    exact = np.linalg.cholesky(rows @ inverse.gram(np.eye(6)) @ rows.T) @ normals
    np.testing.assert_allclose(drawn, exact[mine], atol=1e-12)
    rows[3] = rows[1]
    assert not draw_kernels.draws(inverse.gram(rows), of_all, 1, mine, 1e-8)[0]


@pytest.mark.parametrize(("length", "far"), [(3.0, 40.0), (27.7, 400.0)])
def test_a_step_that_goes_too_far_is_shortened_to_near_its_lines_minimum(length, far):
    """One unpicked query of some length and a step down its gradient, Newton's and one `far` longer.

    The slope along the step is checked by the objective's own differences.
    """
    x = length * np.array([0.6, 0.8])
    for times, shortened in ((1.0, False), (far, True)):
        history = History(1, 2, 1, ridge=1.0)
        history.observe(0, x, (0,), -1)
        before, after = gradient(history, (0,))[0], np.empty(2)
        newton = -before / (1.0 + 0.25 * x @ x)
        step, theta = times * newton, history.theta
        share, tries = _take_step(history.tables(), np.array([0]), 1.0, step, before, after)
        assert (share < 1.0, tries > 1) == (shortened, shortened)
        np.testing.assert_allclose(theta, share * step[None], rtol=1e-12)

        def objective(share, step=step):
            along = share * step
            return np.logaddexp(0.0, x @ along) + 0.5 * along @ along

        h = 1e-5
        slope = (objective(share + h) - objective(share - h)) / (2 * h)
        start = (objective(h) - objective(-h)) / (2 * h)
        assert slope == pytest.approx(np.sum(after * step), rel=1e-3, abs=1e-4 * abs(start))
        if shortened:
            assert abs(slope) <= kernels.ENOUGH * abs(start)


@pytest.mark.parametrize("ridge", [0.25, np.inf])
def test_observations_that_wait_are_taken_in_whenever_the_inverse_is_asked_for(ridge):
    # Asked after every observation, after some, or at the end: the same inverse, across several folds.
    rng = np.random.default_rng(5)
    d, count = 5, 3 * BLOCK + 7
    rows, weights = rng.normal(size=(count, d)), rng.choice([1.0, 0.3, 2.5], count)
    always, sometimes, never = (LazyInverse(d, ridge) for _ in range(3))
    for i, (x, weight) in enumerate(zip(rows, weights, strict=True)):
        for inverse in (always, sometimes, never):
            inverse.grow(x, weight)
        always.dot(x)
        if i % 11 == 0:
            sometimes.gram(rows[:2])
    exact = (rows.T * weights) @ rows + ridge * np.eye(d) if np.isfinite(ridge) else None
    expected = np.linalg.inv(exact) if exact is not None else np.zeros((d, d))
    for inverse in (always, sometimes, never):
        np.testing.assert_allclose(inverse.gram(np.eye(d)), expected, atol=1e-12)
