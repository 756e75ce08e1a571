"""Studies of raw and refined vectors: a fair comparison, resumed where it stopped, kept with a key."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

sys.path.insert(0, str(Path(__file__).parents[1]))
import tiny
from cqb import experiment
from cqb.contrastive import RefinementSettings, comparison, plots, studies, study, study_store
from cqb.contrastive.__main__ import main
from cqb.contrastive.arms import Arm, given
from cqb.contrastive.planted import Planted, planted_table
from cqb.environment import from_table
from cqb.experiment.task import Cell

SMALL = RefinementSettings(hidden=8, output=6, epochs=4, rows=50, negatives=20)
ARMS = (
    Arm("raw", "raw", 3),
    Arm("raw x4", "raw x4", 3, length=4.0),
    Arm("refined", "raw", 3, SMALL),
    Arm("refined x4", "raw x4", 2, SMALL.with_(scale=4.0)),
    Arm("informed", "raw", 2, SMALL, informed=True),
)
STUDY = study.Study("tiny-study", (Cell(1, 0.0, 0.4), Cell(1, 5.0, 0.4)), ARMS, T=80, pool_size=40)


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """The tiny study's tables, and the folder of its runs."""
    patch = pytest.MonkeyPatch()
    folder = tmp_path_factory.mktemp("runs")
    patch.setenv("CQB_RUNS", str(folder))
    tidy, geometry = study.run(STUDY, [tiny.table()])
    patch.undo()
    return tidy, geometry, folder


def test_the_raw_arm_is_acqb_itself(played):
    tidy, _, _ = played
    for cell in STUDY.cells:
        ordinary = experiment.run(
            tiny.table(),
            ["ACQB"],
            K=1,
            lam=cell.lam,
            arrival_rate=cell.arrival_rate,
            T=80,
            seeds=range(42, 45),
            pool_size=40,
            checkpoints=25,
        )
        rows = tidy[(tidy["policy"] == "raw") & (tidy["lam"] == cell.lam)]
        for column in ("regret", "queue", "gap", "dollars", "t", "seed"):
            np.testing.assert_allclose(rows[column], ordinary[column], rtol=1e-9)


def test_every_arm_runs_on_its_seeds_and_on_no_others(played):
    tidy, geometry, _ = played
    for arm in ARMS:
        for frame in (tidy, geometry) if arm.unit_length else (tidy,):
            rows = frame[frame["policy"] == arm.name]
            assert set(rows["seed"]) == set(range(42, 42 + arm.seeds))
    assert "refined x4" not in set(geometry["policy"])
    assert "ORACLE" not in set(tidy["policy"])


def test_arms_of_a_seed_differ_in_their_vectors_alone():
    table = tiny.table()
    world = from_table(table, 42, 5.0, 40)
    known = {}
    seen = {arm.name: given(arm, table, 5.0, 42, world, known)[0] for arm in ARMS}
    for name, environment in seen.items():
        assert environment.odds is world.odds
        assert environment.context_of is world.context_of
        length = 4.0 if name.endswith("x4") else 1.0
        np.testing.assert_allclose(np.linalg.norm(environment.contexts, axis=1), length, rtol=1e-6)
    np.testing.assert_allclose(seen["refined x4"].contexts, 4.0 * seen["refined"].contexts)
    assert len(known) == 1
    assert not np.allclose(seen["informed"].contexts, seen["refined"].contexts)


def test_finished_runs_are_found_again(played, monkeypatch):
    tidy, geometry, folder = played
    monkeypatch.setenv("CQB_RUNS", str(folder))
    monkeypatch.setattr(study, "play", None)
    again, shape = study.run(STUDY, [tiny.table()])
    assert again.equals(tidy)
    assert shape.equals(geometry)


def test_differences_are_paired_and_at_equal_length(played):
    tidy, _, _ = played
    table = comparison.differences(STUDY, tidy)
    assert len(table) == 2 * 3
    last = tidy[(tidy["t"] == 80) & (tidy["lam"] == 5.0)].set_index(["policy", "seed"])["regret"]
    row = table[(table["policy"] == "refined x4") & (table["lam"] == 5.0)].iloc[0]
    gaps = last["refined x4"] - last["raw x4"].loc[[42, 43]]
    assert row["seeds"] == 2
    assert row["against"] == "raw x4"
    assert row["difference"] == pytest.approx(gaps.mean())
    half = stats.t.ppf(0.975, 1) * gaps.std() / 2**0.5
    assert row["high"] - row["difference"] == pytest.approx(half)
    assert row["difference_share"] == pytest.approx(
        gaps.mean() / last["raw x4"].loc[[42, 43]].mean()
    )
    published = comparison.differences(STUDY, tidy, equal_length=False)
    row = published[(published["policy"] == "refined x4") & (published["lam"] == 5.0)].iloc[0]
    assert row["difference"] == pytest.approx(
        (last["refined x4"] - last["raw"].loc[[42, 43]]).mean()
    )


def test_the_words_follow_from_the_intervals():
    assert [comparison.verdict(*ends) for ends in ((-3, -1), (1, 2), (-1, 1))] == [
        "better",
        "worse",
        "not told apart",
    ]


def test_the_texts_hold_every_arm(played):
    tidy, geometry, _ = played
    table = comparison.differences(STUDY, tidy)
    text = comparison.differences_text(table)
    assert text.count("refined x4") == 2
    assert "of 6 comparisons" in comparison.tally(table)
    assert "one family" in comparison.geometry_text(geometry)
    change = comparison.against_raw(geometry)
    rows = geometry[geometry["lam"] == 0.0].set_index(["policy", "seed"])["agreement"]
    expected = (rows["informed"] - rows["raw"].loc[[42, 43]]).mean()
    found = change[(change["policy"] == "informed") & (change["lam"] == 0.0)]["change"].iloc[0]
    assert found == pytest.approx(expected)


def test_an_arm_needs_raw_vectors_to_stand_beside():
    with pytest.raises(ValueError, match="arm 'refined': found against = 'raw x4'"):
        STUDY.with_(arms=(ARMS[0], Arm("refined", "raw x4", 1, SMALL)))
    with pytest.raises(ValueError, match="at least 9 seeds"):
        STUDY.with_(arms=(ARMS[0], Arm("refined", "raw", 9, SMALL)))
    with pytest.raises(ValueError, match="'raw' is named twice"):
        STUDY.with_(arms=(ARMS[0], ARMS[0]))


def test_stored_results_hold_as_long_as_their_key(played, tmp_path, capsys, monkeypatch):
    tidy, geometry, folder = played
    tables = [tiny.table()]
    study_store.store(STUDY, tables, tidy, geometry, tmp_path)
    stored = study_store.results(STUDY, tables, tmp_path)
    assert stored.runs.equals(tidy)
    assert stored.geometry.equals(geometry)
    assert "tiny-study: 26 runs, from the stored table" in capsys.readouterr().out
    assert "settings and code unchanged" in study_store.standing(STUDY, stored.record)
    other = STUDY.with_(T=40)
    assert "made with other settings" in study_store.standing(other, stored.record)
    monkeypatch.setenv("CQB_RUNS", str(folder))
    short = study_store.results(other.on_seeds(1), tables, tmp_path)
    assert short.runs["t"].max() == 40
    assert (
        "running it (the stored results are of other settings or data)" in capsys.readouterr().out
    )


def test_results_of_other_code_are_called_so(played, tmp_path, capsys):
    tidy, geometry, _ = played
    path = study_store.store(STUDY, [tiny.table()], tidy, geometry, tmp_path)
    record = json.loads(path.read_text())
    record["key"]["code"] = "0" * 64
    path.write_text(json.dumps(record))
    assert study_store.results(STUDY, [tiny.table()], tmp_path).runs.equals(tidy)
    assert "26 runs, from the stored table (made with other code)" in capsys.readouterr().out


@pytest.mark.parametrize("part", study_store.PARTS)
def test_damaged_results_are_refused_by_name(played, tmp_path, part):
    tidy, geometry, _ = played
    study_store.store(STUDY, [tiny.table()], tidy, geometry, tmp_path)
    path = tmp_path / f"tiny-study-{part}.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"tiny-study-{part}.parquet: the content does not match"):
        study_store.load("tiny-study", tmp_path)
    (tmp_path / "tiny-study.json").write_text(json.dumps({"format": "other"}))
    with pytest.raises(ValueError, match="not of format"):
        study_store.load("tiny-study", tmp_path)
    (tmp_path / "tiny-study.json").write_text("{")
    with pytest.raises(ValueError, match="not readable as JSON"):
        study_store.load("tiny-study", tmp_path)


def test_a_change_in_the_code_of_the_learner_or_of_an_arm_changes_the_key(monkeypatch):
    tables = [tiny.table()]
    before = study_store.key(STUDY, tables)
    assert study_store.key(STUDY, [replace(tables[0], name="Other")])["data"] != before["data"]
    named = list(study_store.CODE)
    for module in named:
        monkeypatch.setattr(study_store, "CODE", [name for name in named if name != module])
        changed = study_store.key(STUDY, tables)["code"] != before["code"]
        # What another module on the list imports anyway is hashed all the same.
        assert changed or module in ("contrastive.rows",)


def test_the_stored_studies_name_worlds_that_exist():
    names = {world.name for world in studies.WORLDS}
    assert len(names) == len(studies.WORLDS)
    for chosen in (studies.ROUTERBENCH, studies.STAND_IN, studies.PLANTED):
        assert {arm.against for arm in chosen.arms} <= {arm.name for arm in chosen.arms}


def test_an_unknown_study_is_an_error(capsys):
    assert main(["nothing"]) == 1
    assert "no study nothing; known: standin, planted, routerbench" in capsys.readouterr().err


def test_every_figure_is_drawn_and_names_what_is_made_up(played, tmp_path, monkeypatch):
    tidy, geometry, _ = played
    monkeypatch.setenv("CQB_RUNS", str(tmp_path))
    table = comparison.differences(STUDY, tidy)
    rng = np.random.default_rng(0)
    shade, trained = rng.normal(size=20), np.arange(20) < 5
    worlds = [
        Planted(nuisance=q, size=size, rows=200, dimension=12) for q in (2, 5) for size in (1, 2)
    ]
    planted_study = STUDY.with_(cells=STUDY.cells[:1], arms=(ARMS[0], ARMS[2]), T=30).on_seeds(2)
    runs, shape = study.run(planted_study, [planted_table(world) for world in worlds])
    grid = comparison.differences(planted_study, runs)
    joined = grid.merge(comparison.against_raw(shape))
    figures = {
        "memorised": plots.memorised(geometry[:4], np.ones(5), "Tiny"),
        "maps": plots.maps({"raw": rng.normal(size=(20, 2))}, shade, trained, "Tiny"),
        "learning": plots.learning(tidy[tidy["lam"] == 5.0], {"refined": "raw"}, "Tiny"),
        "differences": plots.differences(table, "Tiny"),
        "planted": plots.planted(worlds, shape, grid),
        "diagnostic": plots.diagnostic({"planted (stand-ins)": joined}),
    }
    for name, figure in figures.items():
        figure.savefig(tmp_path / f"{name}.png")
    assert "stand-in" in figures["planted"].get_suptitle()
    (left, right) = figures["differences"].axes
    drawn = {line.get_xdata()[0] for line in left.lines if line.get_marker() == "o"}
    assert drawn == set(table.loc[table["lam"] == 5.0, "difference"])
    assert right.get_title("left").startswith("lam = 0")
