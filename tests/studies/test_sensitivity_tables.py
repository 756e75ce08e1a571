"""Sensitivity: points change one setting, and tables and figures show what the runs hold."""

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from cqb.contrastive import RefinementSettings
from cqb.figures import sensitivity as plots
from cqb.policies import LearnerSettings
from cqb.studies import sensitivity
from cqb.studies.sensitivity import FACTORS
from cqb.tables import text

CELLS = ((0.0, 0.3), (5.0, 0.4))


@pytest.fixture(scope="module")
def runs() -> pd.DataFrame:
    """Made-up runs of three seeds in two cells at every value of every factor."""
    rng = np.random.default_rng(5)
    rows = [
        ("Tiny stand-in", True, name, value, lam, rate, seed, *(100 * rng.random(2)))
        for (name, factor), (lam, rate), seed in itertools.product(
            FACTORS.items(), CELLS, (1, 2, 3)
        )
        for value in factor.values
    ]
    names = [
        "dataset",
        "stand_in",
        "factor",
        "value",
        "lam",
        "arrival_rate",
        "seed",
        "regret",
        "gap",
    ]
    return pd.DataFrame(rows, columns=names)


def test_a_point_changes_one_setting_of_the_papers():
    for name, factor in FACTORS.items():
        for value in factor.values:
            point = sensitivity.point(name, value)
            plain = point.learner == LearnerSettings()
            if name == "load":
                assert (point.load, plain, point.refinement) == (value, True, None)
            elif factor.refined:
                assert plain
                assert (point.refinement == RefinementSettings()) == (value == factor.default)
            else:
                assert point.refinement is None
                assert plain == (value == factor.default)


def test_means_have_t_intervals_over_seeds(runs):
    found = sensitivity.means(runs, "lambda0").set_index(["lam", "value"])
    values = runs[(runs["factor"] == "lambda0") & (runs["lam"] == 0.0) & (runs["value"] == 0.25)]
    low, high = stats.ttest_1samp(values["regret"], 0.0).confidence_interval(0.95)
    row = found.loc[(0.0, 0.25)]
    assert row[["regret_mean", "regret_low", "regret_high"]].tolist() == pytest.approx(
        [values["regret"].mean(), low, high]
    )
    assert row["service"] == "lam = 0, arrival rate 0.3"


def test_differences_to_the_papers_value_are_paired(runs):
    rows = runs[(runs["factor"] == "lambda0") & (runs["lam"] == 0.0)]
    table = rows.pivot(index="seed", columns="value", values="regret")
    low, high = stats.ttest_rel(table[0.25], table[1.0]).confidence_interval(0.95)
    said = sensitivity.paired_difference(runs, "lambda0", (0.0, 0.3), 0.25)
    middle, half = (float(part) for part in said.split(" ± "))
    assert middle == pytest.approx((low + high) / 2, abs=0.5)
    assert half == pytest.approx((high - low) / 2, abs=0.5)
    assert sensitivity.paired_difference(runs, "lambda0", (0.0, 0.3), 1.0) == "-"


def test_the_table_names_the_best_value(runs):
    lines = text(sensitivity.best_table(runs), index=False).splitlines()
    assert len(lines) == 1 + 2 * (len(FACTORS) - 1)
    means = sensitivity.means(runs, "lambda0")
    best = means[means["lam"] == 0.0].nsmallest(1, "regret_mean")["value"].iloc[0]
    (line,) = [line for line in lines if "lambda0" in line and "lam = 0," in line]
    assert f" {best:g} " in line


@pytest.mark.parametrize("name", ["lambda0", "tau_pos", "load"])
def test_a_figure_has_a_line_per_service_and_marks_the_papers_value(runs, name):
    figure = plots.factor(runs, name)
    assert figure.get_suptitle().startswith("Tiny stand-in (generated data): ACQB")
    values = sorted(FACTORS[name].values)
    for ax in figure.axes:
        marked = [line.get_xdata()[0] for line in ax.lines if line.get_linestyle() == ":"]
        assert marked == ([] if name == "load" else [FACTORS[name].default])
        assert sum(list(line.get_xdata()) == values for line in ax.lines) == 2
    pale = [line for line in figure.axes[0].lines if line.get_alpha() == 0.25]
    assert len(pale) == (2 if name == "tau_pos" else 0)
