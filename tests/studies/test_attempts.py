"""Shares after failures, against every order of the attempts."""

from itertools import permutations

import numpy as np
import pytest

from cqb.routing_table import RoutingTable
from cqb.studies.attempts import Attempts, after_failures, rows


def table(scores):
    scores = np.asarray(scores, dtype=float)
    n, N = scores.shape
    names = [f"m{j}" for j in range(N)]
    return RoutingTable("attempts", False, range(n), [""] * n, ["f"] * n, names, scores)


@pytest.mark.parametrize("failures", [0, 1, 2, 3])
@pytest.mark.parametrize("outcomes", [(1, 0, 0, 1), (0, 0, 0, 0), (1, 1, 1, 1), (0, 0, 1, 0)])
def test_by_every_order_of_the_attempts(outcomes, failures):
    orders = list(permutations(outcomes))
    fail = [not any(order[:failures]) for order in orders]
    then = [f and order[failures] for f, order in zip(fail, orders, strict=True)]
    found = after_failures(np.array([sum(outcomes)]), len(outcomes), failures)
    assert np.ravel(found) == pytest.approx([np.mean(fail), np.mean(then)], abs=1e-12)


def test_columns_are_attempts_of_one_model_or_rates_of_several():
    # Two items with ten attempts each: one always fails, the other fails once.
    found = rows(Attempts(10, 1, by_column=True), table([[0] * 10, [0] + [1] * 9]))
    assert found["who"].tolist() == ["same model", "same model"]
    # After one failure: the second item's single failure leaves nine of nine.
    assert found["share"].tolist() == pytest.approx([0.45, (0.1 * 9 / 9) / 1.1])
    # Two models on one item: rates of .5 and 1 in a hundred attempts.
    found = rows(Attempts(100, 1), table([[0.5, 1.0]]))
    assert found["who"].tolist() == ["same model", "same model", "another model"]
    assert found["share"].tolist() == pytest.approx([0.75, 50 / 99, 1.0])


def test_a_fresh_draw_would_change_nothing():
    same = rows(Attempts(1000, 3), table(np.full((50, 2), 0.3)))
    assert same["share"].to_numpy() == pytest.approx(0.3, abs=1e-3)
    assert (same["low"] <= same["share"] + 1e-12).all()
    assert (same["share"] <= same["high"] + 1e-12).all()
