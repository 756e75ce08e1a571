"""One observation of one model: probabilities and moments, against enumeration and integration."""

from itertools import product

import numpy as np
import pytest
from scipy import integrate, stats

from cqb.persistence.beliefs import likelihoods, mix, moments, tempered

CASES = [(0.3, 1.4, 0.1, 0.99), (-1.2, 0.7, 0.9, 0.01), (2.0, 3.0, 0.82, 0.005)]


@pytest.mark.parametrize(("mean", "variance", "l0", "l1"), CASES)
def test_moments_are_derivatives_of_the_log_probability(mean, variance, l0, l1):
    def log_z(m):
        return np.log(l0 + (l1 - l0) * stats.norm.cdf(m / np.sqrt(variance)))

    h = 1e-4
    Z, slope, curvature = moments(mean, variance, l0, l1)
    assert np.log(Z) == pytest.approx(log_z(mean))
    assert slope == pytest.approx((log_z(mean + h) - log_z(mean - h)) / (2 * h), rel=1e-6)
    second = (log_z(mean + h) - 2 * log_z(mean) + log_z(mean - h)) / h**2
    assert curvature == pytest.approx(-second, rel=1e-4)


@pytest.mark.parametrize(("mean", "variance", "l0", "l1"), CASES)
def test_moments_give_the_exact_posterior_of_one_observation(mean, variance, l0, l1):
    # f = g + e: the belief about g ~ N(mean, 0.6 variance) after seeing what depends on f > 0.
    v, noise = 0.6 * variance, 0.4 * variance

    def weight(g, power):
        chance = l0 + (l1 - l0) * stats.norm.cdf(g / np.sqrt(noise))
        return g**power * chance * stats.norm.pdf(g, mean, np.sqrt(v))

    total, first, second = (
        integrate.quad(weight, mean - 12, mean + 12, args=(p,), points=[0.0])[0] for p in (0, 1, 2)
    )
    Z, slope, curvature = moments(mean, variance, l0, l1)
    assert pytest.approx(total) == Z
    assert mean + v * slope == pytest.approx(first / total)
    assert v - v * v * curvature == pytest.approx(second / total - (first / total) ** 2)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_an_observation_in_part_moves_by_the_derivatives_of_its_own_log_probability(share):
    variance, h = np.array([1.0, 2.0]), 1e-4

    def both(m):
        return tempered(share, moments(m, variance, 0.1, 0.9), moments(m, variance, 0.95, 0.02))

    def log_z(m):
        return np.log(both(m)[0])

    _, slope, curvature = both(0.2)
    np.testing.assert_allclose(slope, (log_z(0.2 + h) - log_z(0.2 - h)) / (2 * h), rtol=1e-6)
    second = (log_z(0.2 + h) - 2 * log_z(0.2) + log_z(0.2 - h)) / h**2
    np.testing.assert_allclose(curvature, -second, rtol=1e-4)


def test_a_mixture_moves_by_the_derivatives_of_its_own_log_probability():
    w, h = np.array([0.2, 0.5, 0.3]), 1e-4
    variance, l0, l1 = (
        np.array([1.0, 2.0, 0.4]),
        np.array([0.1, 0.01, 0.9]),
        np.array([0.9, 0.99, 0.1]),
    )
    shift = np.array([0.0, 0.3, -0.5])

    def log_z(m):
        return np.log(w @ moments(m + shift, variance, l0, l1)[0])

    Z, slope, curvature = moments(0.2 + shift, variance, l0, l1)
    a, b = mix(w * Z / (w @ Z), slope, curvature)
    assert a == pytest.approx((log_z(0.2 + h) - log_z(0.2 - h)) / (2 * h), rel=1e-6)
    assert b == pytest.approx(-(log_z(0.2 + h) - 2 * log_z(0.2) + log_z(0.2 - h)) / h**2, rel=1e-4)


def test_one_model_alone_departs_at_its_two_rates():
    low, high, capable = np.array([0.1, 0.01]), np.array([0.99, 0.9]), np.full((2, 3), 0.5)
    np.testing.assert_allclose(likelihoods(1, 1, [], capable, low, high), [low, high])
    np.testing.assert_allclose(likelihoods(1, -1, [], capable, low, high), [1 - low, 1 - high])


@pytest.mark.parametrize("pick", [-1, 0, 2, 3])
def test_an_assortment_is_summed_over_the_others(pick):
    low, high = np.array([0.1]), np.array([0.99])
    capable = np.array([[0.3, 0.9, 0.6, 0.2]])
    S, odds = (0, 2, 3), {0: 0.1 / 0.9, 1: 99.0}
    for j in S:
        expected = np.zeros(2)
        for states in product((0, 1), repeat=3):
            state = dict(zip(S, states, strict=True))
            chance = np.prod(
                [capable[0, i] if s else 1 - capable[0, i] for i, s in state.items() if i != j]
            )
            weights = {i: odds[s] for i, s in state.items()}
            chosen = 1.0 if pick < 0 else weights[pick]
            expected[state[j]] += chance * chosen / (1 + sum(weights.values()))
        found = likelihoods(j, pick, [i for i in S if i != j], capable, low, high)
        np.testing.assert_allclose(np.ravel(found), expected, rtol=1e-12)
