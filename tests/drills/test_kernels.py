"""Notebooks compared with their committed outputs again and again, and eight kernels at once."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = "00_start_here"
TIMES = int(os.environ.get("NBVAL", "20"))
KERNELS = 8


@pytest.mark.parametrize("time", range(TIMES))
def test_a_notebook_compares_equal(time, tmp_path, record_property):
    options = ["--nbval", "--nbval-current-env", "--nbval-kernel-startup-timeout", "300"]
    options += ["--nbval-sanitize-with", "tests/nbval_sanitize.cfg", "-p", "no:cacheprovider", "-q"]
    command = [sys.executable, "-m", "pytest", *options, f"notebooks/{NOTEBOOK}.ipynb"]
    environment = {**os.environ, "CQB_FIGURES": str(tmp_path)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    record_property("outcome", "equal")


def test_eight_kernels(tmp_path, record_property):
    """All draw into one folder: no port is taken twice, and no figure or record is lost."""
    command = [sys.executable, "notebooks/execute.py", NOTEBOOK]
    environment = {**os.environ, "CQB_FIGURES": str(tmp_path)}
    how = {"cwd": ROOT, "env": environment, "text": True}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    started = [subprocess.Popen(command, **how, **pipes) for _ in range(KERNELS)]
    for process in started:
        said, errors = process.communicate(timeout=600)
        assert process.returncode == 0, errors
        assert f"{NOTEBOOK}: executed" in said
        record_property("outcome", "executed")
    drawn = {path.stem for path in tmp_path.glob("*.png")}
    assert drawn == set(json.loads((tmp_path / "manifest.json").read_text("utf-8")))
    assert (tmp_path / "notebooks" / f"{NOTEBOOK}.ipynb").is_file()
    assert not list(tmp_path.rglob("*.part"))
