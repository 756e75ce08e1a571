"""The carried inverse Hessian against the exact one."""

import numpy as np
import pytest

from cqb import mnl
from cqb.learner import kernels
from cqb.learner.history import History
from cqb.learner.lazy_inverse import BLOCK, Curvature, empty_inverses
from learner_kernels import callable_, dot

RIDGE, N, D = 0.5, 5, 4

_learn_secant = callable_(kernels.learn_secant)


def _curvature(models: tuple[int, ...], d: int = D, ridge: float = RIDGE) -> Curvature:
    """The second of three inverses, with room for a block of terms and a few more."""
    inverses = empty_inverses(3, len(models) * d, ridge, BLOCK + 4 + len(models))
    return Curvature(models, inverses, 1)


def _history(K: int, rounds: int = 60) -> History:
    """Random rounds at a random theta, so that pick rates differ and some are extreme."""
    rng = np.random.default_rng(10 + K)
    history = History(N, D, K, RIDGE)
    history.theta[:] = rng.normal(size=(N, D))
    contexts = rng.normal(size=(12, D))
    for _ in range(rounds):
        context = int(rng.integers(12))
        assortment = tuple(sorted(rng.permutation(N)[:K].tolist()))
        history.observe(context, contexts[context], assortment, assortment[0])
    return history


def _exact_inverse(history: History, models: tuple[int, ...]) -> np.ndarray:
    block = history.block(models)
    return np.linalg.inv(mnl.hessian(history.theta[list(models)], block, RIDGE))


def _matrix(curvature: Curvature, n: int, d: int = D) -> np.ndarray:
    unit = np.eye(n * d).reshape(n * d, n, d)
    return np.array([_dot(curvature, row).ravel() for row in unit])


def _dot(curvature: Curvature, slope: np.ndarray) -> np.ndarray:
    return dot(curvature.inverses, curvature.which, slope)


def _learn(curvature: Curvature, before: np.ndarray, after: np.ndarray, share=1.0) -> np.ndarray:
    full, ahead = -_dot(curvature, before), _dot(curvature, after)
    vectors = (v.reshape(-1) for v in (before, after, ahead))
    _learn_secant(tuple(curvature.inverses), curvature.which, full.reshape(-1), share, *vectors)
    return ahead


# With K = 3, other assortments share one or two models with ours: all ranks of terms occur.
@pytest.mark.parametrize(("K", "models"), [(1, (2,)), (2, (1, 3)), (3, (0, 2, 4))])
def test_all_rounds_taken_in_at_once_give_the_exact_inverse(K, models):
    history = _history(K)
    curvature = _curvature(models)
    curvature.catch_up(history)
    exact = _exact_inverse(history, models)
    np.testing.assert_allclose(_matrix(curvature, K), exact, rtol=1e-4, atol=1e-5)


def test_rounds_are_taken_in_once_and_after_a_reset_only_the_new_ones():
    history, pair = _history(2), (1, 3)
    curvature = _curvature(pair)
    block = history.block(pair)
    curvature.reset(mnl.hessian(history.theta[list(pair)], block, RIDGE), history)
    history.observe(99, np.array([1.0, -2.0, 0.5, 1.0]), pair, 1)
    history.observe(98, np.array([0.3, 0.2, -1.5, 0.1]), (1, 2), 2)
    curvature.catch_up(history)
    curvature.catch_up(history)
    exact = _exact_inverse(history, pair)
    np.testing.assert_allclose(_matrix(curvature, 2), exact, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("share", [1.0, 0.3])
def test_a_secant_is_reproduced_and_mends_the_next_step(share):
    rng = np.random.default_rng(3)
    history = _history(2)
    curvature = _curvature((0, 1))
    curvature.catch_up(history)
    root = rng.normal(size=(2 * D, 2 * D))
    hessian = root @ root.T + np.eye(2 * D)
    before = rng.normal(size=(2, D))
    step = -share * _dot(curvature, before)
    after = before + (hessian @ step.ravel()).reshape(2, D)
    ahead = _learn(curvature, before, after, share)
    np.testing.assert_allclose(_dot(curvature, after - before), step, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(_dot(curvature, after), ahead, rtol=1e-3, atol=1e-4)


def test_a_secant_without_curvature_is_not_learned():
    curvature = _curvature((0,), 2, 1.0)
    before = np.array([[1.0, 0.0]])
    after = before.copy()  # the gradient did not change
    _learn(curvature, before, after)
    np.testing.assert_array_equal(_matrix(curvature, 1, 2), np.eye(2))


@pytest.mark.parametrize(("K", "models"), [(1, (2,)), (2, (1, 3))])
def test_an_inverse_that_rounding_has_spoilt_is_noticed_and_left_alone(K, models):
    history = _history(K)
    curvature = _curvature(models)
    # Negative along every context's way.
    curvature.inverse.append(np.full(K * D, 1e3, np.float32), -1.0)
    before = _matrix(curvature, K)
    assert not curvature.catch_up(history)
    np.testing.assert_array_equal(_matrix(curvature, K), before)
