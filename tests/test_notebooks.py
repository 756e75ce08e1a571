"""The notebooks: their form, that they can be run with other parameters, and that they draw."""

import ast
import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import papermill
import pytest

from cqb.environment import draw
from cqb.figures.style import read_record
from cqb.policies import PolicyEntry, Service
from cqb.simulate import simulate
from cqb.streams import Streams
from cqb.study import notebooks
from cqb.toy import play, world

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "notebooks"
RUNNER = importlib.util.spec_from_file_location("execute", FOLDER / "execute.py")
runner = importlib.util.module_from_spec(RUNNER)
RUNNER.loader.exec_module(runner)
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
IDS = [path.stem for path in NOTEBOOKS]
MOST_LINES = 15
WHOLE_LEARNER = 25  # of the one cell tagged "acqb", which is to be read in one piece
TINY = {
    "00_start_here": {"ROUNDS": 6, "LONG": 20},
    "02_contrastive_refinement": {"EPOCHS": 2, "SEEDS": 2, "T": 60},
    "03_routerbench": {"DATA": "paretobandit", "SEEDS": 2, "T": 60},
    "04_strong_models": {"SEEDS": 2, "T": 60},
    "05_many_models": {"DATA": "paretobandit", "SEEDS": 2, "T": 60},
    "06_port_token_budgets": {"QUERIES": 120},
    "08_claims": {},
    "11_settings": {},
    "09_beyond_acqb": {"SEEDS": 2, "T": 60},
    "10_router": {"T": 60},
    "07_qos_edge_experts": {"REQUESTS": 40, "SEEDS": 2, "SMALL": 100, "RETRYING": 20},
}


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text("utf-8"))


def source(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


def code_cells(path: Path) -> list[dict[str, Any]]:
    return [cell for cell in read(path)["cells"] if cell["cell_type"] == "code"]


def printed(cell: dict[str, Any]) -> str:
    """All that a cell's outputs say in text."""
    texts = []
    for output in cell["outputs"]:
        texts.append("".join(output.get("text", [])))
        for kind, value in output.get("data", {}).items():
            if kind.startswith("text/"):
                texts.append("".join(value))
    return "\n".join(texts)


def figures_of(path: Path) -> list[str]:
    """The names under which a notebook saves its figures."""
    return [
        name
        for cell in code_cells(path)
        for name in re.findall(r'\bsave\(figure, "(\w+)"', source(cell))
    ]


def test_the_committed_notebooks_are_these():
    assert {"00_start_here", "03_routerbench"} <= set(IDS)
    assert all(re.fullmatch(r"\d\d_[a-z0-9_]+", name) for name in IDS)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=IDS)
def test_the_first_code_cell_holds_the_parameters(path):
    """One tagged cell, literals only, each with a comment that says what it is."""
    cells = code_cells(path)
    tagged = [cell for cell in cells if "parameters" in cell["metadata"].get("tags", [])]
    assert tagged == cells[:1]
    for line in source(cells[0]).splitlines():
        (statement,) = ast.parse(line).body
        assert isinstance(statement, ast.Assign), line
        ast.literal_eval(statement.value)
        assert "#" in line, f"not explained: {line}"


def test_routerbench_takes_exactly_these_parameters():
    (first, *_) = code_cells(FOLDER / "03_routerbench.ipynb")
    values = {
        statement.targets[0].id: ast.literal_eval(statement.value)
        for statement in ast.parse(source(first)).body
    }
    about = {"DATA": "routerbench", "SEEDS": 10, "T": 5000}
    assert values == {**about, "BACKEND": None, "FIGURES": ""}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=IDS)
def test_cells_are_short_and_define_nothing(path):
    for cell in code_cells(path):
        text = source(cell)
        tags = cell["metadata"].get("tags", [])
        assert len(text.splitlines()) <= (WHOLE_LEARNER if "acqb" in tags else MOST_LINES), text
        for node in ast.walk(ast.parse(text)):
            assert not isinstance(
                node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda
            ), text


@pytest.mark.parametrize("path", NOTEBOOKS, ids=IDS)
def test_a_third_of_the_cells_at_least_is_prose_and_the_first_is_the_title(path):
    cells = read(path)["cells"]
    prose = [cell for cell in cells if cell["cell_type"] == "markdown"]
    assert cells[0] == prose[0]
    assert source(cells[0]).startswith("# ")
    assert len(prose) >= len(cells) / 3


@pytest.mark.parametrize("path", NOTEBOOKS, ids=IDS)
def test_committed_outputs_are_clean(path):
    """Run in order in one go, no error, nothing on stderr, and nothing that nbval compares badly."""
    cells = code_cells(path)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    for cell in cells:
        for output in cell["outputs"]:
            assert output["output_type"] in {"stream", "display_data"}, source(cell)
            assert output.get("name", "stdout") == "stdout", printed(cell)
            assert set(output.get("data", {})) <= {"image/png", "text/html", "text/plain"}
        assert not re.search(r"\bobject at\b|np\.float|Traceback", printed(cell))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=IDS)
def test_no_path_of_one_machine_is_printed(path):
    said = "\n".join(printed(cell) for cell in code_cells(path))
    assert str(ROOT) not in said
    assert not re.search(r"(?<![\w.])/(?:\w+/)+\w", said)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=IDS)
def test_metadata_name_the_kernel_and_hold_nothing_that_changes(path):
    notebook = read(path)
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    assert set(notebook["metadata"]) <= {"kernelspec", "language_info"}
    assert set(notebook["metadata"]["language_info"]) == {"name"}
    for cell in notebook["cells"]:
        assert set(cell["metadata"]) <= {"tags"}


@pytest.mark.parametrize("name", ["03_routerbench", "04_strong_models", "05_many_models"])
def test_experiments_lead_with_real_rows_and_name_what_is_generated(name):
    path = FOLDER / f"{name}.ipynb"
    assert "(real rows)" in source(read(path)["cells"][0]).splitlines()[0]
    made_up = [text for text in map(printed, code_cells(path)) if "stand-in" in text]
    assert made_up or name == "05_many_models"
    assert all("(generated" in text for text in made_up)
    described = next(cell for cell in code_cells(path) if "facts.describe" in source(cell))
    assert "(real rows)" in printed(described)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=IDS)
def test_links_lead_somewhere(path):
    prose = "\n".join(source(c) for c in read(path)["cells"] if c["cell_type"] == "markdown")
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", prose)
    assert not [target for target in targets if not (FOLDER / target).exists()]


def test_the_index_lists_every_notebook():
    prose = "".join(source(cell) for cell in read(FOLDER / "00_start_here.ipynb")["cells"])
    assert not [path.name for path in NOTEBOOKS if f"]({path.name})" not in prose]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=IDS)
def test_every_figure_is_shown_and_has_its_files_and_record(path):
    names = figures_of(path)
    assert names
    assert len(set(names)) == len(names)
    outputs = [output for cell in code_cells(path) for output in cell["outputs"]]
    shown = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(shown) == len(names)
    for name in names:
        for kind in ("png", "pdf"):
            assert (ROOT / "figures" / f"{name}.{kind}").is_file()
        record = read_record(name, ROOT / "figures")
        assert record["notebook"] == path.stem
        assert {"parameters", "created", "packages", "machine", "git"} <= set(record)


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=IDS)
def test_papermill_runs_it_with_other_parameters(path, tmp_path, monkeypatch):
    """From its own folder, whatever the caller's, and everything goes where it was told to."""
    if path.stem not in TINY:
        pytest.skip("no tiny parameters are named for it")
    monkeypatch.chdir(tmp_path)
    output, drawn = tmp_path / "executed.ipynb", tmp_path / "drawn"
    parameters = {**TINY[path.stem], "FIGURES": str(drawn)}
    monkeypatch.setenv("CQB_RUNS", str(tmp_path / "runs"))
    runner.execute(path, output, parameters)
    wanted = {f"{name}.{kind}" for name in figures_of(path) for kind in ("png", "pdf")}
    there = {file.name for file in drawn.iterdir() if not file.name.startswith(".")}
    assert there == {*wanted, "manifest.json"}
    for cell in code_cells(output):
        noise = [out["text"] for out in cell["outputs"] if out.get("name") == "stderr"]
        # The first run of an installation says what it waits for.
        assert [said for said in noise if "compiles its inner loops" not in said[0]] == []
    for name in figures_of(path):
        record = read_record(name, drawn)
        assert TINY[path.stem].items() <= record["parameters"].items()
        assert str(tmp_path) not in json.dumps(record)


def test_the_policy_that_the_index_shows_can_be_run():
    prose = "".join(source(cell) for cell in read(FOLDER / "00_start_here.ipynb")["cells"])
    (example,) = re.findall(r"```python\n(.*?)```", prose, re.DOTALL)
    names: dict[str, Any] = {}
    exec(example, names)
    (entry,) = [value for value in names.values() if isinstance(value, PolicyEntry)]
    here, streams = world(), Streams(1)
    service = Service(here.contexts, here.n_models, 2, 30, 0.7)
    policy = entry.make(service, streams, here)
    run = simulate(here, policy, 2, draw(streams, here.pool_size, 0.7, 30))
    assert (run.pick >= 0).any()


def tagged(path: Path, tag: str) -> str:
    """The source of a notebook's one cell with that tag."""
    (cell,) = (c for c in code_cells(path) if tag in c["metadata"].get("tags", []))
    return source(cell)


@pytest.mark.parametrize(("seed", "rate"), [(2, 0.7), (3, 0.9), (4, 0.4)])
def test_acqb_as_the_index_writes_it_takes_the_decisions_of_the_package(seed, rate):
    """The text of the very cells that a reader sees, on other seeds and loads than theirs."""
    path, T = FOLDER / "00_start_here.ipynb", 250
    imports = [
        source(cell) for cell in code_cells(path) if source(cell).startswith(("import ", "from "))
    ]
    names: dict[str, Any] = {"SEED": seed, "ARRIVAL_RATE": rate, "LONG": T}
    exec("\n".join([*imports, tagged(path, "acqb-world"), tagged(path, "acqb")]), names)
    package = play(seed=seed, T=T, K=1, arrival_rate=rate)
    run, arrived = package.trajectory, np.flatnonzero(names["draws"].arrives)
    served = np.flatnonzero(run.query >= 0)
    theirs = [(i + 1, arrived[run.query[i]], run.assortment[i, 0]) for i in served]
    assert names["decisions"] == theirs
    assert {bool(forced) for forced in run.forced[served]} == {True, False}
    np.testing.assert_allclose(names["theta"], package.theta, atol=1e-6)


def test_settling_keeps_what_is_said_and_drops_what_varies():
    pieces = [{"output_type": "stream", "name": "stdout", "text": text} for text in ("a\nb", "c\n")]
    picture = {"output_type": "display_data", "data": {"image/png": "x"}, "metadata": {}}
    cell = {
        "cell_type": "code",
        "source": "1",
        "execution_count": 1,
        "metadata": {"papermill": {"duration": 1}, "tags": ["papermill-x", "parameters"]},
        "outputs": [*pieces, picture, pieces[1]],
    }
    notebook = {"cells": [cell], "metadata": {"papermill": {"start_time": "now"}}, "nbformat": 4}
    after = runner.settled(notebook)
    (kept,) = after["cells"]
    assert kept["metadata"] == {"tags": ["parameters"]}
    assert kept["execution_count"] == 1
    texts = [output.get("text") for output in kept["outputs"]]
    assert texts == [["a\n", "bc\n"], None, ["c\n"]]
    assert "papermill" not in after["metadata"]
    assert runner.settled(after) == after


def test_a_widget_leaves_no_output_and_no_state():
    live = {"output_type": "execute_result", "data": {runner.LIVE: {"model_id": "x"}}}
    said = {"output_type": "stream", "name": "stdout", "text": "heard"}
    cells = [{"cell_type": "code", "outputs": [live, said]}, {"cell_type": "markdown"}]
    metadata = {"widgets": {"state": {}}, "kernelspec": {}}
    after = runner.without_widgets({"cells": cells, "metadata": metadata, "nbformat": 4})
    assert [cell.get("outputs") for cell in after["cells"]] == [[said], None]
    assert after["metadata"] == {"kernelspec": {}}


def test_the_sliders_are_shown_with_a_picture_for_readers_without_a_kernel():
    cells = code_cells(FOLDER / "00_start_here.ipynb")
    (place,) = (i for i, cell in enumerate(cells) if source(cell).startswith("sliders("))
    assert cells[place]["outputs"] == []
    assert "nbval-ignore-output" in cells[place]["metadata"]["tags"]
    assert "image/png" in cells[place - 1]["outputs"][0]["data"]


ORDER = list(zip(["", *IDS], IDS, [*IDS[1:], ""], strict=False))


@pytest.mark.parametrize(("before", "name", "after"), ORDER, ids=IDS)
def test_the_last_cell_leads_to_the_previous_and_the_next_notebook(before, name, after):
    last = source(read(FOLDER / f"{name}.ipynb")["cells"][-1])
    if before:
        assert f"Previous: [{before}]({before}.ipynb)" in last
    if after:
        assert f"Next: [{after}]({after}.ipynb)" in last


def write_notebook(path: Path, parameters: str, *cells: str) -> Path:
    """A notebook with a parameters cell and other cells."""
    first = nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]})
    notebook = nbformat.v4.new_notebook(cells=[first, *map(nbformat.v4.new_code_cell, cells)])
    notebook["metadata"] = {
        "kernelspec": {"name": "python3", "display_name": "", "language": "python"}
    }
    for number, cell in enumerate(notebook["cells"]):
        cell["id"] = f"cell-{number}"  # ids are random otherwise
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)
    return path


@pytest.fixture
def checkout(tmp_path, monkeypatch) -> Path:
    """A repository of its own, without data."""
    for name in (
        "CQB_DATA",
        "CQB_RUNS",
        "CQB_ROUTERBENCH_DIR",
        "CQB_SPROUT_DIR",
        "CQB_EMBEDLLM_DIR",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CQB_FIGURES", str(tmp_path / "figures"))
    monkeypatch.setenv("CQB_ROOT", str(tmp_path))
    return tmp_path


@pytest.mark.slow
def test_executed_copies_carry_the_outputs_and_the_sources_stay(checkout, capfd):
    write_notebook(checkout / "notebooks" / "00_first.ipynb", "x = 1", "print(x)")
    draw = '__import__("pathlib").Path("drawn.txt").write_text(f"{T}");'
    path = write_notebook(checkout / "notebooks" / "03_routerbench.ipynb", "T = 1", draw)
    before = path.read_bytes()
    assert runner.main([]) == 0
    assert path.read_bytes() == before
    copy = nbformat.read(checkout / "figures" / "notebooks" / "00_first.ipynb", as_version=4)
    assert copy.cells[1].outputs[0]["text"] == "1\n"
    assert (checkout / "notebooks" / "drawn.txt").read_text() == "1"
    said, noise = capfd.readouterr()  # of the kernels, too
    assert f"executed notebooks: {checkout / 'figures' / 'notebooks'}" in said
    # libzmq may say so, and abort, where a kernel that has finished its work closes its sockets.
    assert [line for line in noise.splitlines() if "signaler.cpp" not in line] == []


@pytest.mark.slow
def test_a_notebook_that_fails_is_an_error_and_leaves_no_copy(checkout, capsys):
    write_notebook(
        checkout / "notebooks" / "03_routerbench.ipynb", "x = 1", "raise KeyError('gone')"
    )
    assert runner.main([]) == 1
    err = capsys.readouterr().err
    assert "notebooks: 03_routerbench.ipynb, cell 2: KeyError: 'gone'" in err
    assert "\x1b" not in err
    assert not list((checkout / "figures" / "notebooks").iterdir())


@pytest.mark.slow
def test_a_kernel_that_dies_is_an_error_that_says_so(checkout, capsys):
    killed = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    write_notebook(checkout / "notebooks" / "03_routerbench.ipynb", "x = 1", killed)
    assert runner.main([]) == 1
    said = capsys.readouterr().err
    assert said.startswith("notebooks: 03_routerbench.ipynb: Kernel died")
    assert said.strip().endswith("(a kernel that runs out of memory is killed)")
    assert not list((checkout / "figures" / "notebooks").iterdir())


def test_a_parameter_that_a_notebook_lacks_is_named(tmp_path):
    with pytest.raises(runner.NotebookError, match="no such notebook"):
        runner.execute(tmp_path / "nothing.ipynb", tmp_path / "out.ipynb", {})
    path = write_notebook(tmp_path / "some.ipynb", "a = 1")
    runner.check_parameters(path, {"a": 2})
    with pytest.raises(runner.NotebookError, match=r"some.ipynb: no parameter b; .* has a$"):
        runner.check_parameters(path, {"b": 2})
    with pytest.raises(runner.NotebookError, match=r"parameter a: found '2', expected a whole"):
        runner.check_parameters(path, {"a": "2"})


KNOWN = 'SEEDS = 10  # of the runs\nLAM = 5.0  # weight\nDATA = ""  # its name'


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("SEED = 2", "no parameter SEED; the notebook's parameters cell has SEEDS, LAM, DATA"),
        ('SEEDS = "2"', "parameter SEEDS: found '2', expected a whole number"),
        ("SEEDS = 2.5", "parameter SEEDS: found 2.5, expected a whole number"),
        ("SEEDS = True", "parameter SEEDS: found True, expected a whole number"),
        ("LAM = None", "parameter LAM: found None, expected a number"),
        ("DATA = 2026", "parameter DATA: found 2026, expected text"),
        ('SEEDS = 3\nLAM = 1\nDATA = "sprout"', None),
    ],
)
def test_what_papermill_injects_must_be_parameters_of_the_notebook(given, message):
    cells = ["", KNOWN, f"{notebooks.INJECTED}{given}\n", "import cqb"]
    if message is None:
        notebooks.check_injected(cells)
    else:
        with pytest.raises(ValueError, match=message):
            notebooks.check_injected(cells)
    notebooks.check_injected(["", KNOWN, given, "import cqb"])  # a reader's own cell
    notebooks.check_injected()  # no kernel runs


@pytest.mark.slow
def test_a_misspelt_parameter_stops_a_reader_who_calls_papermill(checkout):
    stamp = 'from cqb.study.provenance import stamp\n_ = stamp(notebook="x", parameters={})'
    path = write_notebook(checkout / "some.ipynb", KNOWN, stamp)
    how = {"kernel_name": "python3", "progress_bar": False}
    papermill.execute_notebook(str(path), None, {"SEEDS": 2}, **how)
    with pytest.raises(papermill.PapermillExecutionError, match=r"no parameter SEED; .*has SEEDS"):
        papermill.execute_notebook(str(path), None, {"SEED": 2}, **how)


def test_a_notebook_that_does_not_exist_is_not_refreshed(capsys):
    assert runner.main(["--refresh", "99_nothing"]) == 1
    assert "no notebook 99_nothing" in capsys.readouterr().err
