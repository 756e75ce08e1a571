"""Execute the project's notebooks with papermill: whole and current, or a clear failure.

``python notebooks/execute.py [--refresh] [NAME ...]``

Executed copies go to ``figures/notebooks`` and figures to ``figures``. With ``--refresh`` the committed
notebooks themselves are replaced, without what differs between two equal runs (times, paths, versions).
"""

import argparse
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cqb import paths
from cqb.files import write_text
from cqb.study import notebooks

KERNEL = "python3"
QUIET = ["--IPKernelApp.log_level=50"]  # it warns of TCP, and of its own shut-down
PATIENCE = 300  # seconds for a kernel to start: on a slow disk, or beside many others
LIVE = "application/vnd.jupyter.widget-view+json"  # an output that is dead without its kernel
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class NotebookError(RuntimeError):
    """A notebook is missing, failed, or lacks a parameter that it should be given."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="of notebooks; by default all")
    parser.add_argument("--refresh", action="store_true", help="replace the committed notebooks")
    options = parser.parse_args(arguments)
    os.environ["CQB_FIGURES"] = str(paths.figures_dir())  # whatever folder a kernel works in
    folder = paths.root() / "notebooks"
    found = {path.stem: path for path in sorted(folder.glob("*.ipynb"))}
    if unknown := set(options.names) - set(found):
        print(f"no notebook {', '.join(sorted(unknown))} in {folder}", file=sys.stderr)
        return 1
    chosen = [path for name, path in found.items() if not options.names or name in options.names]
    try:
        for path in chosen:
            began = time.monotonic()
            (refresh if options.refresh else _copy)(path)
            print(f"{path.stem}: executed in {time.monotonic() - began:.0f} s", flush=True)
    except (NotebookError, OSError, ImportError) as error:
        print(f"notebooks: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nnotebooks: interrupted", file=sys.stderr)
        return 130
    if not options.refresh:
        print(f"figures: {paths.figures_dir()}\nexecuted notebooks: {_copies()}")
    return 0


def _copies() -> Path:
    return paths.figures_dir() / "notebooks"


def _copy(path: Path) -> None:
    execute(path, _copies() / path.name, {})


def execute(notebook: Path, output: Path, parameters: Mapping[str, Any]) -> None:
    """Run `notebook` in its own folder and write the executed copy to `output`.

    Parameters
    ----------
    parameters : values for names in the notebook's parameters cell.

    Raises
    ------
    NotebookError
        It has no such parameter (papermill would only warn) or one of another kind, a cell failed, or
        the kernel died; nothing is written.
    ImportError
        The extra `notebooks` is not installed.
    OSError
        `output` cannot be written.
    """
    papermill = _papermill()
    from jupyter_client.kernelspec import NoSuchKernel

    check_parameters(notebook, parameters)
    output.parent.mkdir(parents=True, exist_ok=True)
    # A failed run leaves its notebook behind, which must not be taken for a finished one.
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=".") as scratch:
        draft = Path(scratch) / output.name
        try:
            papermill.execute_notebook(
                str(notebook),
                str(draft),
                dict(parameters),
                kernel_name=KERNEL,
                cwd=str(notebook.parent),
                progress_bar=sys.stderr.isatty(),
                start_timeout=PATIENCE,
                extra_arguments=QUIET,
            )
        except papermill.PapermillExecutionError as error:
            trace = COLOURS.sub("", "\n".join(error.traceback))
            place = f"{notebook.name}, cell {error.exec_count}"
            raise NotebookError(f"{place}: {error.ename}: {error.evalue}\n{trace}") from error
        except NoSuchKernel as error:
            raise NotebookError(
                f"{notebook.name}: no Jupyter kernel {KERNEL}; `python -m ipykernel install "
                "--sys-prefix` adds it to this environment"
            ) from error
        except RuntimeError as error:  # of nbclient: the kernel died, or did not start in time
            raise NotebookError(
                f"{notebook.name}: {error} (a kernel that runs out of memory is killed)"
            ) from error
        whole = without_widgets(json.loads(draft.read_text("utf-8")))
        draft.write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n", "utf-8")
        os.replace(draft, output)


def without_widgets(notebook: dict[str, Any]) -> dict[str, Any]:
    """A notebook (nbformat 4) without outputs that only a running kernel brings to life."""
    cells = []
    for cell in notebook["cells"]:
        outputs = [o for o in cell.get("outputs", []) if LIVE not in o.get("data", {})]
        cells.append({**cell, "outputs": outputs} if "outputs" in cell else cell)
    metadata = {name: value for name, value in notebook["metadata"].items() if name != "widgets"}
    return {**notebook, "cells": cells, "metadata": metadata}


def check_parameters(notebook: Path, parameters: Mapping[str, Any]) -> None:
    """Raise NotebookError unless the notebook's parameters cell has every one of them, of that kind."""
    if not notebook.is_file():
        raise NotebookError(f"{notebook}: no such notebook")
    cells = json.loads(notebook.read_text("utf-8"))["cells"]
    known: dict[str, Any] = {}
    for cell in cells:
        if "parameters" in cell["metadata"].get("tags", []):
            known |= notebooks.assigned("".join(cell["source"]))
    try:
        notebooks.check(parameters, known)
    except ValueError as error:
        raise NotebookError(f"{notebook.name}: {error}") from error


def refresh(path: Path) -> None:
    """Execute one notebook and replace it by its settled copy; NotebookError leaves it as it was."""
    with tempfile.TemporaryDirectory(prefix="cqb-") as scratch:
        executed = Path(scratch) / path.name
        execute(path, executed, {})
        notebook = settled(json.loads(executed.read_text("utf-8")))
    write_text(path, json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n")


def settled(notebook: dict[str, Any]) -> dict[str, Any]:
    """An executed notebook (nbformat 4) without what differs between two equal runs of it.

    Text, tags, counts and outputs stay. Text that reached one stream in pieces, cut by chance, is put
    together.
    """
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    cells = []
    for cell in notebook["cells"]:
        tags = [t for t in cell["metadata"].get("tags", []) if not t.startswith("papermill")]
        clean = {**cell, "metadata": {"tags": tags} if tags else {}}
        if cell["cell_type"] == "code":
            clean["outputs"] = _joined(cell["outputs"])
        cells.append(clean)
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return {**notebook, "cells": cells, "metadata": metadata}


def _joined(outputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Outputs with neighbouring pieces of one stream as one, its text as a list of lines."""
    joined: list[dict[str, Any]] = []
    for output in outputs:
        if output["output_type"] != "stream":
            joined.append(output)
            continue
        text = "".join(output["text"])
        if joined and joined[-1].get("name") == output["name"]:
            text = "".join(joined.pop()["text"]) + text
        joined.append({**output, "text": text.splitlines(keepends=True)})
    return joined


def _papermill() -> Any:
    try:
        import papermill
    except ImportError as error:
        raise ImportError(
            "executing notebooks needs papermill: install it with "
            f'`pip install "cqb[notebooks]"` ({error})'
        ) from error
    return papermill


if __name__ == "__main__":
    sys.exit(main())
