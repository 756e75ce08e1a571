"""The fast learner takes the decisions of the plain one."""

import numpy as np
import pytest

from cqb.environment import draw
from cqb.policies.acqb import acqb
from cqb.policies.base import LearnerSettings, Service
from cqb.simulate import simulate
from cqb.streams import Streams
from reference_learner import ReferenceLearner


@pytest.mark.parametrize(
    ("K", "rate", "T", "alpha_coef", "lambda0"),
    [
        (1, 0.3, 250, 1e-4, 1.0),
        (1, 0.4, 150, 0.1, 0.25),
        (2, 0.5, 150, 0.05, 1.0),
        (3, 0.6, 100, 0.05, 0.5),
    ],
)
def test_the_fast_learner_decides_as_the_reference(linear_world, K, rate, T, alpha_coef, lambda0):
    world = linear_world(21, P=50, d=12, N=6)
    learner = LearnerSettings(alpha_coef=alpha_coef, lambda0=lambda0, exploration_rate=0.05)
    service = Service(world.contexts, 6, K, T, rate, learner)
    draws = draw(Streams(5), world.pool_size, rate, T)
    fast, plain = acqb(service, Streams(5)), ReferenceLearner(service, Streams(5))
    ours, theirs = (simulate(world, policy, K, draws) for policy in (fast, plain))
    for field in ("query", "assortment", "pick", "forced", "queue"):
        np.testing.assert_array_equal(getattr(ours, field), getattr(theirs, field), err_msg=field)
    np.testing.assert_allclose(fast.theta, plain.theta, atol=5e-6 / lambda0)
