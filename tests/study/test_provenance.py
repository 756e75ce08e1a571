"""Records of where a result comes from, and hashes that change exactly when it would."""

import dataclasses
import json
import platform
import shutil
import subprocess

import numpy as np
import pytest

from cqb.runs import Cell
from cqb.studies.experiments import ROUTERBENCH
from cqb.study import provenance

# --- settings ------------------------------------------------------------------------------------


def test_digest_sees_values_and_not_their_containers():
    cell = Cell(1, 0.0, 0.5)
    assert provenance.digest(cell) == provenance.digest({"arrival_rate": 0.5, "K": 1, "lam": 0.0})
    assert provenance.digest((1, np.int64(2))) == provenance.digest([1, 2])
    assert provenance.digest(cell) != provenance.digest(Cell(1, 0.0, 0.6))
    assert provenance.digest(ROUTERBENCH) != provenance.digest(ROUTERBENCH.with_(seeds=(1,)))


def test_a_field_with_its_default_counts_no_more_than_one_that_is_not_there():
    @dataclasses.dataclass(frozen=True)
    class Now:
        size: int
        colour: str = "red"
        tags: tuple[str, ...] = dataclasses.field(default_factory=tuple)

    assert provenance.digest(Now(3)) == provenance.digest({"size": 3})
    assert provenance.digest(Now(3, "blue")) == provenance.digest({"size": 3, "colour": "blue"})
    assert provenance.plain(Now(3)) == {"size": 3, "colour": "red", "tags": []}


def test_the_source_hash_is_that_of_the_files(tmp_path, monkeypatch):
    for name, text in {
        "cqb/a.py": "x = 1",
        "cqb_port/b.py": "y = 2",
        "other/c.py": "z = 3",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    here = tmp_path / "cqb" / "study" / "provenance.py"
    monkeypatch.setattr(provenance, "__file__", str(here))
    hash_now = provenance.source_hash.__wrapped__
    first = hash_now()
    (tmp_path / "other" / "c.py").write_text("changed")
    assert hash_now() == first
    (tmp_path / "cqb_port" / "b.py").write_text("changed")
    assert hash_now() != first


# --- records -------------------------------------------------------------------------------------


def test_a_stamp_is_json_and_tells_the_essentials():
    stamp = provenance.stamp(settings=ROUTERBENCH, seeds=np.int64(3))
    text = json.dumps(stamp)
    assert stamp["settings"]["T"] == 5000
    assert stamp["seeds"] == 3
    assert stamp["python"] == platform.python_version()
    assert stamp["packages"]["numpy"] == np.__version__
    assert stamp["machine"]["cores"] >= 1
    assert stamp["machine"]["memory_gib"] > 0
    assert stamp["machine"]["blas"]
    assert platform.node() not in text or len(platform.node()) < 3


@pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")
def test_git_state_is_the_commit_and_whether_the_sources_differ(tmp_path, monkeypatch):
    def git(*arguments):
        identity = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True)

    monkeypatch.setenv("CQB_ROOT", str(tmp_path))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert provenance.git_state() == {"commit": None, "dirty": None}
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "a.py").write_text("x = 1\n")
    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "first")
    state = provenance.git_state()
    assert len(state["commit"]) == 40
    assert state["dirty"] is False
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "drawn.png").write_text("new")
    assert provenance.git_state() == state
    (tmp_path / "lib" / "a.py").write_text("x = 2\n")
    assert provenance.git_state() == {**state, "dirty": True}
    # Git refuses a repository of another user ("dubious ownership").
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    assert provenance.git_state() == {"commit": None, "dirty": None}


def test_no_git_is_no_error(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert provenance.git_state() == {"commit": None, "dirty": None}
