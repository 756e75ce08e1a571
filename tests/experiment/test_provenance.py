"""Records of where a result comes from, and hashes that change exactly when it would."""

from __future__ import annotations

import dataclasses
import json
import platform
import shutil
import subprocess

import numpy as np
import pytest

import tiny
from cqb.environment import from_table
from cqb.experiment import code_hash as code
from cqb.experiment import provenance
from cqb.experiment.settings import ROUTERBENCH
from cqb.experiment.task import Cell
from cqb.policies import POLICIES
from cqb.policies.acqb import acqb
from cqb.policies.oracle import Oracle

# --- code ----------------------------------------------------------------------------------------

PLAIN = '''
def rate(x: float, w: int = 3) -> str:
    """What it does."""
    return f"{x:>{w}.2f}" "a" if x else None


class Thing:
    """A thing."""

    size = 1
'''
SAME = '''"""A module."""
# A comment.
def rate(x: float,
         w: int = 3) -> str:
    return (f"{x:>{w}.2f}" 'a' if x else None)  # why
class Thing:
    size = 1
'''


def test_comments_docstrings_and_layout_do_not_count():
    assert code.syntax_hash(PLAIN) == code.syntax_hash(SAME)
    assert code.syntax_hash('"""Only words."""') == code.syntax_hash("")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("w: int = 3", "w: int = 4"),
        (">{w}", "<{w}"),
        ("size = 1", "size = 1.0"),
        ("None", "0"),
        ('"a"', '"b"'),
        ("x else", "w else"),
    ],
)
def test_code_counts(old, new):
    assert old in PLAIN
    assert code.syntax_hash(PLAIN) != code.syntax_hash(PLAIN.replace(old, new))


def test_a_later_string_is_code_and_not_a_docstring():
    assert code.syntax_hash("x = 1\n'y'") != code.syntax_hash("x = 1")


def test_the_hash_of_code_is_the_same_for_every_python():
    # ast.dump differs between versions; were this to change, stored results would seem stale.
    found = code.syntax_hash(PLAIN)
    assert found == "3d7cfbd45e9c52dfa109111333664af4d210b59b176e95df22ce0320906ac2f2"


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A small package in place of ours: a -> b -> c through three forms of import; d by itself."""
    files = {
        "__init__": "",
        "a": "from .b import f\nimport numpy\n",
        "b": "def f():\n    from . import c\n    return c\n",
        "c": "from demo.sub import e\nx = 1\n",
        "d": "x = 2\n",
        "files": "x = 3\n",
        "sub/__init__": "from . import e\n",
        "sub/e": "from .. import files\nfrom ..d import x\n",
    }
    folder = tmp_path / "demo"
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.py").write_text(text)
    monkeypatch.setattr(code, "PACKAGE", folder)
    monkeypatch.setattr(code, "NAME", "demo")
    code._read_module.cache_clear()
    yield folder
    code._read_module.cache_clear()


def changed_by(folder, name: str, *roots: str) -> bool:
    before = code.code_hash(*roots)
    path = folder / f"{name}.py"
    path.write_text(path.read_text() + "extra = 1\n")
    code._read_module.cache_clear()
    return code.code_hash(*roots) != before


@pytest.mark.parametrize("module", ["a", "b", "c", "sub/__init__", "sub/e", "d"])
def test_a_change_anywhere_in_the_chain_of_imports_counts(package, module):
    assert changed_by(package, module, "a")


@pytest.mark.parametrize("module", ["__init__", "files"])
def test_what_changes_no_run_does_not_count(package, module):
    assert not changed_by(package, module, "a")


def test_what_is_not_imported_does_not_count(package):
    assert not changed_by(package, "a", "b")


def test_a_module_outside_the_package_has_no_hash(package):
    with pytest.raises(ValueError, match="module nothing: not in the package demo"):
        code.code_hash("nothing")


def test_a_policy_is_found_by_the_module_that_defines_it():
    assert code.module_of(acqb) == "policies.acqb"
    assert code.module_of(Oracle) == "policies.oracle"
    with pytest.raises(ValueError, match=r"changed_by is defined outside cqb.*cannot be stored"):
        code.module_of(changed_by)


def test_every_policy_has_code_of_its_own():
    from cqb.experiment.run_store import policy_code

    assert policy_code("ACQB") == policy_code("ACQB-T")  # one module makes both
    assert len({policy_code(name) for name in ("ACQB", "ORACLE", "RANDOM", "Q-UCB")}) == 4
    assert all(len(policy_code(name)) == 64 for name in POLICIES)


@pytest.mark.parametrize(
    ("policy", "module"),
    [
        ("ACQB-CL", "contrastive.training"),
        ("INFORMED", "policies.offline"),
        ("ACQB-MW", "persistence.filter"),
        ("RANDOM", "environment"),
    ],
)
def test_the_key_covers_the_code_of_what_a_policy_is_given(policy, module, monkeypatch):
    from cqb.experiment.run_store import policy_code

    read, original = set(), code._read_module
    monkeypatch.setattr(code, "_read_module", lambda name: read.add(name) or original(name))
    policy_code.__wrapped__(policy)
    assert {module, "experiment.task", "policies.base"} <= read


# --- data and settings ---------------------------------------------------------------------------


def test_data_hash_tells_tables_and_environments_apart():
    table = tiny.table()
    other = dataclasses.replace(table, scores=np.minimum(table.scores, 0.9))
    one = from_table(table, 1, 0.0, tiny.POOL)
    moved = dataclasses.replace(one, odds=one.odds * (1 + 1e-12))
    found = [provenance.data_hash(world) for world in (table, other, one, moved)]
    assert len(set(found)) == 4
    assert provenance.data_hash(tiny.table()) == found[0]
    assert provenance.data_hash(from_table(table, 1, 0.0, tiny.POOL)) == found[2]


def test_digest_sees_values_and_not_their_containers():
    cell = Cell(1, 0.0, 0.5)
    assert provenance.digest(cell) == provenance.digest({"arrival_rate": 0.5, "K": 1, "lam": 0.0})
    assert provenance.digest((1, np.int64(2))) == provenance.digest([1, 2])
    assert provenance.digest(cell) != provenance.digest(Cell(1, 0.0, 0.6))
    assert provenance.digest(ROUTERBENCH) != provenance.digest(ROUTERBENCH.with_(seeds=(1,)))


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


def test_no_git_is_no_error(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert provenance.git_state() == {"commit": None, "dirty": None}
