"""Executing the project's notebooks with papermill: whole and current, or a clear failure."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

KERNEL = "python3"
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class NotebookError(RuntimeError):
    """A notebook is missing, failed, or lacks a parameter that it should be given."""


def execute(
    notebook: Path, output: Path, parameters: Mapping[str, Any], environment: Mapping[str, str]
) -> None:
    """Run `notebook` in its own folder and write the executed copy to `output`.

    Parameters
    ----------
    parameters : values for names in the notebook's parameters cell.
    environment : variables that its kernel sees on top of this process's.

    Raises
    ------
    NotebookError
        It has no such parameter (papermill would only warn), or a cell failed; nothing is written.
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
        with _variables(environment):
            try:
                papermill.execute_notebook(
                    str(notebook),
                    str(draft),
                    dict(parameters),
                    kernel_name=KERNEL,
                    cwd=str(notebook.parent),
                    progress_bar=sys.stderr.isatty(),
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
        os.replace(draft, output)


def check_parameters(notebook: Path, parameters: Mapping[str, Any]) -> None:
    """Raise NotebookError unless the notebook's parameters cell holds every one of the names."""
    if not notebook.is_file():
        raise NotebookError(f"{notebook}: no such notebook")
    known = _papermill().inspect_notebook(str(notebook))
    for name in parameters:
        if name not in known:
            raise NotebookError(
                f"{notebook.name}: no parameter {name}; its parameters cell has "
                f"{', '.join(known) or 'none'}"
            )


def _papermill() -> Any:
    try:
        import papermill
    except ImportError as error:
        raise ImportError(
            "executing notebooks needs papermill: install it with "
            f'`pip install "cqb[notebooks]"` ({error})'
        ) from error
    return papermill


@contextlib.contextmanager
def _variables(environment: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(environment)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
