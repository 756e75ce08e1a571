"""The comparison: ratios, paired differences and waits, against direct computation."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import tiny
from cqb.metrics import COLUMNS
from cqb.policies import LearnerSettings
from cqb.runs import Cell, Task, play
from cqb.stats import kaplan_meier
from cqb.studies.beyond.comparison import (
    REPORTS,
    WAITS,
    by_cell,
    comparison,
    judge,
    ratios,
    waiting_table,
    waits,
)
from cqb.study import data

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
    half = stats.t.ppf(0.975, 5) * share.std() / np.sqrt(6)
    assert (row["low"], row["high"]) == pytest.approx((share.mean() - half, share.mean() + half))


def test_targets_are_judged_by_their_intervals():
    others = ("ACQB", "ACQB-tuned", "TS-memory", "INFORMED", "ACQB-P-tuned")
    easy = judge(_tidy({"ACQB-M": 0.4, **dict.fromkeys(others, 4.0)}), "ACQB-M")
    hard = judge(_tidy({"ACQB-M": 3.9, **dict.fromkeys(others, 4.0)}), "ACQB-M")
    assert (easy["verdict"] == "reached").all()
    assert (hard["verdict"] == "missed").all()


def test_without_censoring_it_is_the_empirical_distribution():
    wait = np.random.default_rng(1).integers(1, 30, size=200)
    at = [1, 5, 12, 29]
    found = kaplan_meier(wait, np.ones(200, bool), at)
    np.testing.assert_allclose(found, [(wait > t).mean() for t in at])


def test_a_worked_case():
    # At risk 6: one leaves at 2 (5/6); one is censored at 3; at risk 4: two leave at 5 (1/2); the last
    # two are censored at 8, after which nothing is known.
    wait, left = np.array([2, 3, 5, 5, 8, 8]), np.array([1, 0, 1, 1, 0, 0], bool)
    found = kaplan_meier(wait, left, [1, 2, 4, 5, 8, 9])
    np.testing.assert_allclose(found, [1, 5 / 6, 5 / 6, 5 / 12, 5 / 12, np.nan])


def test_it_sees_through_censoring_where_a_plain_share_does_not():
    # Geometric waits of mean 20, looked at for a random time: 4,000 queries, standard error below .01.
    rng = np.random.default_rng(7)
    true, window = rng.geometric(0.05, 4000), rng.integers(1, 60, 4000)
    wait, left = np.minimum(true, window), true <= window
    (found,) = kaplan_meier(wait, left, [20])
    assert found == pytest.approx(0.95**20, abs=0.04)
    assert np.mean(wait[left] > 20) < 0.95**20 - 0.1


def test_waits_of_a_run_end_with_it():
    run = play(
        Task(Cell(1, 0.0, 0.9), "RANDOM", 3, 80, 40, LearnerSettings()), tiny.table()
    ).trajectory
    wait, left = waits(run)
    assert left.sum() == (run.pick >= 0).sum()
    assert (~left).sum() == run.queue[-1]
    assert (wait[left] >= 1).all()
    # A query is counted in the queue after each round from its arrival on until it departs.
    assert wait.sum() + (~left).sum() == run.queue[1:].sum()


def test_a_comparison_has_results_and_waits_of_every_run(monkeypatch):
    table = tiny.table()
    monkeypatch.setattr(data, "load", lambda name: table)
    monkeypatch.setattr(data, "identity", lambda name: "tiny")
    how = {"cells": (Cell(1, 0.0, 0.4),), "T": 60, "pool_size": 40, "checkpoints": 3}
    study = comparison("tiny", policies=("RANDOM", "CYCLE"), seeds=(1, 2), **how)
    rows = study.rows(keep=False)
    tidy, waiting = study.derive(rows), waiting_table(rows)
    assert list(tidy.columns) == COLUMNS
    assert len(tidy) == 2 * 2 * 3  # the oracle is run and not reported
    assert len(waiting) == 3 * 2 * len(WAITS)
    falling = waiting.groupby(["policy", "seed"])["longer"]
    assert falling.apply(lambda longer: (longer.diff().dropna() <= 0).all()).all()
    # A policy more is a task more for each seed, and no other.
    wider = comparison("tiny", policies=("RANDOM", "TS-memory", "CYCLE"), seeds=(1, 2), **how)
    assert len(set(wider.keys("tiny")) - set(study.keys("tiny"))) == 2
    assert set(study.keys("tiny")) < set(wider.keys("tiny"))


def test_every_report_is_derived_from_the_stored_tables():
    summary = REPORTS["beyond_summary.csv"]()
    assert summary.groupby(["K", "lam", "arrival_rate"]).size().to_list() == [15, 15]
    cells = REPORTS["beyond_cells.csv"]()
    assert len(cells) == 4 * 2
    assert cells["significant"].dtype == bool
