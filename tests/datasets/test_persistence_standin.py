"""The stand-in has the persistence and the correlation between models that were measured."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import tiny
from cqb import datasets
from cqb.datasets.persistence_standin import (
    calibrated,
    measures,
    read_recipe,
    recipe_of,
    tetrachoric,
)


def test_the_correlation_behind_signs_is_found_again():
    # 20,000 rows: standard error of a correlation below .02, thresholds far from the middle.
    true = np.array([[1.0, 0.7, -0.3], [0.7, 1.0, 0.1], [-0.3, 0.1, 1.0]])
    rng = np.random.default_rng(2)
    latent = rng.standard_normal((20_000, 3)) @ np.linalg.cholesky(true).T
    found = tetrachoric(latent > np.array([-1.0, 0.0, 0.8]))
    np.testing.assert_allclose(found, true, atol=0.06)
    assert tetrachoric(np.array([[1, 1], [0, 0], [1, 1], [0, 0]]) > 0)[0, 1] == 0.99


def test_the_committed_stand_in_is_calibrated_to_the_measured_rows():
    recipe, table = read_recipe(), datasets.load("persistence-standin")
    assert table.stand_in
    assert "calibrated" in table.name
    # Measured as the real rows were, the stand-in gives their recipe back.
    again = recipe_of(table, recipe["context"])
    assert again.keys() == recipe.keys()
    assert list(again["measures"]) == list(recipe["measures"])
    for name, wanted in recipe["measures"].items():
        assert again["measures"][name] == pytest.approx(wanted, abs=0.02), name
    np.testing.assert_allclose(again["success"], recipe["success"], atol=0.001)
    apart = ~np.eye(len(table.models), dtype=bool)
    left = (np.array(again["correlation"]) - np.array(recipe["correlation"]))[apart]
    # 2,400 rows: standard error about .03 per pair.
    assert np.sqrt(np.mean(left**2)) < 0.06


def test_measures_of_a_table_that_is_known():
    # Two models that fail the same quarter of the rows: failure rates .9 there and .01 elsewhere.
    table = tiny.table(models=2)
    able = np.arange(len(table)) % 4 > 0
    known = dataclasses.replace(table, scores=np.stack([able, able], axis=1).astype(float))
    found = measures(known)
    first, twice = 0.25 * 0.9 + 0.75 * 0.01, 0.25 * 0.9**2 + 0.75 * 0.01**2
    assert found["first attempt fails"] == pytest.approx(first)
    assert found["same model fails again"] == pytest.approx(twice / first)
    assert found["another model fails too"] == pytest.approx(twice / first)
    assert found["no model succeeds"] == 0.25
    assert found["two-valued scores"] == 1.0
    assert found["latent correlation of models"] == 0.99


def test_a_recipe_of_other_models_is_refused():
    with pytest.raises(ValueError, match="recipe: found 11 models, expected the table's 4"):
        calibrated(tiny.table(), read_recipe())
