"""The first look: what it makes and says, and that it notices numbers that are not stored."""

import importlib.util
from pathlib import Path

import pandas as pd
import pytest

RUNNER = importlib.util.spec_from_file_location(
    "smoke", Path(__file__).resolve().parents[1] / "notebooks" / "smoke.py"
)
smoke = importlib.util.module_from_spec(RUNNER)
RUNNER.loader.exec_module(smoke)


def test_it_makes_a_figure_and_a_table_and_says_where(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(smoke, "cores", lambda: 1)
    assert smoke.main(["--rounds", "40", "--to", str(tmp_path)]) == 0
    *_, figure, table, check, last = capsys.readouterr().out.splitlines()
    assert figure == f"figure: {tmp_path / 'regret.png'}"
    assert table == f"table:  {tmp_path / 'regret.csv'}"
    assert check == "check:  not compared: other T"
    assert last.startswith("smoke: passed in ")
    assert pd.read_csv(tmp_path / "regret.csv")["policy"].tolist() == list(smoke.POLICIES)
    assert (tmp_path / "regret.png").stat().st_size > 10_000


@pytest.fixture
def stored():
    """The experiment, and its rows as if each run had given the stored ones."""
    whole = smoke.EXPERIMENTS[smoke.STUDY]
    short = whole.with_(cells=whole.cells[:1], policies=smoke.POLICIES)
    rows = smoke.STUDIES[smoke.STUDY].read().merge(pd.DataFrame([vars(c) for c in short.cells]))
    return short, rows[rows["policy"].isin(smoke.POLICIES)]


def test_the_stored_numbers_agree_and_others_do_not(stored):
    short, rows = stored
    assert smoke.compared(rows, short) == (
        True,
        "12 of 12 runs have the regret that is stored for paretobandit-short",
    )
    moved = rows.assign(
        regret=rows["regret"].where(rows["policy"] == "ACQB", 1.01 * rows["regret"])
    )
    assert smoke.compared(moved, short)[0] is False
    assert smoke.compared(rows.assign(seed=rows["seed"] + 1000), short)[0] is False


def test_an_error_is_one_line(tmp_path, capsys):
    assert smoke.main(["--rounds", "0"]) == 1
    assert capsys.readouterr().err == "smoke: T: found 0, expected a whole number, at least 1\n"
