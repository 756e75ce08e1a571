"""Summaries, paired differences, and stored tables that are used only while they hold."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import tiny
from cqb import experiment, paths
from cqb.environment import from_table
from cqb.experiment import results
from cqb.experiment.metrics import CELL, COLUMNS, KEYS, MEASURES
from cqb.experiment.results import StaleResultsWarning
from cqb.experiment.run_store import RunStore
from cqb.experiment.settings import EXPERIMENTS, ROUTERBENCH
from cqb.experiment.summary import SCHEMA_VERSION, SUMMARY_COLUMNS, paired, summarise, write_summary

TABLE = tiny.table()
STAND_IN = "routerbench-standin"


@pytest.fixture(scope="module")
def tidy(tmp_path_factory) -> pd.DataFrame:
    store = RunStore(tmp_path_factory.mktemp("runs"), TABLE)
    settings = tiny.SETTINGS.with_(seeds=(42, 43, 44))
    return experiment.sweep(settings, TABLE, store=store, workers=1)


# --- summaries -----------------------------------------------------------------------------------


def test_summary_has_a_row_per_cell_policy_and_round_in_order(tidy):
    summary = summarise(tidy)
    assert list(summary.columns) == SUMMARY_COLUMNS
    expected = tidy[tidy["seed"] == 42]
    keys = ["K", "lam", "policy", "t"]
    assert summary[keys].values.tolist() == expected[keys].values.tolist()
    assert (summary["seeds"] == 3).all()


def test_summary_has_the_columns_of_the_published_format():
    assert ", ".join(SUMMARY_COLUMNS) == (
        "dataset, stand_in, K, lam, arrival_rate, policy, seeds, t, "
        "regret_mean, regret_low, regret_high, gap_mean, gap_low, gap_high, "
        "queue_mean, repeat_share, seconds_per_run"
    )


def test_intervals_are_t_intervals_over_seeds(tidy):
    summary = summarise(tidy).set_index(["K", "policy", "t"])
    runs = tidy[(tidy["K"] == 2) & (tidy["policy"] == "ACQB") & (tidy["t"] == 200)]
    row = summary.loc[(2, "ACQB", 200)]
    for measure in ("regret", "gap"):
        values = runs[measure].to_numpy(float)
        low, high = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
        found = row[[f"{measure}_mean", f"{measure}_low", f"{measure}_high"]].tolist()
        assert found == pytest.approx([values.mean(), low, high])
    assert row["queue_mean"] == pytest.approx(runs["queue_mean"].mean())
    assert row["repeat_share"] == pytest.approx(runs["repeat_share"].mean())
    assert row["seconds_per_run"] == pytest.approx(runs["seconds"].mean())


def test_one_seed_has_a_mean_and_no_interval(tidy):
    summary = summarise(tidy[tidy["seed"] == 43])
    assert summary["regret_mean"].notna().all()
    assert summary[["regret_low", "regret_high", "gap_low", "gap_high"]].isna().all(axis=None)


def test_intervals_cover_at_their_rate():
    rng = np.random.default_rng(1)
    n, seeds, truth = 4000, 5, 3.0
    frame = pd.DataFrame(
        {
            **dict(zip(CELL, ("x", True, 1, 0.0, 0.5), strict=True)),
            "policy": "P",
            "seed": np.tile(np.arange(seeds), n),
            "t": np.repeat(np.arange(n), seeds),
            "regret": rng.normal(truth, 2.0, n * seeds),
            **dict.fromkeys(("gap", "queue_mean", "repeat_share", "seconds"), 1.0),
        }
    )
    summary = summarise(frame)
    covered = ((summary["regret_low"] <= truth) & (truth <= summary["regret_high"])).mean()
    assert abs(covered - 0.95) < 4 * math.sqrt(0.95 * 0.05 / n)


def test_paired_differences_are_those_of_the_same_seed(tidy):
    table = paired(tidy, against="RANDOM")
    assert table[["K", "policy"]].values.tolist() == [[1, "ACQB"], [1, "Q-UCB"], [2, "ACQB"]]
    final = tidy[(tidy["t"] == 200) & (tidy["K"] == 1)].set_index("seed")
    ours, base = (final[final["policy"] == name] for name in ("ACQB", "RANDOM"))
    for measure in ("regret", "gap"):
        difference = ours[measure] - base[measure]
        low, high = stats.ttest_rel(ours[measure], base[measure]).confidence_interval(0.95)
        found = table.loc[0, [f"{measure}_{part}" for part in ("difference", "low", "high")]]
        assert found.tolist() == pytest.approx([difference.mean(), low, high])
        assert table.loc[0, f"{measure}_lower_share"] == (difference < 0).mean()
    assert (table["seeds"] == 3).all()
    assert (table["t"] == 200).all()


def test_paired_differences_at_an_earlier_round_and_their_signs(tidy):
    one = paired(tidy, against="ACQB", t=86).set_index(["K", "policy"])
    other = paired(tidy, against="RANDOM", t=86).set_index(["K", "policy"])
    assert one.loc[(2, "RANDOM"), "regret_difference"] == pytest.approx(
        -other.loc[(2, "ACQB"), "regret_difference"]
    )


def test_paired_needs_its_policy_and_its_round(tidy):
    with pytest.raises(ValueError, match="no run of 'Q-UCB'"):
        paired(tidy, against="Q-UCB")  # which K = 2 does not have
    with pytest.raises(ValueError, match="t: found 87, expected one of the rounds"):
        paired(tidy, t=87)


def test_summary_file_holds_the_last_round_and_reads_back(tidy, tmp_path):
    path = tmp_path / "figures" / "summary.csv"
    write_summary(tidy, path, note="of a test")
    back = pd.read_csv(path)
    assert list(back.columns) == SUMMARY_COLUMNS
    assert back["stand_in"].dtype == bool
    assert set(back["t"]) == {200}
    wanted = summarise(tidy[tidy["t"] == 200]).reset_index(drop=True)
    pd.testing.assert_frame_equal(back, wanted, check_dtype=False, rtol=1e-5, atol=1e-9)
    assert path.read_text().splitlines()[1].startswith("Tiny stand-in,true,1,0,0.3,RANDOM,3,200,")
    record = json.loads(path.with_suffix(".json").read_text())
    assert record["schema_version"] == SCHEMA_VERSION
    assert record["note"] == "of a test"
    assert record["rows"] == len(back) == 5


def test_the_data_dictionary_tells_every_column():
    text = (paths.root() / "figures" / "summary.md").read_text("utf-8")
    assert f"Schema version {SCHEMA_VERSION}" in text
    for column in {*SUMMARY_COLUMNS, *COLUMNS}:
        assert f"| `{column}` |" in text, column


# --- stored tables -------------------------------------------------------------------------------

SETTINGS = tiny.SETTINGS.with_(seeds=(42, 43, 44))


def test_a_stored_table_comes_back_to_seven_digits(tidy, tmp_path):
    path = results.store(tidy, SETTINGS, TABLE, folder=tmp_path, minutes=1.5)
    back, record = results.load("tiny", tmp_path)
    pd.testing.assert_frame_equal(back, results.as_stored(tidy), check_exact=True)
    pd.testing.assert_frame_equal(back, tidy, rtol=1e-6)
    assert path == tmp_path / "tiny.parquet"
    assert record["runs"] == 3 * 5
    assert record["minutes"] == 1.5
    assert record["settings"]["T"] == 200
    assert record["dataset"] == "Tiny stand-in"


def use(settings, world, folder, capsys, monkeypatch, tidy) -> str:
    """Ask for results; what the sweep would be is replaced, and what is printed returned."""
    monkeypatch.setattr(experiment, "sweep", lambda *_, **__: tidy)
    found = results.results(settings, world, folder=folder)
    pd.testing.assert_frame_equal(found, results.as_stored(tidy), check_exact=True)
    return capsys.readouterr().out


def test_results_say_whether_they_were_stored(tidy, tmp_path, capsys, monkeypatch):
    def said(settings=SETTINGS, world=TABLE):
        return use(settings, world, tmp_path, capsys, monkeypatch, tidy)

    assert said() == "tiny: running 21 runs (no table is stored)\n"
    results.store(tidy, SETTINGS, TABLE, folder=tmp_path)
    assert said() == "tiny: 15 runs, from the stored table\n"
    other = "(the stored table is of other settings, data or code)\n"
    assert said(settings=SETTINGS.with_(T=100)).endswith(other)
    assert said(settings=SETTINGS.with_(seeds=(42, 43))).endswith(other)
    assert said(world=tiny.table(rows=201)).endswith(other)
    monkeypatch.setattr(results, "policy_code", lambda name: "other code")
    assert said().endswith(other)


@pytest.mark.parametrize("harm", ["bit", "half", "record", "format"])
def test_a_damaged_table_is_refused_and_made_again(tidy, tmp_path, capsys, monkeypatch, harm):
    path = results.store(tidy, SETTINGS, TABLE, folder=tmp_path)
    content = bytearray(path.read_bytes())
    if harm == "bit":
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    elif harm == "half":
        path.write_bytes(content[: len(content) // 2])
    else:
        path.with_suffix(".json").write_text("{" if harm == "record" else "{}")
    with pytest.raises(ValueError, match=r"tiny\.(parquet|json): "):
        results.load("tiny", tmp_path)
    with pytest.warns(StaleResultsWarning, match="its runs are made again"):
        said = use(SETTINGS, TABLE, tmp_path, capsys, monkeypatch, tidy)
    assert said.endswith("(the stored table is damaged)\n")


def test_a_table_that_cannot_be_written_leaves_nothing(tidy, tmp_path):
    (tmp_path / "results").write_text("a file where a folder should be")
    with pytest.raises(OSError, match="results"):
        results.store(tidy, SETTINGS, TABLE, folder=tmp_path / "results")
    assert [p.name for p in tmp_path.iterdir()] == ["results"]


# --- the tables committed with the code ----------------------------------------------------------


@pytest.fixture(scope="module")
def committed() -> tuple[pd.DataFrame, results.Record]:
    return results.load(STAND_IN)


@pytest.fixture(scope="module")
def stand_in():
    return experiment.load_table(STAND_IN)


@pytest.mark.parametrize("settings", EXPERIMENTS.values(), ids=EXPERIMENTS)
def test_the_committed_tables_are_of_this_code_data_and_settings(settings):
    table = experiment.load_table(settings.dataset)
    assert results.load(settings.dataset)[1]["key"] == results.key(settings, table), (
        "code or data behind data/results have changed: `make reproduce` writes the table anew"
    )


def test_the_committed_table_is_whole(committed):
    tidy, record = committed
    assert record["runs"] == sum(10 * len(ROUTERBENCH.policies_in(c)) for c in ROUTERBENCH.cells)
    assert len(tidy) == 50 * record["runs"]
    assert tidy["stand_in"].all()
    assert set(tidy["t"]) == set(range(100, 5001, 100))
    assert not tidy.duplicated(KEYS).any()
    sizes = [path.stat().st_size for path in (paths.data_dir() / "results").glob(f"{STAND_IN}.*")]
    assert sum(sizes) < 1.5e6


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["ORACLE", "ACQB", "Q-UCB", "Q-ThS", "RANDOM"])
def test_a_run_made_now_is_the_committed_one(committed, stand_in, policy):
    where = {"K": 1, "lam": 5.0, "arrival_rate": 0.5}
    now = experiment.run(stand_in, [policy], T=5000, seeds=[42], **where)
    then = committed[0].query(
        "policy == @policy and seed == 42 and K == 1 and lam == 5 and arrival_rate == 0.5"
    )
    columns = [column for column in [*KEYS, *MEASURES] if column != "seconds"]
    pd.testing.assert_frame_equal(
        now[columns], then[columns].reset_index(drop=True), rtol=1e-6, atol=1e-6
    )


def test_the_committed_summary_is_that_of_the_committed_tables(tmp_path):
    tables = [results.load(settings.dataset)[0] for settings in EXPERIMENTS.values()]
    write_summary(pd.concat(tables), tmp_path / "summary.csv")
    assert (tmp_path / "summary.csv").read_text() == (
        paths.root() / "figures" / "summary.csv"
    ).read_text()


def test_the_stand_in_can_carry_the_experiment(stand_in):
    """The oracle's capacity exceeds every arrival rate, so a queue can be kept short."""
    for cell in ROUTERBENCH.cells:
        assert from_table(stand_in, 42, cell.lam).capacity(cell.K) > cell.arrival_rate
