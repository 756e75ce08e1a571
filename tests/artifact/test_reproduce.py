"""The way from data to figures, end to end on a tiny experiment, and how it fails."""

from __future__ import annotations

import tempfile
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest

import tiny
from cqb import experiment, paths
from cqb.artifact import reproduce
from cqb.artifact.notebooks import NotebookError, check_parameters, execute
from cqb.artifact.reproduce import compared, main
from cqb.experiment import fidelity, results

TABLE = tiny.table()
SETTINGS = tiny.SETTINGS.with_(policies=("RANDOM", "ACQB"), seeds=(42, 43), T=60)
PARAMETERS = 'DATA = "routerbench-standin"\nSEEDS = 10\nT = 5000\nFIGURES = ""'
DRAW = """
import os
from pathlib import Path
assert Path("03_routerbench.ipynb").exists(), "not in the notebook's folder"
(Path(FIGURES) / "drawn.txt").write_text(f"{DATA} {SEEDS} {T} {os.environ['CQB_RUNS']}")
"""


def write_notebook(path: Path, parameters: str, *cells: str) -> Path:
    first = nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]})
    rest = [nbformat.v4.new_code_cell(text) for text in cells]
    for number, cell in enumerate([first, *rest]):
        cell["id"] = f"cell-{number}"  # ids are random otherwise
    spec = {"name": "python3", "language": "python", "display_name": "Python 3"}
    notebook = nbformat.v4.new_notebook(cells=[first, *rest], metadata={"kernelspec": spec})
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)
    return path


@pytest.fixture
def checkout(tmp_path, monkeypatch) -> Path:
    """A checkout whose experiment is tiny and whose notebook only says what it was given."""
    sets = ("CQB_ROUTERBENCH_DIR", "CQB_SPROUT_DIR", "CQB_EMBEDLLM_DIR")
    for name in ("CQB_DATA", "CQB_RUNS", "CQB_FIGURES", *sets):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CQB_ROOT", str(tmp_path))
    monkeypatch.setattr(experiment, "load_table", lambda name: TABLE)
    monkeypatch.setattr(reproduce, "EXPERIMENTS", {"03_routerbench": SETTINGS})
    real = (paths.routerbench_dir, SETTINGS.with_(dataset="routerbench"))
    monkeypatch.setattr(reproduce, "REAL", {"03_routerbench": real})
    monkeypatch.setattr(reproduce, "SMOKE", {"seeds": (42,), "T": 50})
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    write_notebook(tmp_path / "notebooks" / "03_routerbench.ipynb", PARAMETERS, DRAW)
    return tmp_path


def files(folder: Path) -> set[str]:
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    return {name for name in found if not name.endswith(".npz")}


@pytest.mark.slow
def test_everything_is_written_and_told(checkout, capsys):
    write_notebook(checkout / "notebooks" / "00_first.ipynb", "x = 1", "print(x)")
    assert main(["--workers", "1"]) == 0
    assert files(checkout) == {
        "notebooks/00_first.ipynb",
        "notebooks/03_routerbench.ipynb",
        "data/results/tiny.parquet",
        "data/results/tiny.json",
        "data/results/tiny-views.parquet",
        "data/results/tiny-views.json",
        "figures/summary.csv",
        "figures/summary.json",
        "figures/claims.csv",
        "figures/claims.json",
        "figures/tiny_results.csv",
        "figures/tiny_results.json",
        "figures/drawn.txt",
        "figures/notebooks/00_first.ipynb",
        "figures/notebooks/03_routerbench.ipynb",
    }
    runs = checkout / "data" / "runs"
    assert (checkout / "figures" / "drawn.txt").read_text() == f"tiny 2 60 {runs}"
    stored, record = results.load("tiny")
    assert record["key"] == results.key(SETTINGS, TABLE)
    assert record["peak_memory_mib"]["main"] > 10
    assert len(stored) == 8 * 7
    assert len(pd.read_csv(checkout / "figures" / "summary.csv")) == 4
    said = pd.read_csv(checkout / "figures" / "claims.csv")
    expected = fidelity.claims(stored)
    assert len(said) > 0
    assert said["claim"].tolist() == expected["claim"].tolist()
    np.testing.assert_allclose(said["estimate"], expected["estimate"], rtol=1e-5)
    out, err = capsys.readouterr()
    assert err == ""
    for text in (
        "Tiny stand-in: 200 rows, 4 models",
        "make 12 runs of 60 rounds",
        "no table of these settings, data and code is stored to compare with",
        "execute 00_first.ipynb",
        f"figures and summary.csv: {checkout / 'figures'}\n",
    ):
        assert text in out
    # The committed notebooks stay as they are; the copies carry the outputs.
    source = nbformat.read(checkout / "notebooks" / "00_first.ipynb", as_version=4)
    copy = nbformat.read(checkout / "figures" / "notebooks" / "00_first.ipynb", as_version=4)
    assert source.cells[1].outputs == []
    assert copy.cells[1].outputs[0]["text"] == "1\n"


@pytest.mark.slow
def test_a_second_time_agrees_with_the_first(checkout, capsys):
    assert main(["--workers", "1"]) == 0
    first = (checkout / "figures" / "summary.csv").read_bytes()
    capsys.readouterr()
    assert main([]) == 0
    assert "every number agrees with the stored table" in capsys.readouterr().out
    assert (checkout / "figures" / "summary.csv").read_bytes() == first


@pytest.mark.slow
def test_real_rows_go_to_their_own_folder(checkout, monkeypatch):
    monkeypatch.setenv("CQB_ROUTERBENCH_DIR", str(checkout))
    write_notebook(checkout / "notebooks" / "00_first.ipynb", "x = 1", "1 / 0")
    assert main(["--workers", "1"]) == 0
    assert (checkout / "figures" / "real" / "drawn.txt").read_text().startswith("routerbench 2 60")
    assert (checkout / "figures" / "real" / "summary.csv").is_file()
    assert not (checkout / "figures" / "summary.csv").exists()
    assert results.load("routerbench")[1]["key"] == results.key(
        SETTINGS.with_(dataset="routerbench"), TABLE
    )


@pytest.mark.slow
def test_smoke_goes_the_same_way_and_leaves_the_checkout_alone(checkout):
    before = files(checkout)
    assert main(["--smoke", "--workers", "1"]) == 0
    (smoke,) = checkout.glob("cqb-smoke-*")
    made = {name for name in files(checkout) - before if not name.startswith(smoke.name)}
    assert not made
    assert not (checkout / "data").exists()
    assert not (checkout / "figures").exists()
    assert files(smoke) == {
        "results/tiny.parquet",
        "results/tiny.json",
        "results/tiny-views.parquet",
        "results/tiny-views.json",
        "figures/summary.csv",
        "figures/summary.json",
        "figures/claims.csv",
        "figures/claims.json",
        "figures/tiny_results.csv",
        "figures/tiny_results.json",
        "figures/drawn.txt",
        "figures/notebooks/03_routerbench.ipynb",
    }
    assert (smoke / "figures" / "drawn.txt").read_text() == f"tiny 1 50 {smoke / 'runs'}"


# --- failures ------------------------------------------------------------------------------------


def no_work(monkeypatch):
    def fail(*_, **__):
        raise AssertionError("work was begun")

    monkeypatch.setattr(experiment, "load_table", fail)
    monkeypatch.setattr(experiment, "sweep", fail)


@pytest.mark.parametrize("place", ["data/runs", "data/results", "figures", "figures/notebooks"])
def test_an_unwritable_folder_is_told_before_any_work(checkout, monkeypatch, capsys, place):
    no_work(monkeypatch)
    (checkout / place).parent.mkdir(parents=True, exist_ok=True)
    (checkout / place).write_text("a file where a folder should be")
    assert main([]) == 1
    assert f"reproduce: cannot write to {checkout / place}" in capsys.readouterr().err


def test_a_missing_notebook_is_told_before_any_work(checkout, monkeypatch, capsys):
    no_work(monkeypatch)
    (checkout / "notebooks" / "03_routerbench.ipynb").unlink()
    assert main([]) == 1
    assert "03_routerbench.ipynb: no such notebook" in capsys.readouterr().err


def test_a_parameter_that_the_notebook_lacks_is_told_before_any_work(checkout, monkeypatch, capsys):
    no_work(monkeypatch)
    write_notebook(
        checkout / "notebooks" / "03_routerbench.ipynb", PARAMETERS.replace("SEEDS", "SEED")
    )
    assert main([]) == 1
    expected = "03_routerbench.ipynb: no parameter SEEDS; its parameters cell has DATA, SEED, T"
    assert expected in capsys.readouterr().err


@pytest.mark.slow
def test_a_notebook_that_fails_is_told_and_leaves_no_copy(checkout, capsys):
    write_notebook(
        checkout / "notebooks" / "03_routerbench.ipynb", PARAMETERS, "raise KeyError('gone')"
    )
    assert main(["--workers", "1"]) == 1
    err = capsys.readouterr().err
    assert "reproduce: 03_routerbench.ipynb, cell 3: KeyError: 'gone'" in err
    assert "\x1b" not in err
    assert not files(checkout / "figures" / "notebooks")


def test_missing_data_are_told(checkout, monkeypatch, capsys):
    def fail(name):
        raise FileNotFoundError("somewhere: no such folder of RouterBench files")

    monkeypatch.setattr(experiment, "load_table", fail)
    assert main([]) == 1
    assert capsys.readouterr().err == "reproduce: somewhere: no such folder of RouterBench files\n"


def test_an_error_in_a_run_is_told_with_the_run(checkout, monkeypatch, capsys):
    def fail(*_, **__):
        error = ValueError("utility is 1.0 in every row and model")
        error.add_note("in the run of RANDOM, seed 42")
        raise error

    monkeypatch.setattr(experiment, "sweep", fail)
    assert main([]) == 1
    assert capsys.readouterr().err.endswith("model\n  in the run of RANDOM, seed 42\n")


def test_ctrl_c_says_how_to_go_on(checkout, monkeypatch, capsys):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(experiment, "sweep", stop)
    assert main([]) == 130
    assert "finished runs are kept" in capsys.readouterr().err
    assert not (checkout / "figures" / "summary.csv").exists()


def test_an_unknown_option_is_refused(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--smokes"])
    assert caught.value.code == 2
    assert "--smoke" in capsys.readouterr().err


def test_execute_needs_a_notebook(tmp_path):
    with pytest.raises(NotebookError, match="no such notebook"):
        execute(tmp_path / "nothing.ipynb", tmp_path / "out.ipynb", {}, {})
    path = write_notebook(tmp_path / "some.ipynb", "a = 1")
    check_parameters(path, {"a": 2})
    with pytest.raises(NotebookError, match=r"some.ipynb: no parameter b; .* has a$"):
        check_parameters(path, {"b": 2})


def test_compared_tells_how_far_tables_lie_apart():
    tidy = experiment.run(TABLE, ["RANDOM"], T=40, seeds=[1, 2], pool_size=tiny.POOL)
    assert compared(tidy, tidy.assign(seconds=9.0)) == "every number agrees with the stored table"
    apart = tidy.assign(regret=tidy["regret"] + 0.25)
    assert compared(tidy, apart) == (
        "differs from the stored table, in cumulative regret by up to 0.25 departures"
    )
    assert compared(tidy, None).startswith("no table of these settings")
