"""The projection and the loss: their values by definition, their gradients by finite differences."""

import numpy as np
import pytest

from cqb.contrastive import RefinementSettings
from cqb.contrastive.profiles import loss_and_gradient, select_pairs, unit, utility_profiles
from cqb.contrastive.training import AdamW, backward, clipped, forward, initial, objective

M, D, HIDDEN, OUTPUT = 9, 5, 7, 4
WIDTHS = [(D, OUTPUT), (D, HIDDEN, OUTPUT)]


def _problem(widths):
    """Vectors, pairs and a projection whose gains and shifts are not those of the start."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=(M, D))
    pairs = select_pairs(utility_profiles(rng.integers(0, 2, (M, 3)).astype(float)), 0.5, 0.3, 3)
    assert 3 <= pairs.counts["anchors"] < M
    start = initial(widths, x.dtype, rng)
    *layers, gain, shift = start
    gain, shift = gain + 0.3 * rng.normal(size=OUTPUT), shift + 0.3 * rng.normal(size=OUTPUT)
    weights = np.where(pairs.anchor, rng.uniform(0.1, 1.0, M), 0.0)
    return x, pairs, (*layers, gain, shift), weights


@pytest.mark.parametrize("widths", WIDTHS)
def test_the_projection_by_its_formula(widths):
    x, _, projection, _ = _problem(widths)
    *layers, gain, shift = projection
    y, _ = forward(projection, x)
    for row, found in zip(x, y, strict=True):
        h = row @ layers[0] + layers[1]
        if len(layers) == 4:
            h = np.maximum(h, 0.0) @ layers[2] + layers[3]
        expected = gain * (h - h.mean()) / np.sqrt(h.var() + 1e-5) + shift
        np.testing.assert_allclose(found, expected, atol=1e-12)


def test_the_loss_by_its_formula():
    x, pairs, projection, weights = _problem((D, HIDDEN, OUTPUT))
    y, _ = forward(projection, x)
    z = y / np.linalg.norm(y, axis=1, keepdims=True)
    expected = 0.0
    for a in np.flatnonzero(pairs.anchor):
        odds = np.exp(z[pairs.candidates[a]] @ z[a] / 0.07)
        expected -= weights[a] * np.log(np.exp(z[pairs.positive[a]] @ z[a] / 0.07) / odds.sum())
    loss, _ = loss_and_gradient(y, pairs, weights, 0.07)
    assert float(loss) == pytest.approx(expected, rel=1e-12)


def test_one_positive_and_n_equal_negatives_lose_log_n_plus_1():
    utility = np.array([[1.0, 0.0], [1.0, 0.0], *[[0.0, 1.0]] * 6])
    pairs = select_pairs(utility_profiles(utility), 0.5, 0.3, 6)
    weights = np.where(np.arange(8) == 0, 1.0, 0.0)
    loss, _ = loss_and_gradient(np.ones((8, 3)), pairs, weights, 0.07)
    assert float(loss) == pytest.approx(np.log(7.0))


@pytest.mark.parametrize("widths", WIDTHS)
def test_gradients_are_those_of_finite_differences(widths):
    x, pairs, projection, weights = _problem(widths)
    _, gradients = objective(projection, x, pairs, weights, 0.2)
    step = 1e-6
    for place, gradient in enumerate(gradients):
        numeric = np.empty_like(gradient)
        for index in np.ndindex(gradient.shape):
            ends = []
            for sign in (1.0, -1.0):
                arrays = [array.copy() for array in projection]
                arrays[place][index] += sign * step
                ends.append(float(objective(tuple(arrays), x, pairs, weights, 0.2)[0]))
            numeric[index] = (ends[0] - ends[1]) / (2.0 * step)
        np.testing.assert_allclose(gradient, numeric, rtol=2e-5, atol=1e-8)
        assert np.abs(gradient).max() > 1e-4


def test_only_anchors_and_their_partners_are_moved():
    x, pairs, projection, _ = _problem((D, OUTPUT))
    a = int(np.flatnonzero(pairs.anchor)[0])
    y, _ = forward(projection, x)
    _, slope = loss_and_gradient(y, pairs, np.where(np.arange(M) == a, 1.0, 0.0), 0.07)
    concerned = pairs.candidates[a] | (np.arange(M) == a)
    np.testing.assert_array_equal(np.abs(slope).max(axis=1) > 0, concerned)


def test_the_gradient_is_tangent_to_the_sphere():
    # Lengthening a projection leaves the loss as it is.
    x, pairs, projection, weights = _problem((D, OUTPUT))
    y, _ = forward(projection, x)
    _, slope = loss_and_gradient(y, pairs, weights, 0.07)
    np.testing.assert_allclose(np.sum(slope * y, axis=1), 0.0, atol=1e-12)


def test_a_zero_row_stays_zero():
    z = unit(np.array([[0.0, 0.0], [3.0, 4.0]]))
    np.testing.assert_allclose(z, [[0.0, 0.0], [0.6, 0.8]])


def test_backward_follows_the_inputs_of_its_own_forward():
    x, _, projection, _ = _problem((D, HIDDEN, OUTPUT))
    _, trace = forward(projection, x)
    slope = np.zeros((M, OUTPUT))
    slope[3] = [1.0, 0.0, 0.0, 0.0]
    by_first = backward(projection, trace, slope)[0]
    active = (x[3] @ projection[0] + projection[1]) > 0
    np.testing.assert_array_equal(np.abs(by_first).max(axis=0) > 0, active)


def test_adamw_by_hand():
    # Two steps of one number: mean .1 g and .19 g, square .001 g^2 and .001999 g^2, bias corrected.
    x, g = np.array([2.0]), np.array([3.0])
    settings = RefinementSettings(learning_rate=0.1, weight_decay=0.5)
    optimiser = AdamW(settings, (x,))
    (first,) = optimiser.step((x,), (g,))
    # Corrected, the mean is g and the root of the square |g|: the step is the rate.
    assert first[0] == pytest.approx(2.0 * (1 - 0.05) - 0.1, abs=1e-8)
    (second,) = optimiser.step((first,), (-g,))
    mean = (0.9 * 0.3 - 0.1 * 3.0) / (1 - 0.81)
    square = (0.999 * 0.009 + 0.009) / (1 - 0.999**2)
    assert second[0] == pytest.approx(first[0] * 0.95 - 0.1 * mean / square**0.5, abs=1e-8)
    assert x[0] == 2.0


def test_clipping_shrinks_all_gradients_together():
    gradients = (np.array([3.0, 0.0]), np.array([[4.0]]))
    assert clipped(gradients, 5.0) is gradients
    a, b = clipped(gradients, 1.0)
    np.testing.assert_allclose([a[0], b[0, 0]], [0.6, 0.8])


def test_a_fresh_projection_has_the_usual_bounds():
    weight, bias, second, *_ = initial(
        (100, 300, 200), np.dtype(np.float32), np.random.default_rng(0)
    )
    assert weight.dtype == np.float32
    assert 0.099 < weight.max() <= 0.1
    assert 0.09 < bias.max() <= 0.1
    assert 0.057 < second.max() <= 300**-0.5
