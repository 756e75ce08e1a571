"""Planted worlds, and the measures of geometry, on cases where the answer is known."""

import numpy as np
import pytest

from cqb.contrastive import RefinementSettings
from cqb.contrastive import diagnostics as d
from cqb.contrastive.planted import Planted, planted_table
from cqb.contrastive.profiles import select_pairs, utility_profiles
from cqb.contrastive.refinement import refine_for
from cqb.routing_table import split_rows


def test_the_share_of_signal_is_the_one_planted():
    world = Planted(nuisance=40, size=2.0, rows=4000)
    still = planted_table(Planted(nuisance=40, size=0.0, rows=4000))
    noisy = planted_table(world)
    np.testing.assert_array_equal(noisy.scores, still.scores)
    # Signal lies in the span of the vectors without nuisance: 1 / (1 + 2^2) of the energy is in it.
    basis = np.linalg.svd(still.embeddings, full_matrices=False)[2][:6]
    share = ((noisy.embeddings @ basis.T) ** 2).sum(axis=1).mean()
    # Each vector is normalised by itself, so the mean of the shares lies a little beside it.
    assert share == pytest.approx(0.2, abs=0.03)
    left = still.embeddings - still.embeddings @ basis.T @ basis
    np.testing.assert_allclose(left, 0.0, atol=1e-12)
    assert noisy.stand_in
    assert "stand-in" in noisy.name


def test_scores_are_logit_linear_in_the_signal_and_of_the_planted_strength():
    still = planted_table(Planted(size=0.0, rows=5000))
    logit = np.log(still.scores / (1.0 - still.scores))
    # The vectors carry the direction of s; its length is lost. Most of the logit is linear in them.
    fitted = np.linalg.lstsq(still.embeddings, logit, rcond=None)[0]
    assert np.corrcoef((still.embeddings @ fitted).ravel(), logit.ravel())[0, 1] > 0.9
    assert logit.std() == pytest.approx(2.0, rel=0.03)


def test_refinement_finds_a_signal_that_must_be_found_and_memorises_where_it_cannot():
    # Few strong nuisance directions: 110 rows tell them from signal. Many: 110 rows do not.
    settings = RefinementSettings(hidden=64, output=32, epochs=300)
    gains = {}
    for nuisance in (4, 58):
        world = planted_table(Planted(nuisance=nuisance, size=4.0))
        rows = split_rows(world, 42).pool
        profiles = utility_profiles(world.scores[rows])
        vectors = world.embeddings[rows]
        found = refine_for(world, 42, 0.0, settings)
        before = d.neighbour_agreement(vectors, profiles)
        gains[nuisance] = d.neighbour_agreement(found.apply(vectors), profiles) - before
        assert found.losses[-1] < 0.01
    assert gains[4] > 0.5
    assert gains[58] < 0.2


def test_neighbour_agreement_by_loops():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(14, 3))
    utility = rng.integers(0, 2, (14, 3)).astype(float)
    profiles = utility_profiles(utility)
    assert 6 < profiles.any(axis=1).sum() < 14
    z = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    seen = np.flatnonzero(profiles.any(axis=1))
    values = []
    for a in seen:
        others = sorted((b for b in seen if b != a), key=lambda b: -(z[a] @ z[b]))
        values += [profiles[a] @ profiles[b] for b in others[:3]]
    assert d.neighbour_agreement(vectors, profiles, 3) == pytest.approx(np.mean(values))
    assert d.neighbour_agreement(9.0 * vectors, profiles, 3) == pytest.approx(np.mean(values))
    with pytest.raises(ValueError, match="neighbours: found 14"):
        d.neighbour_agreement(vectors, profiles, 14)


def test_family_agreement_by_loops():
    rng = np.random.default_rng(1)
    profiles = utility_profiles(rng.integers(0, 2, (15, 3)).astype(float))
    families = list("aaaaabbbbbbbbbc")
    per_prompt = []
    for a in np.flatnonzero(profiles.any(axis=1)):
        others = [
            profiles[a] @ profiles[b]
            for b in np.flatnonzero(profiles.any(axis=1))
            if b != a and families[b] == families[a]
        ]
        per_prompt += [np.mean(others)] if others else []
    assert d.family_agreement(profiles, families) == pytest.approx(np.mean(per_prompt))


def test_alignment_and_uniformity_of_known_shapes():
    utility = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    pairs = select_pairs(utility_profiles(utility), 0.5, 0.3, 2)
    right = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 2.0], [0.0, 2.0]])
    assert d.alignment(right, pairs) == pytest.approx(0.0)
    assert d.alignment(right[[0, 2, 1, 3]], pairs) == pytest.approx(2.0)
    assert d.uniformity(np.ones((5, 3))) == pytest.approx(0.0)
    assert d.uniformity(np.array([[1.0, 0.0], [-2.0, 0.0]])) == pytest.approx(-8.0)


def test_the_linear_fit_against_scikit_learn():
    linear_model = pytest.importorskip("sklearn.linear_model")
    rng = np.random.default_rng(2)
    x = rng.normal(size=(60, 5))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    y = x @ rng.normal(size=(5, 3)) + 0.4 * rng.normal(size=(60, 3))
    mean, scores = y[:40].mean(axis=0), []
    for ridge in d.RIDGES:
        model = linear_model.Ridge(ridge, fit_intercept=False).fit(x[:40], y[:40] - mean)
        error = np.sum((y[40:] - mean - model.predict(x[40:])) ** 2)
        scores.append(1.0 - error / np.sum((y[40:] - mean) ** 2))
    assert d.linear_fit(7.0 * x, y, 40) == pytest.approx(max(scores), abs=1e-9)


def test_the_map_is_the_plane_of_most_variance():
    rng = np.random.default_rng(3)
    flat = rng.normal(size=(40, 2)) * np.array([5.0, 2.0])
    turn, _ = np.linalg.qr(rng.normal(size=(6, 6)))
    found = d.first_two(flat @ turn[:2] + 3.0)
    centred = flat - flat.mean(axis=0)
    np.testing.assert_allclose(found @ found.T, centred @ centred.T, atol=1e-9)
    assert found[:, 0].var() > found[:, 1].var()
    assert (found[np.abs(found).argmax(axis=0), [0, 1]] > 0).all()
