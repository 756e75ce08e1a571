"""The recipes of CONTRIBUTING.md, followed to the letter in a scratch copy."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"(?:^ +`([\w/.]+)`:\n\n)?^( *)```(\w*)\n(.*?)^\2```$", re.MULTILINE | re.DOTALL)
COPIED = (
    "lib",
    "tests/conftest.py",
    "tests/tiny.py",
    "data/paretobandit",
    "pyproject.toml",
)
HEAVY = "cqb.encoder"  # of a block that needs the sentence encoder


def recipe(title: str) -> list[tuple[str, str, str]]:
    """The blocks of a section in their order: the file that it is or "", its language, its text."""
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    section = text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    return [(file, kind, dedent(body)) for file, _, kind, body in BLOCK.findall(section)]


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """A scratch copy with the package, its committed rows, and no stored table."""
    if not shutil.which("git"):
        pytest.skip("git is not installed")
    folder = tmp_path_factory.mktemp("recipes")
    for name in COPIED:
        (folder / name).parent.mkdir(exist_ok=True)
        make = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        make(ROOT / name, folder / name)
    return folder


def follow(title: str, folder: Path) -> str:
    """Do all that a section says; returns what its commands and programs print."""
    said = []
    for file, kind, text in recipe(title):
        if file:
            (folder / file).write_text(text, "utf-8")
        elif kind == "diff":
            said.append(run(["git", "apply", "-"], folder, text))
        elif kind == "python" and HEAVY not in text:
            said.append(run([sys.executable, "-c", text], folder))
        elif not kind:
            said += [run(["bash", "-ec", line], folder) for line in text.splitlines()]
    return "\n".join(said)


def run(command: list[str], folder: Path, given: str = "") -> str:
    places = {"PYTHONPATH": str(folder / "lib"), "CQB_ROOT": str(folder)}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    own = {name: value for name, value in os.environ.items() if not name.startswith("CQB_")}
    about = {"cwd": folder, "env": {**own, **places, "PATH": path}, "input": given}
    done = subprocess.run(command, capture_output=True, text=True, **about)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.mark.slow
def test_the_recipes_work_as_they_are_written(copy):
    """One after the other, as a reader would: the study plays the policy."""
    said = follow("A policy", copy)
    assert "1 passed" in said
    assert re.search(r"^NEWEST +\d", said, re.MULTILINE)
    said = follow("A table", copy)
    assert "(200, 2)" in said
    said = follow("A study", copy)
    assert "newest: running 54 of 54 tasks" in said
    assert '"tasks": 54' in said
    assert "1 agree, 0 disagree" in said
    assert re.search(r"NEWEST +3 ", said)


def test_every_block_belongs_to_a_recipe():
    """A block that the pattern misses would not be tried."""
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    titles = ("A policy", "A table", "A study", "Before you send it")
    assert sum(len(recipe(title)) for title in titles) == text.count("```") / 2
    written = [file for title in titles for file, *_ in recipe(title) if file]
    assert written[:2] == ["lib/cqb/policies/newest.py", "tests/test_newest.py"]
