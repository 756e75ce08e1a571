import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cqb.routing_table import RoutingTable, departure_odds, split_rows


def table(rows=7, width=3, d=5, **changes):
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((rows, d))
    fields = {
        "name": "test table",
        "stand_in": True,
        "ids": tuple(f"row.{i}" for i in range(rows)),
        "prompts": tuple(f"prompt {i}" for i in range(rows)),
        "families": ("odd", "even") * (rows // 2) + ("odd",) * (rows % 2),
        "models": tuple(f"model-{j}" for j in range(width)),
        "scores": rng.random((rows, width)),
        "costs": rng.random((rows, width)) / 1000,
        "embeddings": vectors / np.linalg.norm(vectors, axis=1, keepdims=True),
        "report": {"rows_read": rows},
    }
    return RoutingTable(**(fields | changes))


def changed(field, row, column, value):
    array = getattr(table(), field).copy()
    array[row, column] = value
    return {field: array}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (changed("scores", 2, 1, 1.5), r"scores of row 2 \('row.2'\), model 'model-1' is 1.5"),
        (changed("scores", 2, 1, -0.1), r"row 2 .*'model-1' is -0.1; expected .* in \[0, 1\]"),
        (changed("scores", 6, 0, np.nan), r"row 6 \('row.6'\), model 'model-0' is nan"),
        (
            changed("costs", 0, 2, -1e-9),
            r"costs of row 0 .*'model-2' is -1e-09; expected .* dollar",
        ),
        (changed("costs", 0, 2, np.inf), r"costs of row 0 .* is inf"),
        (changed("embeddings", 3, 0, 9.0), r"embedding of row 3 \('row.3'\) has norm 9"),
        (changed("embeddings", 3, 0, np.nan), r"embedding of row 3 .* norm nan"),
        ({"scores": np.zeros((3, 7))}, r"scores has shape \(3, 7\); expected \(7, 3\)"),
        ({"costs": np.zeros((7, 2))}, r"costs has shape \(7, 2\); expected \(7, 3\)"),
        ({"embeddings": np.ones((4, 1))}, r"embeddings have shape \(4, 1\); expected \(7, d\)"),
        ({"prompts": ("one",)}, r"1 prompts for 7 row ids"),
        ({"ids": ("a", "b", "c", "d", "b", "e", "f")}, r"row id 'b' is at 1 and 4"),
        ({"models": ("a", "b", "a")}, r"model 'a' is at 0 and 2"),
        ({"name": ""}, r"needs a name"),
    ],
)
def test_a_wrong_table_is_refused_with_its_place(changes, message):
    with pytest.raises(ValueError, match=message):
        table(**changes)


def test_an_empty_table_is_refused():
    with pytest.raises(ValueError, match="0 rows and 3 models"):
        table(rows=0, embeddings=None)


def test_arrays_are_copies_and_read_only():
    scores = np.zeros((7, 3))
    made = table(scores=scores)
    scores[0, 0] = 1
    assert made.scores[0, 0] == 0
    with pytest.raises(ValueError, match="read-only"):
        made.scores[0, 0] = 1


def test_data_hash_sees_every_ingredient_of_a_run():
    variants = [
        table(),
        table(name="another"),
        table(stand_in=False),
        table(embeddings=None),
        table(models=("model-0", "model-2", "model-1")),
        table(ids=("row.6", *table().ids[:-1])),
        *(table(**changed(field, 4, 1, 0.25)) for field in ("scores", "costs")),
    ]
    assert len({variant.data_hash() for variant in variants}) == len(variants)
    assert table().data_hash() == table(report={}).data_hash()


def test_with_embeddings_adds_to_the_report():
    bare = table(embeddings=None)
    full = bare.with_embeddings(table().embeddings, distinct_vectors=7)
    assert bare.embeddings is None
    assert full.report == {"rows_read": 7, "distinct_vectors": 7}
    assert full.data_hash() == table().data_hash()


def test_utility_is_score_minus_priced_cost():
    made = table()
    assert np.array_equal(made.utility(0), made.scores)
    assert np.allclose(made.utility(5), made.scores - 5 * made.costs, rtol=0, atol=1e-15)


@pytest.mark.parametrize("lam", [-1, -1e-12, np.nan, np.inf])
def test_a_price_that_makes_no_sense_is_refused(lam):
    with pytest.raises(ValueError, match="lam is"):
        table().utility(lam)


@given(rows=st.integers(10, 80), seed=st.integers(0, 2**32), data=st.data())
@settings(max_examples=40, deadline=None)
def test_split_parts_are_disjoint_and_sized(rows, seed, data):
    rest = rows - rows // 5
    pool = data.draw(st.integers(1, rest))
    refinement = data.draw(st.integers(0, rest - pool))
    split = split_rows(table(rows), seed, pool, refinement)
    parts = (split.tuning, split.pool, split.refinement)
    assert [len(part) for part in parts] == [rows // 5, pool, refinement]
    everything = np.concatenate(parts)
    assert len(set(everything.tolist())) == len(everything)
    assert everything.min() >= 0
    assert everything.max() < rows


@given(st.integers(0, 2**32))
@settings(max_examples=20, deadline=None)
def test_tuning_rows_depend_on_ids_alone(seed):
    made = table(40)
    order = np.random.default_rng(seed).permutation(40)
    shuffled = dataclasses.replace(made, ids=tuple(made.ids[i] for i in order))
    first = {made.ids[i] for i in split_rows(made, 42, 20, 5).tuning}
    assert {made.ids[i] for i in split_rows(made, seed, 20, 5).tuning} == first
    assert {shuffled.ids[i] for i in split_rows(shuffled, seed, 20, 5).tuning} == first


def test_split_repeats_with_its_seed_and_changes_with_another():
    made = table(100)
    pools = [split_rows(made, seed, 50, 10).pool for seed in (42, 42, 43)]
    assert np.array_equal(pools[0], pools[1])
    assert not np.array_equal(pools[0], pools[2])
    # A smaller refinement set leaves the pool of a seed as it is.
    assert np.array_equal(pools[0], split_rows(made, 42, 50, 0).pool)


def test_split_refuses_what_the_table_cannot_give():
    with pytest.raises(ValueError, match=r"of 1000 .* of 110 need 1110 rows, but 80 of 100"):
        split_rows(table(100), seed=42)
    with pytest.raises(ValueError, match="pool_size is 0"):
        split_rows(table(100), seed=42, pool_size=0)
    with pytest.raises(ValueError, match="refinement_size is -1"):
        split_rows(table(100), 42, 10, -1)


utilities = arrays(
    np.float64, st.tuples(st.integers(1, 6), st.integers(2, 5)), elements=st.floats(-10, 10)
).filter(lambda u: u.max() - u.min() > 1e-3)


@given(utilities)
def test_odds_span_the_given_departure_range(utility):
    odds = departure_odds(utility, 0.1, 0.99)
    rate = odds / (1 + odds)
    assert rate.min() == pytest.approx(0.1, abs=1e-12)
    assert rate.max() == pytest.approx(0.99, abs=1e-12)
    order = np.argsort(utility, axis=None)
    assert np.all(np.diff(odds.ravel()[order]) >= 0)


@given(utilities, st.floats(0.1, 10), st.floats(-5, 5))
def test_odds_do_not_depend_on_the_unit_of_utility(utility, scale, shift):
    assert np.allclose(
        departure_odds(scale * utility + shift), departure_odds(utility), rtol=1e-9, atol=0
    )


def test_odds_by_hand():
    odds = departure_odds(np.array([[0.0, 1.0], [0.5, 0.5]]), 0.2, 0.8)
    assert np.allclose(odds, [[0.25, 4.0], [1.0, 1.0]])


@pytest.mark.parametrize(
    ("utility", "bounds", "message"),
    [
        (np.full((3, 2), 0.7), (0.1, 0.99), "utility is 0.7 in every row"),
        (np.zeros((0, 2)), (0.1, 0.99), r"shape \(0, 2\)"),
        (np.array([[0.0, np.nan]]), (0.1, 0.99), r"utility\[0, 1\] is nan"),
        (np.array([[0.0, 1.0]]), (0.5, 0.5), "r_low < r_high"),
        (np.array([[0.0, 1.0]]), (0.1, 1.0), "r_high 1.0"),
    ],
)
def test_odds_refuse_what_cannot_be_stretched(utility, bounds, message):
    with pytest.raises(ValueError, match=message):
        departure_odds(utility, *bounds)
