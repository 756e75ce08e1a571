"""Training: it lowers its loss, is decided by its generator, stops early, and is fast enough."""

import numpy as np
import pytest

from cqb.contrastive import RefinementSettings
from cqb.contrastive.profiles import select_pairs, utility_profiles
from cqb.contrastive.training import mean_loss, train

SMALL = RefinementSettings(hidden=12, output=6, epochs=30, learning_rate=0.01, precision="float64")


def _set(seed, m=40, d=8):
    """Vectors, and pairs by which of three models suits a prompt: a linear function of its vector."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(m, d))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    utility = x @ np.random.default_rng(99).normal(size=(d, 3))
    return x, select_pairs(utility_profiles(utility), 0.5, 0.3, 10)


def test_training_lowers_the_loss_it_is_given():
    x, pairs = _set(0)
    trained = train(x, pairs, SMALL, rng=np.random.default_rng(1))
    assert trained.losses.size == 30
    assert trained.epoch == 30
    after = mean_loss(trained.projection, x, pairs, SMALL.temperature)
    assert after < 0.5 * trained.losses[0]


def test_the_generator_decides_everything():
    x, pairs = _set(0)
    settings = SMALL.with_(batch=7, epochs=4)
    runs = [train(x, pairs, settings, rng=np.random.default_rng(s)) for s in (1, 1, 2)]
    np.testing.assert_array_equal(runs[0].losses, runs[1].losses)
    assert not np.allclose(runs[0].losses, runs[2].losses)


def test_an_epoch_visits_each_anchor_once():
    x, pairs = _set(0)
    count = pairs.counts["anchors"]
    trained = train(x, pairs, SMALL.with_(batch=7, epochs=3), rng=np.random.default_rng(1))
    assert trained.losses.size == 3 * -(-count // 7)
    # At a rate of nearly 0 the parameters stand still, and the batches' losses sum to the whole one.
    still = SMALL.with_(batch=7, epochs=1, learning_rate=1e-12, weight_decay=0.0)
    slow = train(x, pairs, still, rng=np.random.default_rng(1))
    sizes = [min(7, count - first) for first in range(0, count, 7)]
    whole = mean_loss(slow.projection, x, pairs, SMALL.temperature)
    assert np.average(slow.losses, weights=sizes) == pytest.approx(whole, rel=1e-8)


def test_early_stopping_goes_back_to_the_lowest_loss():
    x, pairs = _set(0)
    held = _set(3)
    settings = SMALL.with_(patience=2, epochs=200, learning_rate=0.05)
    trained = train(x, pairs, settings, rng=np.random.default_rng(1), held=held)
    assert trained.watched.size == trained.epoch + 2
    assert trained.watched.argmin() == trained.epoch - 1
    kept = mean_loss(trained.projection, *held, settings.temperature)
    assert kept == pytest.approx(trained.watched.min(), rel=1e-12)
    # The same training, cut at that epoch, is the same projection.
    cut = settings.with_(patience=None, epochs=trained.epoch)
    short = train(x, pairs, cut, rng=np.random.default_rng(1))
    for kept, expected in zip(trained.projection, short.projection, strict=True):
        np.testing.assert_array_equal(kept, expected)


def test_without_held_out_rows_the_training_loss_is_watched():
    x, pairs = _set(0)
    trained = train(x, pairs, SMALL.with_(patience=5), rng=np.random.default_rng(1))
    own = mean_loss(trained.projection, x, pairs, SMALL.temperature)
    assert trained.watched.min() == pytest.approx(own, rel=1e-12)


def test_a_set_without_anchors_is_an_error_with_its_counts():
    utility = np.ones((6, 3))
    pairs = select_pairs(utility_profiles(utility), 0.5, 0.3, 10)
    with pytest.raises(ValueError, match=r"prompts 6, blank 6, .*anchors 0"):
        train(np.eye(6), pairs, SMALL, rng=np.random.default_rng(1))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tau_pos": 0.2}, "tau_pos: found 0.2, below tau_neg = 0.3"),
        ({"tau_pos": 1.2}, r"tau_pos: found 1.2, expected a cosine in \[-1, 1\]"),
        ({"epochs": 0}, "epochs: found 0, expected at least 1"),
        ({"hidden": 0}, "hidden: found 0, expected at least 1"),
        ({"temperature": 0.0}, "temperature: found 0.0, expected a positive number"),
        ({"scale": -1.0}, "scale: found -1.0"),
        ({"weight_decay": -1.0}, "weight_decay: found -1.0"),
        ({"holdout": 1.0}, r"holdout: found 1.0, expected a share in \[0, 1\)"),
        ({"blend": 0.0}, r"blend: found 0.0, expected a weight in \(0, 1\]"),
        ({"precision": "float16"}, "precision: found 'float16', expected float32 or float64"),
    ],
)
def test_settings_out_of_range_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        RefinementSettings(**changes)
