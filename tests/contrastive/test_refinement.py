"""Refined vectors: their length, the rows they are trained on, and the world they are put in."""

import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from cqb.contrastive import RefinementSettings
from cqb.contrastive.profiles import utility_profiles
from cqb.contrastive.refinement import (
    FewStrictBestWarning,
    refine,
    refine_for,
    refined,
    refinement_rows,
    scaled,
)
from cqb.environment import from_table
from cqb.routing_table import split_rows

sys.path.insert(0, str(Path(__file__).parents[1]))
from tiny import POOL, table

SMALL = RefinementSettings(hidden=9, output=6, epochs=6, rows=50, precision="float64")


def _problem(seed=0, m=30):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(m, 6))
    utility = x @ np.random.default_rng(99).normal(size=(6, 4))
    return x, utility_profiles(utility)


def test_a_refined_vector_has_the_length_that_was_asked_for():
    x, profiles = _problem()
    for scale in (1.0, 4.0):
        found = refine(x, profiles, SMALL.with_(scale=scale), seed=1).apply(x)
        np.testing.assert_allclose(np.linalg.norm(found, axis=1), scale, rtol=1e-12)
    bare = refine(x, profiles, SMALL.with_(scale=None), seed=1).apply(x)
    # Gains are still close to 1 and shifts to 0: nearly sqrt(output).
    np.testing.assert_allclose(np.linalg.norm(bare, axis=1), 6**0.5, rtol=0.05)
    np.testing.assert_allclose(bare / np.linalg.norm(bare, axis=1, keepdims=True), found / 4.0)


def test_a_blend_lies_between_raw_and_refined():
    x, profiles = _problem()
    pure = refine(x, profiles, SMALL, seed=1).apply(x)
    blend = refine(x, profiles, SMALL.with_(blend=0.25), seed=1).apply(x)
    raw = x / np.linalg.norm(x, axis=1, keepdims=True)
    expected = 0.25 * pure + 0.75 * raw
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(blend, expected)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"blend": 0.5, "output": 5}, "expected the vectors' own 6 dimensions"),
        ({"blend": 0.5, "scale": None}, "without a scale"),
    ],
)
def test_blends_that_make_no_sense_are_refused(changes, message):
    x, profiles = _problem()
    with pytest.raises(ValueError, match=message):
        refine(x, profiles, SMALL.with_(**changes), seed=1)


def test_single_precision_trains_like_double():
    x, profiles = _problem()
    double, single = (
        refine(x, profiles, SMALL.with_(precision=p), seed=1) for p in ("float64", "float32")
    )
    assert single.projection[0].dtype == np.float32
    found = single.apply(x)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, double.apply(x), atol=1e-3)


def test_rows_held_out_are_not_trained_on():
    x, profiles = _problem()
    found = refine(x, profiles, SMALL.with_(holdout=0.3, patience=50), seed=1)
    assert found.counts["prompts"] == 21
    assert found.watched.size == SMALL.epochs


def test_a_refined_world_differs_in_its_contexts_alone(linear_world):
    world = linear_world(0)
    x, profiles = _problem()
    found = refine(x, profiles, SMALL, seed=1)
    with pytest.raises(ValueError, match="matmul"):
        refined(world, found)  # trained on vectors of another dimension
    world = linear_world(0, d=6)
    after = refined(world, found)
    np.testing.assert_array_equal(after.contexts, found.apply(world.contexts))
    assert after.odds is world.odds
    assert after.context_of is world.context_of
    np.testing.assert_allclose(scaled(world, 4.0).contexts, 4.0 * world.contexts)


def test_refinement_rows_lie_outside_pool_and_tuning_set():
    here = table()
    for settings in (SMALL, SMALL.with_(quota=4)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FewStrictBestWarning)
            rows = refinement_rows(here, 42, 5.0, settings, POOL)
        parts = split_rows(here, 42, POOL)
        assert len(set(rows)) == len(rows)
        assert not set(rows) & (set(parts.pool) | set(parts.tuning))
    np.testing.assert_array_equal(
        refinement_rows(here, 42, 5.0, SMALL, POOL), split_rows(here, 42, POOL, 50).refinement
    )


def test_a_quota_takes_the_first_rows_on_which_each_model_is_the_strict_best():
    here = table()
    rows = refinement_rows(here, 42, 0.0, SMALL.with_(quota=5), POOL)
    everything = split_rows(here, 42, POOL, 120).refinement
    best = here.scores.argmax(axis=1)  # no ties in this table
    expected = [row for j in range(4) for row in [r for r in everything if best[r] == j][:5]]
    np.testing.assert_array_equal(rows, expected)


def test_too_few_strict_best_rows_are_filled_up_with_a_warning():
    here = table()
    best = here.scores.argmax(axis=1)
    with pytest.warns(FewStrictBestWarning, match=r"quota of 30 .* random rows fill up"):
        rows = refinement_rows(here, 42, 0.0, SMALL.with_(quota=30), POOL)
    everything = split_rows(here, 42, POOL, 120).refinement
    assert sorted(rows) == sorted(everything)
    counts = np.bincount(best[everything], minlength=4)
    with pytest.warns(FewStrictBestWarning) as caught:
        rows = refinement_rows(here, 42, 0.0, SMALL.with_(quota=29), POOL)
    taken = np.minimum(counts, 29).sum()
    short = [name for name, count in zip(here.models, counts, strict=True) if count < 29]
    assert f": {taken} rows with a strict best" in str(caught[0].message)
    assert f"short of it: {', '.join(short)}; {116 - taken} random" in str(caught[0].message)
    assert len(set(rows)) == 116


def test_rows_without_a_strict_best_belong_to_no_model():
    here = table()
    tied = type(here)(**{**vars(here), "scores": np.round(here.scores)})
    with pytest.warns(FewStrictBestWarning):
        rows = refinement_rows(tied, 42, 0.0, SMALL.with_(quota=5), POOL)
    strict = (tied.scores == tied.scores.max(axis=1, keepdims=True)).sum(axis=1) == 1
    everything = split_rows(tied, 42, POOL, 120).refinement
    chosen = [row for row in rows if strict[row]]
    wanted = np.bincount(tied.scores[everything][strict[everything]].argmax(axis=1), minlength=4)
    assert len(chosen) >= np.minimum(wanted, 5).sum()
    assert len(rows) == 20


def test_more_rows_than_there_are_is_an_error():
    with pytest.raises(ValueError, match="a refinement set of 400 need 440 rows"):
        refinement_rows(table(), 42, 0.0, SMALL.with_(quota=100), POOL)


def test_a_seeds_refinement_never_sees_its_pool():
    here = table()
    first = refine_for(here, 42, 5.0, SMALL, POOL)
    pool = split_rows(here, 42, POOL).pool
    scores = here.scores.copy()
    scores[pool] = 0.5
    other = refine_for(type(here)(**{**vars(here), "scores": scores}), 42, 5.0, SMALL, POOL)
    world = from_table(here, 42, 5.0, POOL)
    np.testing.assert_array_equal(first.apply(world.contexts), other.apply(world.contexts))
    assert not np.allclose(
        first.apply(world.contexts),
        refine_for(here, 43, 5.0, SMALL, POOL).apply(world.contexts),
    )


def test_each_lam_has_a_refinement_of_its_own():
    here = table()
    found = refine_for(here, 42, 5.0, SMALL, POOL)
    rows = split_rows(here, 42, POOL, SMALL.rows).refinement
    own = refine(
        here.embeddings[rows],
        utility_profiles(here.utility(5.0)[rows]),
        SMALL,
        seed=42,
    )
    np.testing.assert_array_equal(found.losses, own.losses)
    other = refine_for(here, 42, 0.0, SMALL, POOL)
    assert not np.allclose(found.losses, other.losses, rtol=1e-6)


def test_a_table_without_vectors_is_refused():
    bare = type(table())(**{**vars(table()), "embeddings": None})
    with pytest.raises(ValueError, match="Tiny stand-in: no embeddings"):
        refine_for(bare, 42, 0.0, SMALL, POOL)
