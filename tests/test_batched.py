"""Three forms of one algorithm: R runs at once, single runs, and the fast learner."""

from __future__ import annotations

import array_api_strict
import numpy as np
import pytest

from cqb.batched import simulate_batch
from cqb.environment import draw
from cqb.exploration import decaying, solve_c1
from cqb.policies.acqb import acqb
from cqb.policies.base import LearnerSettings, Service
from cqb.posterior import confidence_radius
from cqb.simulate import simulate
from cqb.streams import Streams

SEEDS = [1, 2, 3]
SETTINGS = LearnerSettings(alpha_coef=0.1, exploration_rate=0.1)


def _batch(worlds, seeds, K, rate, T, **where):
    d = worlds[0].contexts.shape[1]
    return simulate_batch(
        worlds,
        seeds,
        K,
        rate,
        T,
        SETTINGS,
        decaying(solve_c1(SETTINGS.exploration_rate, rate, T)),
        lambda t: confidence_radius(t, d, K, 1.0, 4.0, SETTINGS.alpha_coef),
        **where,
    )


def _same(one, many, r):
    for field in ("queue", "query", "assortment", "pick"):
        np.testing.assert_array_equal(
            getattr(one, field)[0], getattr(many, field)[r], err_msg=field
        )


@pytest.mark.parametrize(("K", "rate", "T"), [(1, 0.45, 300), (2, 0.7, 200), (3, 0.8, 120)])
def test_all_three_forms_take_the_same_decisions(linear_world, K, rate, T):
    worlds = [linear_world(seed) for seed in SEEDS]
    together = _batch(worlds, SEEDS, K, rate, T)
    for r, (seed, world) in enumerate(zip(SEEDS, worlds, strict=True)):
        _same(_batch([world], [seed], K, rate, T), together, r)
        service = Service(world.contexts, world.n_models, K, T, rate, SETTINGS)
        policy = acqb(service, Streams(seed))
        run = simulate(world, policy, K, draw(Streams(seed), world.pool_size, rate, T))
        for field in ("queue", "query", "assortment", "pick"):
            expected = getattr(together, field)[r]
            np.testing.assert_array_equal(getattr(run, field), expected, err_msg=field)
        np.testing.assert_allclose(policy.theta, together.theta[r], atol=2e-6)
        assert run.queue.max() > 8 or K == 3


@pytest.mark.parametrize(("K", "rate", "T"), [(1, 0.45, 60), (2, 0.7, 40)])
def test_no_hidden_host_copy(linear_world, K, rate, T):
    """The strict standard on a device that is not the default refuses any implicit conversion."""
    worlds = [linear_world(seed) for seed in SEEDS]
    device = array_api_strict.Device("device1")
    strict = _batch(worlds, SEEDS, K, rate, T, xp=array_api_strict, device=device)
    plain = _batch(worlds, SEEDS, K, rate, T)
    for field in ("queue", "query", "assortment", "pick"):
        np.testing.assert_array_equal(getattr(strict, field), getattr(plain, field))
    np.testing.assert_allclose(strict.theta, plain.theta, atol=1e-10)


@pytest.mark.gpu
@pytest.mark.parametrize(("K", "rate", "T"), [(1, 0.45, 300), (2, 0.7, 200)])
def test_the_gpu_takes_the_same_decisions(cupy, linear_world, K, rate, T):
    worlds = [linear_world(seed) for seed in SEEDS]
    on_gpu, on_cpu = (_batch(worlds, SEEDS, K, rate, T, xp=xp) for xp in (cupy, np))
    for field in ("queue", "query", "assortment", "pick"):
        np.testing.assert_array_equal(getattr(on_gpu, field), getattr(on_cpu, field))


def test_environments_must_share_a_shape(linear_world):
    with pytest.raises(ValueError, match="environments: found different shapes"):
        _batch([linear_world(1), linear_world(2, P=50)], [1, 2], 1, 0.5, 5)


def test_an_assortment_of_all_models_is_refused(linear_world):
    with pytest.raises(ValueError, match="K: found 5"):
        _batch([linear_world(1)], [1], 5, 0.5, 5)
