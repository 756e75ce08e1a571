import re

import pytest

from cqb import paths
from cqb.datasets import FETCHED
from cqb.study.cli import main
from cqb.study.provenance import stamp

SETS = ("CQB_ROUTERBENCH_DIR", "CQB_SPROUT_DIR", "CQB_EMBEDLLM_DIR")
NAMES = ("CQB_ROOT", "CQB_DATA", "CQB_FIGURES", "CQB_RUNS", *SETS)


@pytest.fixture(autouse=True)
def unset(monkeypatch):
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


def test_the_repository_is_found_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert (paths.root() / "lib" / "cqb" / "paths.py").is_file()
    assert paths.data_dir() == paths.root() / "data"
    assert paths.figures_dir() == paths.root() / "figures"
    assert paths.runs_dir() == paths.data_dir() / "runs"
    assert paths.cache_dir() == paths.data_dir() / "cache"
    assert paths.raw_dir() == paths.data_dir() / "raw"
    assert paths.dataset_dir("sprout") is None


def test_every_place_can_be_moved(tmp_path, monkeypatch):
    for name in NAMES:
        monkeypatch.setenv(name, str(tmp_path / name))
    assert paths.root() == tmp_path / "CQB_ROOT"
    assert paths.data_dir() == tmp_path / "CQB_DATA"
    assert paths.raw_dir() == tmp_path / "CQB_DATA" / "raw"
    assert paths.figures_dir() == tmp_path / "CQB_FIGURES"
    assert paths.runs_dir() == tmp_path / "CQB_RUNS"
    assert paths.dataset_dir("sprout") == tmp_path / "CQB_SPROUT_DIR"


def test_a_blank_name_counts_as_unset(monkeypatch):
    monkeypatch.setenv("CQB_DATA", " ")
    assert paths.data_dir() == paths.root() / "data"


def test_moving_the_data_moves_the_runs_with_it(tmp_path, monkeypatch):
    monkeypatch.setenv("CQB_DATA", str(tmp_path))
    assert paths.runs_dir() == tmp_path / "runs"


def test_an_installation_without_a_checkout_says_what_to_set(tmp_path, monkeypatch):
    elsewhere = tmp_path / "site-packages" / "cqb" / "paths.py"
    monkeypatch.setattr(paths, "__file__", str(elsewhere))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="set CQB_ROOT"):
        paths.root()
    checkout = tmp_path / "checkout"
    (checkout / "lib" / "cqb").mkdir(parents=True)
    (checkout / "lib" / "cqb" / "paths.py").touch()
    (checkout / "notebooks").mkdir()
    monkeypatch.chdir(checkout / "notebooks")
    assert paths.root() == checkout


@pytest.mark.parametrize("name", ["CQB_BACKENDS", "CQB_ROUTERBENCH_FOLDER"])
def test_a_variable_that_nothing_reads_is_an_error_and_not_ignored(name, monkeypatch, capsys):
    for known in ("CQB_DATA", "CQB_AZURE_DIR", "CQB_TEST_LOG"):
        monkeypatch.setenv(known, "somewhere")
    paths.check_names(FETCHED)
    monkeypatch.setenv(name, "cupy")
    said = f"{name} is set, but no such setting exists; they are CQB_ROOT, .*CQB_ROUTERBENCH_DIR"
    assert main(["list"]) == 1
    assert re.search(said, capsys.readouterr().err)
    with pytest.raises(ValueError, match=said):
        stamp(notebook="any")
