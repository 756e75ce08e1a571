"""Ratios, paired differences and Holm's rule, against direct computation."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from cqb.beyond.claims import by_cell, holm, judge, ratios

CELLS = [(1, 0.0, 0.5), (1, 5.0, 0.5), (2, 0.0, 0.6)]
RNG = np.random.default_rng(3)


def _tidy(policies: dict[str, float], seeds: int = 6) -> pd.DataFrame:
    rows = []
    for (K, lam, rate), seed, t in itertools.product(CELLS, range(seeds), (50, 100)):
        luck = RNG.normal()
        for policy, mean in policies.items():
            regret = t * (mean + 0.1 * luck + 0.02 * RNG.normal())
            rows.append((K, lam, rate, policy, seed, t, regret))
    return pd.DataFrame(rows, columns=["K", "lam", "arrival_rate", "policy", "seed", "t", "regret"])


def test_holm_is_the_closed_test_of_bonferroni():
    """A hypothesis is rejected if and only if every set that holds it has min p <= level / size."""
    for _ in range(200):
        p = np.round(RNG.beta(0.3, 3.0, size=5), 3)
        found = holm(p)
        for i in range(5):
            sets = [
                s for size in range(1, 6) for s in itertools.combinations(range(5), size) if i in s
            ]
            assert found[i] == all(min(p[list(s)]) <= 0.05 / len(s) for s in sets)
    assert holm(np.array([np.nan, 0.001])).tolist() == [False, True]


def test_paired_differences_are_those_of_the_paired_t_test():
    tidy = _tidy({"A": 1.0, "B": 1.2})
    table = by_cell(tidy, "A", "B")
    assert len(table) == 3
    last = tidy[tidy["t"] == 100]
    for row in table.itertuples():
        cell = last[
            (last["K"] == row.K)
            & (last["lam"] == row.lam)
            & (last["arrival_rate"] == row.arrival_rate)
        ]
        wide = cell.pivot(index="seed", columns="policy", values="regret")
        test = stats.ttest_rel(wide["A"], wide["B"])
        assert row.p == pytest.approx(test.pvalue)
        assert (row.low, row.high) == pytest.approx(tuple(test.confidence_interval(0.95)))


def test_ratios_average_cells_before_they_divide_and_use_complete_cells_alone():
    tidy = _tidy({"A": 1.0, "B": 2.0})
    # Half of the seeds of one cell are missing: it takes no part, or seeds would weigh other cells.
    tidy = tidy[~((tidy["K"] == 2) & (tidy["seed"] > 2))]
    row = ratios(tidy, "A", ["B"]).iloc[0]
    last = tidy[(tidy["t"] == 100) & (tidy["K"] == 1)]
    mean = last.groupby(["policy", "seed"])["regret"].mean()
    share = mean["A"] / mean["B"]
    assert (row["cells"], row["seeds"]) == (2, 6)
    assert row["ratio"] == pytest.approx(share.mean())
    assert row["low"] < 0.5 < row["high"] + 0.05


def test_targets_are_judged_by_their_intervals():
    others = ("ACQB", "ACQB-tuned", "TS-memory", "INFORMED", "ACQB-P-tuned")
    easy = judge(_tidy({"ACQB-M": 0.4, **dict.fromkeys(others, 4.0)}), "ACQB-M")
    hard = judge(_tidy({"ACQB-M": 3.9, **dict.fromkeys(others, 4.0)}), "ACQB-M")
    assert (easy["verdict"] == "reached").all()
    assert (hard["verdict"] == "missed").all()
