"""Utility profiles, and which prompts are drawn together or pushed apart."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from cqb.contrastive.profiles import agreement, select_pairs, utility_profiles


def _by_loops(profiles, tau_pos, tau_neg, negatives):
    """The definition of acqb.md section 6, word for word: {anchor: (positive, negatives)}."""
    m, pairs, blank = len(profiles), {}, ~profiles.any(axis=1)
    for a in range(m):
        others = [b for b in range(m) if b != a and not blank[b] and not blank[a]]
        cosine = {b: round(float(profiles[a] @ profiles[b]), 9) for b in others}
        positives = sorted((-c, b) for b, c in cosine.items() if c > tau_pos)
        contrast = sorted((c, b) for b, c in cosine.items() if c < tau_neg)[:negatives]
        if positives and contrast:
            pairs[a] = (positives[0][1], {b for _, b in contrast})
    return pairs


def _pairs_of(pairs):
    found = {}
    for a in np.flatnonzero(pairs.anchor):
        positive, candidates = pairs.positive[a], pairs.candidates[a]
        assert candidates[positive]
        found[int(a)] = (int(positive), set(np.flatnonzero(candidates)) - {positive})
    return found


def test_a_profile_is_centred_and_of_unit_length():
    profiles = utility_profiles(np.array([[1.0, 0.0, 0.0], [7.0, 5.0, 5.0], [0.3, 0.3, 0.3]]))
    expected = np.array([2.0, -1.0, -1.0]) / 6.0**0.5
    # The second is the first but for level and size; the third prefers no model.
    np.testing.assert_allclose(profiles[:2], [expected, expected], atol=1e-12)
    np.testing.assert_array_equal(profiles[2], 0.0)


def test_what_is_nearly_constant_is_blank():
    utility = np.array([[0.5, 0.5 + 1e-10, 0.5], [0.5, 0.5 + 1e-8, 0.5]])
    np.testing.assert_array_equal(utility_profiles(utility).any(axis=1), [False, True])


def test_equal_profiles_tie_exactly_whatever_the_arithmetic():
    rng = np.random.default_rng(1)
    base = rng.normal(size=11)
    utility = np.stack([base * size + level for size, level in rng.uniform(0.1, 9, (40, 2))])
    np.testing.assert_array_equal(agreement(utility_profiles(utility)), 1.0)


def test_the_best_positive_against_the_hardest_negatives():
    # Angles of the profiles in the plane of three models: 0, 20, 10, 100, 180, blank.
    angles = np.radians([0.0, 20.0, 10.0, 100.0, 180.0])
    plane = np.array([[1, -1, 0], [1, 1, -2]]) / np.array([[2**0.5], [6**0.5]])
    utility = np.stack([np.cos(angles), np.sin(angles)], axis=1) @ plane
    utility = np.vstack([utility, np.full(3, 0.2)])
    pairs = select_pairs(utility_profiles(utility), 0.5, 0.3, negatives=1)
    assert _pairs_of(pairs) == {0: (2, {4}), 1: (2, {4}), 2: (0, {4})}
    assert pairs.counts == {
        "prompts": 6,
        "blank": 1,
        "no_positive": 2,
        "no_negative": 0,
        "anchors": 3,
    }
    # What is no anchor stands with itself alone.
    np.testing.assert_array_equal(pairs.candidates[[3, 4, 5]], np.eye(6, dtype=bool)[[3, 4, 5]])


def test_ties_go_to_the_lowest_row():
    utility = np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    pairs = select_pairs(utility_profiles(utility), 0.5, 0.3, negatives=2)
    assert _pairs_of(pairs)[4] == (1, {0, 2})
    assert _pairs_of(pairs)[1] == (3, {0, 2})


def test_the_threshold_itself_is_neither():
    # Cosines of exactly 1/2 and -1/2: profiles 120 degrees apart and their opposites.
    utility = np.array([[2.0, -1.0, -1.0], [1.0, 1.0, -2.0], [-1.0, 2.0, -1.0]])
    profiles = utility_profiles(utility)
    assert select_pairs(profiles, 0.5, -0.5, 64).counts["anchors"] == 0
    assert select_pairs(profiles, 0.49, -0.49, 64).counts["anchors"] == 2


@hypothesis_settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10_000),
    st.integers(2, 14),
    st.sampled_from([(0.5, 0.3), (0.5, 0.5), (0.0, -0.4), (1.0, -1.0)]),
    st.integers(1, 9),
)
def test_selection_is_its_definition(seed, m, thresholds, negatives):
    # Scores of 0 and 1: many ties, many blank rows.
    utility = np.random.default_rng(seed).integers(0, 2, (m, 3)).astype(float)
    profiles = utility_profiles(utility)
    pairs = select_pairs(profiles, *thresholds, negatives)
    expected = _by_loops(profiles, *thresholds, negatives)
    assert _pairs_of(pairs) == expected
    counts = pairs.counts
    assert counts["anchors"] == len(expected)
    assert m == sum(counts[name] for name in ("blank", "no_positive", "no_negative", "anchors"))


@pytest.mark.parametrize(
    ("utility", "message"),
    [(np.zeros(3), "expected \\(prompts, models\\)"), (np.array([[0.0, np.nan]]), "not finite")],
)
def test_utilities_must_be_a_table_of_numbers(utility, message):
    with pytest.raises(ValueError, match=message):
        utility_profiles(utility)
