"""The compiled loops against plain statements of what they compute."""

from __future__ import annotations

import numpy as np
import pytest

from cqb.learner import kernels
from cqb.learner.lazy_inverse import BLOCK, LazyInverse


@pytest.mark.parametrize("rates", [[0.3], [0.2, 0.5], [0.1, 0.3, 0.55], [0.0, 1.0]])
def test_the_root_of_the_weights_squares_to_them(rates):
    p = np.array(rates)
    root = kernels.weight_root(p, 7.0)
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
    found = kernels.survivors(mean, deviation, normals, alpha, K, 0.0)
    np.testing.assert_array_equal(found, expected)
    assert 0 < np.count_nonzero(found) < q * N


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
        np.testing.assert_allclose(inverse.dense(), expected, atol=1e-12)
