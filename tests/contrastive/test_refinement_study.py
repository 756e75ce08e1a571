"""Studies of raw and refined vectors: comparisons at equal length, paired by seed."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

sys.path.insert(0, str(Path(__file__).parents[1]))
import tiny
from cqb.contrastive import RefinementSettings
from cqb.contrastive.planted import Planted, planted_table
from cqb.environment import from_table
from cqb.experiments import Experiment, run_rows
from cqb.metrics import REFERENCE
from cqb.runs import Cell
from cqb.studies import refinement
from cqb.studies import refinement_comparison as comparison
from cqb.studies.refinement import STUDIES, WORLDS, Variant, raw
from cqb.study import store

SMALL = RefinementSettings(hidden=8, output=6, epochs=4, rows=50, negatives=20)
VARIANTS = {
    Variant(REFERENCE): 3,
    raw(): 3,
    raw(4.0): 3,
    Variant("refined", SMALL): 3,
    Variant("refined x4", SMALL, length=4.0): 2,
    Variant("informed", SMALL, informed=True): 2,
}
CELLS = (Cell(1, 0.0, 0.4), Cell(1, 5.0, 0.4))
STUDY = refinement.study("tiny-study", None, refinement.tasks(VARIANTS, CELLS, 80))


def _table(study, world):
    """The study's table, run on `world` without a store."""
    known = {key: refinement.run(task, world) for key, task in enumerate(study.tasks)}
    return study.derive(store.join(known, list(known)))


@pytest.fixture(scope="module")
def played():
    """The tiny study's runs and geometry."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(refinement, "POOL_SIZE", tiny.POOL)
        table = _table(STUDY, tiny.table())
    return refinement.runs(table), refinement.geometry(table)


def test_the_raw_variant_is_acqb_itself(played):
    runs, _ = played
    experiment = Experiment("tiny", CELLS, ("ACQB",), (42, 43, 44), T=80, pool_size=tiny.POOL)
    ordinary = experiment.table(
        pd.concat([run_rows(task, tiny.table(), count=25) for task in experiment.tasks()])
    )
    rows = runs[runs["policy"] == "raw"].reset_index(drop=True)
    rows = rows.sort_values(["lam", "seed", "t"], ignore_index=True)
    ordinary = ordinary.sort_values(["lam", "seed", "t"], ignore_index=True)
    for column in ("regret", "queue", "gap", "dollars", "t", "seed"):
        np.testing.assert_allclose(rows[column], ordinary[column], rtol=1e-6)


def test_every_variant_runs_on_its_seeds_and_on_no_others(played):
    runs, geometry = played
    for variant, seeds in VARIANTS.items():
        expected = set() if variant.name == REFERENCE else set(range(42, 42 + seeds))
        assert set(runs.loc[runs["policy"] == variant.name, "seed"]) == expected
        measured = expected if variant.has_geometry else set()
        assert set(geometry.loc[geometry["policy"] == variant.name, "seed"]) == measured
    assert geometry["steps"].notna().tolist() == (geometry["policy"] != "raw").tolist()


def test_variants_of_a_seed_differ_in_their_vectors_alone():
    table = tiny.table()
    world = from_table(table, 42, 5.0, tiny.POOL)
    seen = {v.name: refinement.given(v, table, 5.0, 42, world)[0] for v in VARIANTS}
    for name, environment in seen.items():
        assert environment.odds is world.odds
        assert environment.context_of is world.context_of
        length = 4.0 if name.endswith("x4") else 1.0
        np.testing.assert_allclose(np.linalg.norm(environment.contexts, axis=1), length, rtol=1e-6)
    np.testing.assert_allclose(seen["refined x4"].contexts, 4.0 * seen["refined"].contexts)
    assert not np.allclose(seen["informed"].contexts, seen["refined"].contexts)


def test_differences_are_paired_and_at_equal_length(played):
    runs, _ = played
    table = comparison.differences(STUDY, runs)
    assert len(table) == 2 * 3
    last = runs[(runs["t"] == 80) & (runs["lam"] == 5.0)].set_index(["policy", "seed"])["regret"]
    row = table[(table["policy"] == "refined x4") & (table["lam"] == 5.0)].iloc[0]
    base = last["raw x4"].loc[[42, 43]]
    gaps = last["refined x4"] - base
    assert (row["seeds"], row["against"]) == (2, "raw x4")
    assert row["difference"] == pytest.approx(gaps.mean())
    half = stats.t.ppf(0.975, 1) * gaps.std() / 2**0.5
    assert row["high"] - row["difference"] == pytest.approx(half)
    assert row["difference_share"] == pytest.approx(gaps.mean() / base.mean())
    published = comparison.differences(STUDY, runs, equal_length=False)
    row = published[(published["policy"] == "refined x4") & (published["lam"] == 5.0)].iloc[0]
    expected = (last["refined x4"] - last["raw"].loc[[42, 43]]).mean()
    assert row["difference"] == pytest.approx(expected)


def test_the_verdict_follows_from_the_interval():
    ends = ((-3, -1), (1, 2), (-1, 1))
    assert [comparison.verdict(*two) for two in ends] == ["better", "worse", "inconclusive"]


def test_the_texts_hold_every_variant(played):
    runs, geometry = played
    table = comparison.differences(STUDY, runs)
    assert (comparison.differences_table(table)["vectors"] == "refined x4").sum() == 2
    assert "of 6 comparisons" in comparison.tally(table)
    shown = comparison.geometry_table(geometry)
    assert shown["lam"].tolist() == sorted(shown["lam"], reverse=True)
    mean = geometry[(geometry["lam"] == 0.0) & (geometry["policy"] == "raw")]["agreement"].mean()
    raw = shown[shown["lam"] == "0"].loc["raw", "neighbours agree"]
    assert raw == f"{mean:.3f}"
    change = comparison.against_raw(geometry)
    rows = geometry[geometry["lam"] == 0.0].set_index(["policy", "seed"])["agreement"]
    expected = (rows["informed"] - rows["raw"].loc[[42, 43]]).mean()
    found = change[(change["policy"] == "informed") & (change["lam"] == 0.0)]["change"].iloc[0]
    assert found == pytest.approx(expected)


def test_a_planted_task_makes_its_own_table(monkeypatch):
    world = Planted(nuisance=3, size=1.0, rows=200)
    monkeypatch.setattr(refinement, "POOL_SIZE", tiny.POOL)
    (task,) = refinement.tasks({raw(): 1}, CELLS[:1], 30, (world,))
    rows = refinement.run(task, None)
    assert set(rows["dataset"]) == {world.name}
    assert rows["stand_in"].all()
    assert planted_table(world) is planted_table(replace(world))


def test_a_shortened_study_has_the_first_seeds():
    short = refinement.shortened(STUDY, 2, 40)
    assert {task.seed for task in short.tasks} == {42, 43}
    assert {task.T for task in short.tasks} == {40}
    assert refinement.shortened(STUDY, 3, 80).keys("") == STUDY.keys("")


def test_every_refined_variant_has_raw_vectors_of_its_length_to_be_compared_with():
    for study in STUDIES.values():
        seeds = {}
        for task in study.tasks:
            seeds.setdefault(task.variant.name, set()).add(task.seed)
        for variant in {task.variant for task in study.tasks}:
            assert seeds[variant.name] <= seeds[variant.against]
    assert len({world.name for world in WORLDS}) == len(WORLDS)
