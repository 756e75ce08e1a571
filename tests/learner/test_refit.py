"""The fast estimator against the plain full-history estimate."""

import numpy as np
import pytest

from cqb import mnl
from cqb.learner import kernels, refit
from cqb.learner.lazy_inverse import empty_inverses
from cqb.learner.refit import Estimator
from learner_kernels import callable_


def _plain_refit(theta, rounds, block, contexts, ridge):
    """Every round is a row; the estimate of the block's models from all rounds that offered any."""
    relevant = [r for r in rounds if set(r[1]) & set(block)]
    x = contexts[[r[0] for r in relevant]]
    offered = np.array([[j in r[1] for j in block] for r in relevant], float)
    picks = np.array([[j == r[2] for j in block] for r in relevant], float)
    others = [
        sum(np.exp(theta[j] @ contexts[r[0]]) for j in r[1] if j not in block) for r in relevant
    ]
    history = mnl.BlockHistory(
        x, offered, picks, np.ones(len(relevant)), np.log1p(np.array(others))
    )
    return mnl.ridge_mle(theta[list(block)], history, ridge)


def _observe_random_rounds(fast: Estimator, count: int, seed: int, length: float = 1.0) -> None:
    """Feed random rounds; after each, the offered models stand at the full-history minimum.

    `length` stretches the contexts; the users' utilities stay what they are.
    """
    rng = np.random.default_rng(seed)
    N, d, K, pool = fast.n_models, fast.d, fast.K, 25
    contexts, truth = length * rng.normal(size=(pool, d)), rng.normal(size=(N, d)) / length
    rounds = []
    for _ in range(count):
        context = int(rng.integers(pool))
        block = tuple(sorted(rng.permutation(N)[:K].tolist()))
        odds = np.exp(contexts[context] @ truth[list(block)].T)
        chances = np.array([1.0, *odds]) / (1.0 + odds.sum())
        outcome = int(mnl.sample_choice(chances, np.asarray(rng.random())))
        pick = block[outcome - 1] if outcome else -1
        rounds.append((context, block, pick))
        before = fast.theta.copy()
        fast.observe(context, contexts[context], block, pick)
        exact = _plain_refit(before, rounds, block, contexts, fast.ridge)
        # A gradient of at most the tolerance lies within tolerance / ridge of the minimum.
        allowed = fast.tolerance / fast.ridge + 1e-9
        assert np.linalg.norm(fast.theta[list(block)] - exact) <= allowed
        others = [j for j in range(N) if j not in block]
        np.testing.assert_array_equal(fast.theta[others], before[others])


@pytest.mark.parametrize(("K", "ridge"), [(1, 1.0), (1, 1 / 64), (2, 1.0), (2, 1 / 16), (3, 0.5)])
def test_every_refit_reaches_the_full_history_minimum(K, ridge):
    fast = Estimator(5, 7, K, ridge, tolerance=1e-7)
    _observe_random_rounds(fast, 220, seed=10 * K)


@pytest.mark.parametrize("K", [1, 2])
def test_steps_are_shortened_where_contexts_are_long(K):
    """Vectors thirty times as long, about what a layer norm leaves: a round's own curvature changes
    by orders of magnitude within a step. Whole steps alone needed an exact Hessian in every fourth
    refit with K = 1, and ended at a wrong minimum with K = 2."""
    fast = Estimator(5, 7, K, 1.0, tolerance=1e-6)
    _observe_random_rounds(fast, 150, seed=K, length=30.0)
    assert fast.counts["rebuilds"] < 0.18 * fast.counts["refits"]


@pytest.mark.parametrize("K", [1, 2])
def test_the_safeguards_reach_the_same_minimum(monkeypatch, K):
    # Steps are taken back nearly always, so that exact Hessians and Newton solves do the work.
    monkeypatch.setattr(refit, "OVERSHOOT", 0.05)
    fast = Estimator(4, 5, K, 0.3, tolerance=1e-7)
    _observe_random_rounds(fast, 60, seed=K)
    assert fast.counts["rebuilds"] > 10
    assert fast.counts["exact"] > 10


@pytest.mark.parametrize("K", [1, 2])
def test_a_spoilt_inverse_is_made_anew(monkeypatch, K):
    # Every inverse says that it is spoilt: the refit goes on from exact ones, to the same minimum.
    monkeypatch.setattr(refit.Curvature, "catch_up", lambda self, history: False)
    fast = Estimator(4, 5, K, 0.3, tolerance=1e-7)
    _observe_random_rounds(fast, 40, seed=K)
    assert fast.counts["rebuilds"] >= 40


@pytest.mark.parametrize(("initial_tolerance", "ridge"), [(0.01, 1.0), (0.3, 1 / 16)])
def test_a_refit_that_stops_early_knows_how_far_it_is_from_the_minimum(initial_tolerance, ridge):
    """Every model stands within the error bound of its minimum, and at it once refined."""
    rng = np.random.default_rng(7)
    N, d, pool = 3, 6, 20
    contexts, truth = rng.normal(size=(pool, d)), rng.normal(size=(N, d))
    rough = Estimator(N, d, 1, ridge, initial_tolerance=initial_tolerance)
    fine = Estimator(N, d, 1, ridge, tolerance=1e-9)
    bounds = []
    for t in range(250):
        context, j = int(rng.integers(pool)), int(rng.integers(N))
        x = contexts[context]
        pick = j if rng.random() < 1.0 / (1.0 + np.exp(-x @ truth[j])) else -1
        for estimator in (rough, fine):
            estimator.observe(context, x, (j,), pick)
        off = np.linalg.norm(rough.theta - fine.theta, axis=1)
        assert off.max() <= rough.error_bound + 2e-6 / ridge
        assert off[j] * np.linalg.norm(x) <= initial_tolerance + 1e-6
        bounds.append(rough.error_bound)
        if t % 10 == 9:
            rough.refine([j])
            assert np.linalg.norm(rough.theta[j] - fine.theta[j]) <= 2e-6 / ridge
    rough.refine(range(N))
    assert rough.error_bound == 0.0
    np.testing.assert_allclose(rough.theta, fine.theta, atol=2e-6 / ridge)
    # It did stop early: the bound is above what the tolerance leaves, in most rounds.
    assert np.median(bounds) > 1e-4
    assert rough.counts["passes"] < 0.8 * fine.counts["passes"]


def test_stopping_early_is_for_one_model_at_a_time():
    with pytest.raises(ValueError, match=r"initial_tolerance: found 0\.1 with K = 2, expected 0"):
        Estimator(3, 4, 2, 1.0, initial_tolerance=0.1)


_remember, _sharpened_dot = map(callable_, (kernels.remember, kernels.sharpened_dot))


def _sharpened(pairs: tuple[np.ndarray, ...], learned: int, slope: np.ndarray) -> np.ndarray:
    """With the inverse ``2 I`` under the pairs."""
    inverses, result = empty_inverses(1, slope.size, 0.5), np.empty(slope.size)
    _sharpened_dot(*pairs, learned, tuple(inverses), np.array([0]), slope, result)
    return result


def _no_pairs(n: int) -> tuple[np.ndarray, np.ndarray]:
    return np.full((kernels.MEMORY + 1, 2, n), np.nan), np.full(kernels.MEMORY + 1, np.nan)


def test_secants_reproduce_a_quadratic():
    # After as many independent pairs as dimensions, the last step maps exactly.
    rng = np.random.default_rng(1)
    root = rng.normal(size=(4, 4))
    curvature, pairs = root @ root.T + np.eye(4), _no_pairs(4)
    learned = 0
    for _ in range(kernels.MEMORY + 3):
        full, before = rng.normal(size=(2, 4))
        step = 0.5 * full
        learned = _remember(*pairs, learned, full, 0.5, before, before + step @ curvature)
    assert learned == kernels.MEMORY + 3
    ahead = _sharpened(pairs, learned, step @ curvature)
    np.testing.assert_allclose(ahead, step, atol=1e-9)


def test_a_pair_without_curvature_is_not_learned():
    pairs, still = _no_pairs(2), np.zeros(2)
    step = np.array([1.0, 0.0])
    learned = _remember(*pairs, 0, step, 1.0, still, -step)
    assert learned == 0
    np.testing.assert_array_equal(_sharpened(pairs, learned, np.array([3.0, 4.0])), [6.0, 8.0])
