"""The trained predictor: closed forms against refits, and who is asked about what."""

import numpy as np
import pytest

from cqb_port import predictors
from cqb_port.features import History
from cqb_port.predictors import SimilarityRidge, principal, similarities, similarity

RNG = np.random.default_rng(5)
E, M, D = 40, 3, 6
VECTORS = RNG.normal(size=(E, D))
SCORES = np.clip(0.5 + 0.3 * VECTORS[:, :M].T + 0.1 * RNG.normal(size=(M, E)), 0, 1)
COSTS = np.exp(0.3 * VECTORS[:, 1:4].T) * np.array([[1e-4], [1e-3], [1e-2]])
HISTORY = History(VECTORS, SCORES, COSTS)


def fitted(widths=(2.0,), ridges=(0.5,)) -> SimilarityRidge:
    return SimilarityRidge(HISTORY, similarities(HISTORY.vectors, widths), ridges)


def without(row: int) -> History:
    kept = np.arange(E) != row
    return History(VECTORS[kept], SCORES[:, kept], COSTS[:, kept])


def plain(history: History, queries: np.ndarray, ridge: float, mean: np.ndarray) -> np.ndarray:
    """Kernel ridge regression of the scores by one linear system, about a given mean."""
    kernel = similarity(history.vectors, history.vectors.astype(float), 2.0)
    weights = np.linalg.solve(kernel + ridge * np.eye(len(history)), history.scores.T - mean)
    return mean + similarity(queries, history.vectors.astype(float), 2.0) @ weights


def test_one_setting_is_kernel_ridge_regression():
    """With one penalty for all, turning the targets and turning them back changes nothing."""
    queries = RNG.normal(size=(7, D))
    unit = (queries / np.linalg.norm(queries, axis=1, keepdims=True)).astype(np.float32)
    found = fitted().estimate(queries)
    expected = plain(HISTORY, unit, 0.5, SCORES.mean(axis=1))
    assert found.scores == pytest.approx(expected.T, abs=1e-5)
    assert found.costs.min() >= 0.0


@pytest.mark.parametrize("row", [0, 17, 39])
def test_leave_one_out_is_a_refit_without_the_row(row):
    left_out = fitted().leave_one_out().scores[:, row]
    refit = plain(without(row), HISTORY.vectors[[row]], 0.5, SCORES.mean(axis=1))[0]
    assert left_out == pytest.approx(refit, abs=1e-5)


def test_every_component_has_the_settings_of_its_least_error():
    widths, ridges = (0.5, 2.0), (0.1, 1.0, 10.0)
    chosen = fitted(widths, ridges).scores
    grid = {(w, r): fitted((w,), (r,)).scores.error for w in widths for r in ridges}
    errors = np.array(list(grid.values()))
    assert chosen.error == pytest.approx(errors.min(axis=0), rel=1e-9)
    keys = list(grid)
    for j, best in enumerate(errors.argmin(axis=0)):
        assert (chosen.width[j], chosen.ridge[j]) == keys[best]


def test_principal_components_are_uncorrelated_and_turn_back():
    targets = COSTS.T
    into, back = principal(targets)
    covariance = np.cov((targets @ into).T)
    assert np.abs(covariance - np.diag(np.diag(covariance))).max() <= 1e-9 * covariance.max()
    assert into @ back == pytest.approx(np.eye(M), abs=1e-9)


def test_a_model_that_never_varies_is_predicted_as_it_is():
    constant = History(VECTORS, np.vstack([SCORES[:2], np.full(E, 0.25)]), COSTS)
    found = SimilarityRidge(constant).estimate(RNG.normal(size=(5, D))).scores[2]
    assert found == pytest.approx(np.full(5, 0.25), abs=1e-9)


def test_fewer_anchors_come_close(monkeypatch):
    queries = RNG.normal(size=(5, D))
    full = fitted().estimate(queries).scores
    monkeypatch.setattr(predictors, "ANCHORS", 30)
    few = fitted().estimate(queries).scores
    assert 0 < np.abs(few - full).max() < 0.15
