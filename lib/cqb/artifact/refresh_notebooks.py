"""Execute the committed notebooks again, in place.

``python -m cqb.artifact.refresh_notebooks [NAME ...]``

They run with the parameters they hold, draw into the figures folder, and are written back without what
differs between two equal runs (times, paths, versions), so that a change in a notebook is one in what
it says. Do this, and commit notebooks and figures together, whenever code or text behind them changes.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import paths
from ..files import write_text
from .notebooks import execute


def main(arguments: Sequence[str] | None = None) -> int:
    """Refresh the notebooks named (all, if none is); returns the exit status."""
    names = sys.argv[1:] if arguments is None else arguments
    folder = paths.root() / "notebooks"
    found = sorted(folder.glob("*.ipynb"))
    if unknown := set(names) - {path.stem for path in found}:
        print(f"no notebook {', '.join(sorted(unknown))} in {folder}", file=sys.stderr)
        return 1
    for path in found:
        if not names or path.stem in names:
            refresh(path)
            print(path.name, flush=True)
    return 0


def refresh(path: Path) -> None:
    """Execute one notebook and replace it by its settled copy; NotebookError leaves it as it was."""
    with tempfile.TemporaryDirectory(prefix="cqb-") as scratch:
        executed = Path(scratch) / path.name
        execute(path, executed, {}, {})
        notebook = settled(json.loads(executed.read_text("utf-8")))
    write_text(path, json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n")


def settled(notebook: dict[str, Any]) -> dict[str, Any]:
    """An executed notebook (nbformat 4) without what differs between two equal runs of it.

    Kept are text, tags, counts and outputs. Text that reached the same stream in pieces, cut by chance,
    is put together.
    """
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    cells = []
    for cell in notebook["cells"]:
        kept = {**cell, "metadata": {"tags": tags} if (tags := _own_tags(cell)) else {}}
        if cell["cell_type"] == "code":
            kept["outputs"] = _joined(cell["outputs"])
        cells.append(kept)
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return {**notebook, "cells": cells, "metadata": metadata}


def _own_tags(cell: dict[str, Any]) -> list[str]:
    return [tag for tag in cell["metadata"].get("tags", []) if not tag.startswith("papermill")]


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


if __name__ == "__main__":
    sys.exit(main())
