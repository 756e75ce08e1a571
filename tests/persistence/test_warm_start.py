"""What scored rows tell a filter before the first query: agreement of models, and the parameters."""

import numpy as np

from cqb.persistence import HYPOTHESES, Prior
from cqb.persistence.filter import correlation_of, studied


def test_scored_rows_give_the_correlation_of_effects():
    # 4,000 rows of a known correlation: standard error .02 or less, so .08 is four of them.
    R = np.array([[1.0, 0.7, 0.0], [0.7, 1.0, -0.4], [0.0, -0.4, 1.0]])
    z = np.random.default_rng(2).multivariate_normal(np.zeros(3), R, size=4000)
    np.testing.assert_allclose(correlation_of(1.0 * (z > 0), np.eye(3)), R, atol=0.08)
    constant = np.column_stack([z[:, 0] > 0, np.ones(4000)])
    prior = np.array([[1.0, 0.3], [0.3, 1.0]])
    np.testing.assert_allclose(correlation_of(constant, prior), prior, atol=1e-12)
    assert np.linalg.eigvalsh(correlation_of(1.0 * (z[:4] > 0), np.eye(3))).min() > 0


def test_scored_rows_give_parameters_and_correlations_and_weigh_no_hypothesis():
    # Model 0 departs two queries in three, model 1 the same ones, model 2 the others.
    x, good = np.tile([0.0, 1.0], (60, 1)), np.arange(60) % 3 > 0
    rates = np.where(np.column_stack([good, good, ~good]), 0.99, 0.1)
    filter_ = studied(x, x, rates, Prior())
    utility = filter_.utilities.theta @ [0.0, 0.1, 0.5]  # scales of text and intercept
    assert utility[0] > 0.1 > -0.1 > utility[2]
    np.testing.assert_allclose(utility[0], utility[1], atol=0.05)
    np.testing.assert_allclose(filter_.weights, 1 / len(HYPOTHESES))
    persists = filter_.covariance[1] / filter_.share[1]
    np.testing.assert_allclose(np.diagonal(persists), 1.0)
    assert persists[0, 1] > 0.7
    assert persists[0, 2] < -0.3
