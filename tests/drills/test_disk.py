"""A disk without room and a checkout that cannot be written to: named errors, nothing half written."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest

from cqb.figures import save
from cqb.files import write_arrays
from cqb.study import store
from tiny import full_disk
from tiny_study import study

ROOT = Path(__file__).resolve().parents[2]
NUMBERS = np.random.default_rng(0).normal(size=4000)


def figure():
    made, ax = plt.subplots()
    ax.plot(NUMBERS)
    return made


WRITERS = {
    "stored table": lambda folder: study().store(study().rows(keep=False), folder),
    "finished task": lambda folder: store.Parts("tiny").write("key", study().rows(keep=False)),
    "cache of vectors": lambda folder: write_arrays(folder / "cache.npz", {"vectors": NUMBERS}),
    "figure": lambda folder: save(figure(), "curve", {"notebook": "00"}, folder),
}


@pytest.mark.parametrize("what", WRITERS)
def test_a_full_disk(what, tmp_path, monkeypatch, record_property):
    monkeypatch.setenv("CQB_RUNS", str(tmp_path / "runs"))
    with full_disk(), pytest.raises(OSError, match=rf"File too large: '{tmp_path}/.+\.\w+'"):
        WRITERS[what](tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    WRITERS[what](tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()]
    record_property("outcome", "named error, then written")


FULL = "import tiny_study as t; s = t.study(seeds=range(400)); s.store(s.rows())"


def isolated(
    script: str, *arguments: str | Path, **environment: str
) -> subprocess.CompletedProcess:
    """A shell script with mounts of its own; the test is skipped where that is not allowed."""
    unshare = shutil.which("unshare")
    if not unshare or subprocess.run([unshare, "-m", "true"], capture_output=True).returncode:
        pytest.skip("mounts of one's own need unshare and root")
    command = [unshare, "-m", "bash", "-euc", script, "drill", *map(str, arguments)]
    everything = {**os.environ, **environment}
    return subprocess.run(command, env=everything, capture_output=True, text=True, timeout=300)


def test_a_full_disk_in_the_middle_of_a_study(tmp_path, record_property):
    """On a real file system of 200 kB: the tasks that fitted stay, and a larger disk ends the study."""
    script = f"""
    mount -t tmpfs -o size=200k drill "$1"
    {sys.executable} -c "{FULL}" || echo "status $?"
    find "$1" -name '*.part' | wc -l
    mount -o remount,size=20m "$1"
    {sys.executable} -c "{FULL}" && ls "$1/results"
    """
    paths = os.pathsep.join([str(ROOT / "tests"), *filter(None, sys.path)])
    where = {"CQB_DATA": str(tmp_path), "PYTHONPATH": paths}
    done = isolated(script, tmp_path, **where)
    assert done.returncode == 0, done.stderr
    assert "No space left on device: '" in done.stderr
    assert done.stdout.splitlines()[-4:-2] == ["0", "tiny: running 800 of 800 tasks"]
    assert done.stdout.splitlines()[-2:] == ["tiny.json", "tiny.parquet"]
    record_property("outcome", "named error, then resumed")


READ_ONLY = {
    "list": ("-m cqb list", 0, "paretobandit-short .* stored"),
    "verify": ("-m cqb verify facts-paretobandit", 0, "1 agree, 0 disagree"),
    "run": (
        "-m cqb run --fresh --workers 1 facts-paretobandit",
        1,
        r"cqb: cannot write \w+.parquet: the folder \S+ is not writable",
    ),
    "smoke": (
        "notebooks/smoke.py --rounds 20",
        1,
        r"smoke: cannot write regret.csv: the folder \S+ is not writable",
    ),
    "smoke elsewhere": ('notebooks/smoke.py --rounds 20 --to "$2"', 0, "smoke: passed"),
    "notebook elsewhere": ("notebooks/execute.py 00_start_here", 0, "00_start_here: executed"),
}


@pytest.mark.parametrize("what", READ_ONLY)
def test_a_read_only_checkout(what, tmp_path, record_property):
    command, status, said = READ_ONLY[what]
    script = f"""
    mount --bind "$1" "$1" && mount -o remount,ro,bind "$1"
    cd "$1"
    {sys.executable} {command}
    """
    home = {"HOME": str(tmp_path), "CQB_FIGURES": str(tmp_path / "figures")}
    if what == "smoke":
        home["CQB_FIGURES"] = str(ROOT / "figures")
    done = isolated(script, ROOT, tmp_path / "out", **home)
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    assert re.search(said, done.stdout + done.stderr), done.stdout + done.stderr
    record_property("outcome", "works" if status == 0 else "named error")
