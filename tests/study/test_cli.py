"""The command line, on a tiny study: what it lists, runs, verifies and shows, and its exit status."""

import re
from pathlib import Path

import pandas as pd
import pytest

import tiny_study
from cqb.figures.style import write_record
from cqb.study import cli, data
from cqb.study.cli import main
from tiny_study import study

TINY = study(default=True)


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """Folders of their own, one study and one report."""
    monkeypatch.setenv("CQB_DATA", str(tmp_path))
    monkeypatch.setenv("CQB_FIGURES", str(tmp_path / "figures"))
    monkeypatch.setattr(cli, "studies", lambda: {"tiny": TINY})
    report = {"tiny.csv": lambda: TINY.read().dropna()[["kind", "seed", "value"]]}
    monkeypatch.setattr(cli, "reports", lambda: report)
    return tmp_path


def test_list_says_what_is_stored(home, capsys):
    assert main(["list"]) == 0
    assert "6 tasks  not stored" in capsys.readouterr().out
    assert main(["run", "tiny", "--workers", "1"]) == 0
    assert main(["list"]) == 0
    assert "6 tasks  stored" in capsys.readouterr().out


def test_run_stores_the_table_and_derives_the_reports(home, capsys):
    assert main(["run", "--workers", "1"]) == 0
    assert "no table was stored to compare with" in capsys.readouterr().out
    assert len(pd.read_parquet(home / "results" / "tiny.parquet")) == 12
    assert len(pd.read_csv(home / "figures" / "tiny.csv")) == 6
    before = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    assert main(["run", "--workers", "1"]) == 0
    assert "every number agrees with the stored table" in capsys.readouterr().out
    assert {path: path.read_bytes() for path in home.rglob("*") if path.is_file()} == before


def test_verify_agrees_then_names_what_disagrees(home, capsys, monkeypatch):
    assert main(["run", "tiny", "--workers", "1"]) == 0
    capsys.readouterr()
    assert main(["verify", "--workers", "1"]) == 0
    assert "2 agree, 0 disagree, 0 could not be checked" in capsys.readouterr().out
    monkeypatch.setattr(tiny_study, "FACTOR", 5)
    assert main(["verify", "tiny", "--workers", "1"]) == 1
    out, err = capsys.readouterr()
    # Which seed the sample holds depends on the seconds that were measured.
    assert re.search(r"easy, seed (\d): value: found [\d.]+, stored is [\d.]+", out)
    assert err == "DISAGREES: tiny\n"
    assert main(["verify", "tiny", "--all", "--shard", "2/3", "--workers", "1"]) == 1
    assert "replayed 2 of 6, 2 DISAGREE" in capsys.readouterr().out


def test_show_prints_records_of_tables_and_figures(home, capsys):
    assert main(["run", "tiny", "--workers", "1"]) == 0
    write_record(home / "figures" / "real" / "curve", {"notebook": "03"})
    capsys.readouterr()
    assert main(["show", "tiny"]) == 0
    assert '"study": "tiny"' in capsys.readouterr().out
    assert main(["show", "real/curve"]) == 0
    assert '"notebook": "03"' in capsys.readouterr().out
    assert main(["show", "nothing"]) == 1
    assert "nothing: no stored table and no record in" in capsys.readouterr().err


def test_patterns_name_studies_and_missing_data_can_be_left_out(home, capsys, monkeypatch):
    far = study(name="tiny-far", data="far")
    monkeypatch.setattr(cli, "studies", lambda: {"tiny": TINY, "tiny-far": far})
    monkeypatch.setattr(data, "identity", lambda name: None if name else "")
    assert main(["run", "tiny*", "--here", "--workers", "1"]) == 0
    out = capsys.readouterr().out
    assert "tiny-far: left out, the data set far is not here" in out
    assert TINY.is_stored()
    assert main(["verify", "tiny*", "--workers", "1"]) == 0
    assert "1 agree, 0 disagree, 1 could not be checked" in capsys.readouterr().out


def test_errors_are_one_line_with_their_task(home, capsys, monkeypatch):
    assert main(["run", "nothing"]) == 1
    assert "no study nothing; `python -m cqb list` names them all" in capsys.readouterr().err
    broken = study(kinds=("broken",))
    monkeypatch.setattr(cli, "studies", lambda: {"tiny": broken})

    def fail(task, world):
        raise ValueError("utility is 1.0 everywhere")

    monkeypatch.setattr(cli, "studies", lambda: {"tiny": study(run=fail)})
    assert main(["run", "tiny", "--workers", "1"]) == 1
    assert capsys.readouterr().err.splitlines() == [
        "cqb: utility is 1.0 everywhere",
        "  in the task easy, seed 1",
    ]


def test_ctrl_c_says_how_to_continue(home, capsys, monkeypatch):
    def stop(task, world):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "studies", lambda: {"tiny": study(run=stop)})
    assert main(["run", "tiny", "--workers", "1"]) == 130
    assert "finished tasks are kept, run it again" in capsys.readouterr().err


def test_a_folder_of_data_can_be_named(home, monkeypatch, capsys):
    monkeypatch.setenv("CQB_ROUTERBENCH_DIR", "elsewhere")
    assert main(["list", "--data", "routerbench=here"]) == 0
    import os

    assert os.environ["CQB_ROUTERBENCH_DIR"] == "here"
    for given, message in {
        "routerbench": "expected SET=FOLDER",
        "routrbench=here": "found the set 'routrbench', expected one of routerbench, sprout",
    }.items():
        with pytest.raises(SystemExit):
            main(["list", "--data", given])
        assert message in capsys.readouterr().err


@pytest.mark.parametrize("found", ["1", "a/b", "1/", "-1/4"])
def test_a_shard_is_a_part_of_parts(found, capsys):
    with pytest.raises(SystemExit):
        main(["verify", f"--shard={found}"])
    assert f"found '{found}', expected I/N, for instance 1/4" in capsys.readouterr().err


def test_a_named_folder_without_the_files_is_an_error(home, monkeypatch):
    data.identity.cache_clear()
    monkeypatch.delenv("CQB_SPROUT_DIR", raising=False)
    assert data.identity("sprout") is None
    data.identity.cache_clear()
    monkeypatch.setenv("CQB_SPROUT_DIR", str(home / "misspelt"))
    with pytest.raises(FileNotFoundError, match=r"misspelt.*CQB_SPROUT_DIR names this place"):
        data.identity("sprout")
