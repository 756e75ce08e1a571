"""The form of the repository: one version of everything, no trace of one machine, no loose ends."""

import json
import re
import shutil
import subprocess
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from nbval.plugin import get_sanitize_patterns
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
CORE = "core"
ALWAYS_INSTALLED = (CORE, "notebooks", "site", "test")
CI_SCRIPT = ".ci/run"
PAGES = (
    "README.md",
    "ARTIFACT.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "data/README.md",
    "figures/README.md",
)

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
ENVIRONMENT = yaml.safe_load((ROOT / "environment.yml").read_text("utf-8"))
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")


def lock_lines() -> list[str]:
    lines = (ROOT / "requirements.lock").read_text("utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def pins() -> dict[str, str]:
    names_versions = (line.split("==") for line in lock_lines())
    return {canonicalize_name(name): version for name, version in names_versions}


def direct_dependencies() -> list[tuple[str, Requirement]]:
    """Every (group, requirement) that pyproject.toml names; the group is an extra or the core."""
    groups = {CORE: PROJECT["dependencies"], **PROJECT["optional-dependencies"]}
    return [(group, Requirement(text)) for group, texts in groups.items() for text in texts]


DIRECT = direct_dependencies()
DIRECT_IDS = [f"{group}-{requirement.name}" for group, requirement in DIRECT]


def needs(requirement: Requirement) -> list[Requirement]:
    """What an installed package asks for on this platform, given the extras it is asked with."""
    asked = [Requirement(text) for text in metadata.requires(requirement.name) or ()]
    extras = requirement.extras or {""}
    return [
        need
        for need in asked
        if need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in extras)
    ]


def tracked_texts() -> dict[str, str]:
    """Path and text of every tracked text file; pictures inside notebooks are left out."""
    if not shutil.which("git"):
        pytest.skip("git is not installed")
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listing.returncode != 0:
        pytest.skip("not a git checkout")
    texts = {}
    for name in filter(None, listing.stdout.split("\0")):
        try:
            texts[name] = (ROOT / name).read_text("utf-8")
        except (UnicodeDecodeError, FileNotFoundError):
            continue
    if not texts:
        pytest.skip("nothing is tracked yet")
    return {name: without_pictures(name, text) for name, text in texts.items()}


def without_pictures(name: str, text: str) -> str:
    """The text, less the base64 of a notebook's pictures, in which any word may turn up."""
    if not name.endswith(".ipynb"):
        return text
    return re.sub(r'"(image/\w+|application/pdf)": "[^"]*"', "", text)


def places(pattern: str, texts: dict[str, str]) -> list[str]:
    """Every `path:line: match` of a regular expression, as a failure message can show it."""
    return [
        f"{name}:{number}: {match.group()}"
        for name, text in texts.items()
        for number, line in enumerate(text.splitlines(), start=1)
        for match in re.finditer(pattern, line)
    ]


# --- one version of everything ------------------------------------------------------------------


def test_lock_holds_only_exact_pins_each_once():
    lines = lock_lines()
    loose = [
        line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9A-Za-z.]*", line)
    ]
    assert not loose, f"not an exact pin: {loose}"
    assert len(pins()) == len(lines), "a package is pinned twice"


def test_lock_leaves_cuda_parts_to_torch():
    assert not [name for name in pins() if name.startswith("nvidia-")]


@pytest.mark.parametrize(("group", "requirement"), DIRECT, ids=DIRECT_IDS)
def test_direct_dependency_is_pinned_within_its_range(group, requirement):
    pin = pins().get(canonicalize_name(requirement.name))
    assert pin, f"{requirement.name} ({group}) is missing from requirements.lock"
    assert requirement.specifier.contains(pin), f"{requirement} does not allow the pin {pin}"


@pytest.mark.parametrize(("group", "requirement"), DIRECT, ids=DIRECT_IDS)
def test_installed_version_is_the_pinned_one(group, requirement):
    try:
        installed = Version(metadata.version(requirement.name))
    except metadata.PackageNotFoundError:
        assert group not in ALWAYS_INSTALLED, f"{requirement.name} ({group}) is not installed"
        pytest.skip(f"the extra {group} is not installed")
    assert installed.public == pins()[canonicalize_name(requirement.name)]


def pulled_in() -> set[str]:
    """The packages of the default environment, those that they ask for included."""
    waiting = [r for group, r in DIRECT if group in ALWAYS_INSTALLED]
    seen, names = set(), set()
    while waiting:
        requirement = waiting.pop()
        key = (canonicalize_name(requirement.name), frozenset(requirement.extras))
        if key not in seen:
            seen.add(key)
            names.add(key[0])
            waiting += needs(requirement)
    return names


def test_lock_holds_everything_the_environment_pulls_in():
    assert len(pulled_in()) > 100
    assert not pulled_in() - set(pins())


def test_pins_admit_the_first_release_of_the_oldest_python():
    """Debian's Python stays at 3.11.2 for years, and a pin that asks for 3.11.5 stops it there."""
    oldest = Version(PROJECT["requires-python"].removeprefix(">=") + ".0")
    installed = {canonicalize_name(d.name): d.metadata for d in metadata.distributions()}
    # An imported backport of importlib.metadata answers with messages of its own, which raise
    # KeyError where the standard library's give None: `get` is what both answer alike.
    asks = {
        name: installed[name].get("Requires-Python", "") for name in pins() if name in installed
    }
    assert len(asks) > 50
    refused = {name: ask for name, ask in asks.items() if oldest not in SpecifierSet(ask)}
    assert not refused


def test_hashes_are_those_of_the_lock_and_of_everything_the_environment_pulls_in():
    """One road with hashes: the same versions, each file verified, and only other systems add to it."""
    text = (ROOT / ".ci" / "hashes.txt").read_text("utf-8")
    entries = re.findall(r"^(\S+)==(\S+)(.*?)\\\n((?: +--hash=.*\n)+)", text, re.MULTILINE)
    assert len(entries) == len(re.findall("^[^ #]", text, re.MULTILINE))
    for name, version, marker, hashes in entries:
        assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", hashes), name
        if (pin := pins().get(canonicalize_name(name))) is None:
            assert re.search("sys_platform ==|os_name ==", marker), f"{name} is not in the lock"
        else:
            assert version == pin, name
    hashed = {canonicalize_name(name) for name, *_ in entries}
    assert pulled_in() <= hashed
    assert not hashed & {"torch", "cupy-cuda12x"}


def test_conda_installs_through_the_lock():
    pip_lines = next(
        entry["pip"] for entry in ENVIRONMENT["dependencies"] if isinstance(entry, dict)
    )
    assert pip_lines == ["-c requirements.lock", "-e .[notebooks,site,test]"]
    named = [entry for entry in ENVIRONMENT["dependencies"] if isinstance(entry, str)]
    assert sorted(re.split("[=<>]", entry)[0] for entry in named) == ["pip", "python"]


def test_make_installs_through_the_lock():
    installs = re.findall(r"^\t\$\(PIP\) .*$", MAKEFILE, re.MULTILINE)
    extras = (
        "notebooks,site,test",
        "encode,real",
        "index",
        "cluster",
        "serve",
        "peers",
        "rl",
        "gpu",
    )
    assert installs == [f"\t$(PIP) -e '.[{extra}]'" for extra in extras]
    assert re.search(r"^PIP +:= .* -c requirements\.lock$", MAKEFILE, re.MULTILINE)


def test_python_versions_agree():
    oldest = re.fullmatch(r">=(\d+)\.(\d+)", PROJECT["requires-python"]).groups()
    dotted = ".".join(oldest)
    assert f"python={dotted}" in ENVIRONMENT["dependencies"]
    assert f"CPython {dotted} " in (ROOT / "requirements.lock").read_text("utf-8")
    assert f"sys.version_info < ({', '.join(oldest)})" in MAKEFILE
    assert f"sys.version_info[:2] != ({', '.join(oldest)})" in MAKEFILE
    assert f"Python {dotted} or newer" in (ROOT / "README.md").read_text("utf-8")


def test_hosted_ci_runs_the_two_commands_on_every_python_that_is_named():
    job = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text("utf-8"))["jobs"]
    (job,) = job.values()
    assert [step["run"] for step in job["steps"] if "run" in step] == [
        "make reproduce",
        "make test",
    ]
    versions = job["strategy"]["matrix"]["python"]
    assert all(isinstance(version, str) for version in versions)
    named = [c.split(" :: ")[-1] for c in PROJECT["classifiers"] if "Python :: 3." in c]
    assert versions == named


def test_the_container_installs_by_hash_and_starts_with_the_first_look():
    recipe = (ROOT / ".ci" / "Containerfile").read_text("utf-8")
    assert re.search(r"pip install .*--require-hashes -r \.ci/hashes\.txt", recipe)
    assert re.search(r"pip install .*--no-deps --no-build-isolation -e \.", recipe)
    assert f"FROM python:{ENVIRONMENT['dependencies'][0].removeprefix('python=')}-" in recipe
    assert 'CMD ["make", "smoke"]' in recipe
    assert set(re.findall(r"\bmake ([a-z-]+)", recipe.partition("FROM")[0])) <= documented_targets()
    assert ".venv/.ready" in recipe
    assert re.search(r"^READY +:= \$\(VENV\)/\.ready$", MAKEFILE, re.MULTILINE)


# --- licence and citation ------------------------------------------------------------------------


def test_licence_is_the_whole_apache_text():
    text = (ROOT / "LICENSE").read_text("utf-8")
    assert re.search(r"Apache License\s+Version 2\.0, January 2004", text)
    assert all(f"\n   {section}. " in text for section in range(1, 10))
    assert "END OF TERMS AND CONDITIONS" in text


def test_citation_agrees_with_the_package():
    assert CITATION["cff-version"] == "1.2.0"
    assert str(CITATION["version"]) == PROJECT["version"]
    assert CITATION["license"] == PROJECT["license"]
    assert CITATION["message"]
    assert CITATION["title"]
    assert CITATION["authors"]


def test_installed_package_has_the_version_of_the_project():
    try:
        installed = metadata.version(PROJECT["name"])
    except metadata.PackageNotFoundError:
        pytest.skip("run from a source path, not installed")
    assert installed == PROJECT["version"]


def test_the_change_log_has_the_version_of_the_package():
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert f"\n## {PROJECT['version']} (" in text


def test_citation_prefers_the_paper():
    paper = CITATION["preferred-citation"]
    assert [author["family-names"] for author in paper["authors"]] == ["Bae", "Son", "Lee"]
    assert {"arXiv:2602.02061"} == {entry["value"] for entry in paper["identifiers"]}


# --- commands ------------------------------------------------------------------------------------


def documented_targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):.*## ", MAKEFILE, re.MULTILINE))


def test_every_phony_target_is_documented_and_help_is_the_default():
    phony = re.findall(r"^\.PHONY: ([a-z-]+)$", MAKEFILE, re.MULTILINE)
    assert sorted(phony) == sorted(documented_targets())
    assert phony[0] == "help"


@pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")
def test_make_alone_lists_every_command():
    listing = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    listed = set(re.findall(r"^  make ([a-z-]+) +\S", listing, re.MULTILINE))
    assert listed == documented_targets()


@pytest.mark.parametrize("page", [*PAGES, CI_SCRIPT])
def test_commands_named_in_the_pages_exist(page):
    text = (ROOT / page).read_text("utf-8")
    named = set(re.findall(r"(?:^ *|`|\.\.\. )make ([a-z-]+)", text, re.MULTILINE))
    assert named, f"{page} names no command"
    assert named <= documented_targets()


@pytest.mark.parametrize("page", PAGES)
def test_links_between_pages_lead_somewhere(page):
    text = (ROOT / page).read_text("utf-8")
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", text)
    missing = [target for target in targets if not (ROOT / page).parent.joinpath(target).exists()]
    assert not missing


# --- nothing of one machine, nothing unfinished --------------------------------------------------


def test_no_tracked_file_names_a_package_registry():
    hosts = [
        "py" + "pi.org",
        "python" + "hosted.org",
        "registry.npm" + "js.org",
        "ana" + "conda.org",
    ]
    found = places("|".join(map(re.escape, hosts)), tracked_texts())
    assert not found


def test_no_tracked_file_holds_a_path_of_one_machine():
    folders = ["wo" + "rk", "ro" + "ot", "tm" + "p", "ho" + "me", "Us" + "ers"]
    pattern = rf"(?<![\w.~:/)}}-])/(?:{'|'.join(folders)})/\w|file:" + "///"
    assert not places(pattern, tracked_texts())


def test_only_ci_looks_beside_the_checkout():
    texts = tracked_texts()
    texts.pop(CI_SCRIPT, None)
    assert not places(re.escape("../" + "shared"), texts)


def test_no_tracked_file_holds_an_unfinished_mark():
    marks = ["TO" + "DO", "FIX" + "ME", "X" * 3, "NotImplemented" + "Error"]
    assert not places(rf"\b(?:{'|'.join(marks)})\b", tracked_texts())


def test_committed_notebooks_are_executed_in_order():
    notebooks = {n: t for n, t in tracked_texts().items() if n.endswith(".ipynb")}
    for name in notebooks:
        cells = json.loads((ROOT / name).read_text("utf-8"))["cells"]
        counts = [cell["execution_count"] for cell in cells if cell["cell_type"] == "code"]
        assert counts == list(range(1, len(counts) + 1)), f"{name}: run it from the top"


def test_every_rule_of_the_notebook_comparison_is_read():
    # nbval passes over a rule whose replacement is empty, without a word.
    text = (ROOT / "tests" / "nbval_sanitize.cfg").read_text("utf-8")
    assert len(get_sanitize_patterns(text)) == text.count("regex:")


def test_missing_rows_change_no_compared_output():
    text = (ROOT / "tests" / "nbval_sanitize.cfg").read_text("utf-8")
    said = "bursts: 100 tasks, from the stored table"
    for pattern, replacement in get_sanitize_patterns(text):
        cleaned = re.sub(pattern, replacement, f"{said} (azure is not here: data not checked)")
        if cleaned == said:
            return
    pytest.fail("no rule takes the words about missing rows away")
