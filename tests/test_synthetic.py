"""Synthetic worlds: realizable, with the traffic that was asked for, and presets by value."""

import numpy as np
import pytest

from cqb.environment import draw
from cqb.streams import Streams
from cqb.synthetic import (
    LAWS,
    blockwise,
    fixed_rates,
    hidden_fit,
    linear_world,
    predecessor,
)


def test_utilities_are_linear_in_the_context():
    world = linear_world(1, N=4, d=3, K=2, pool_size=50)
    vectors = world.environment.contexts[world.environment.context_of]
    np.testing.assert_allclose(np.log(world.environment.odds), vectors @ world.theta.T, atol=1e-12)


def test_an_instance_is_its_seed_and_a_larger_pool_keeps_its_parameters():
    one, two = (linear_world(7, N=4, d=3, pool_size=n) for n in (40, 90))
    np.testing.assert_array_equal(one.theta, two.theta)
    assert not np.array_equal(one.theta, linear_world(8, N=4, d=3, pool_size=40).theta)


@pytest.mark.parametrize(
    ("name", "longest", "moment"),
    [("cube", 5**0.5, 1 / 3), ("sphere", 1.0, 0.2)],
)
def test_context_laws_have_the_moments_they_name(name, longest, moment):
    """Second moments to 4 standard errors at most; kills a law that is not centred or not scaled."""
    rows = LAWS[name](np.random.default_rng(3), 20_000, 5)
    assert np.linalg.norm(rows, axis=1).max() <= longest + 1e-12
    np.testing.assert_allclose(rows.T @ rows / 20_000, moment * np.eye(5), atol=0.03 * moment**0.5)


@pytest.mark.parametrize("K", [1, 2])
def test_the_arrival_rate_leaves_the_slack_that_was_asked_for(K):
    world = linear_world(2, N=5, d=3, K=K, epsilon=0.12, pool_size=300)
    rates = [sorted(row)[-K:] for row in world.environment.odds]
    p = np.array([sum(best) / (1.0 + sum(best)) for best in rates])
    assert world.arrival_rate == pytest.approx(1.0 / np.mean(1.0 / p) - 0.12)
    assert world.slackness == pytest.approx(0.12)


def test_the_predecessors_instance_is_unstable_as_published():
    """Theory R10: capacity .678 +- .022 over instances, lambda .7; stable once lambda follows it."""
    capacity = np.array([predecessor(seed).capacity for seed in range(16)])
    assert abs(capacity.mean() - 0.678) < 0.015
    assert 0.01 < capacity.std() < 0.04
    published, stable = predecessor(1, 0.05, published=True), predecessor(1, 0.05)
    assert published.arrival_rate == 0.7
    assert stable.arrival_rate == pytest.approx(stable.capacity - 0.05)
    assert published.environment.odds.shape[1] == published.environment.contexts.shape[1] == 5


def test_degenerate_worlds_by_value():
    types = fixed_rates([0.2, 0.9], 0.3, N=3)
    p = types.environment.odds / (1.0 + types.environment.odds)
    np.testing.assert_allclose(p, np.repeat([[0.2], [0.9]], 3, axis=1))
    assert types.capacity == pytest.approx(1 / (1 / 2 / 0.2 + 1 / 2 / 0.9))
    hidden = hidden_fit(4, 0.99, 0.1, 0.2).environment
    assert len(hidden.contexts) == 1
    np.testing.assert_allclose(
        hidden.odds / (1.0 + hidden.odds), np.full((4, 4), 0.1) + 0.89 * np.eye(4)
    )


def test_the_adversarys_contexts_come_in_blocks_and_change_nothing_else():
    world = linear_world(5, N=3, d=3, pool_size=400)
    plain = draw(Streams(5), world.environment.pool_size, world.arrival_rate, 200)
    turned = blockwise(world, plain, first_block=16)
    vectors = world.environment.contexts[world.environment.context_of]
    axis = np.abs(vectors[turned.row]).argmax(axis=1)
    np.testing.assert_array_equal(axis[:48], np.repeat([0, 1, 2], 16))
    np.testing.assert_array_equal(axis[48:144], np.repeat([0, 1, 2], 32))
    np.testing.assert_array_equal(turned.arrives, plain.arrives)
    np.testing.assert_array_equal(turned.outcome, plain.outcome)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: linear_world(1, N=3, d=2, law="ball", pool_size=9), "ball"),
        (lambda: linear_world(1, N=3, d=2, epsilon=0.99, pool_size=9), "epsilon"),
        (lambda: fixed_rates([1.2], 0.1), "rates"),
    ],
)
def test_impossible_worlds_are_named(make, said):
    with pytest.raises(ValueError, match=said):
        make()
