"""Parameters that papermill gives to a notebook: their names and kinds are those of its parameters cell.

Papermill only warns of a name that the cell lacks, and the notebook runs on with the defaults.
"""

import ast
import contextlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from ..checks import shown

INJECTED = "# Parameters\n"  # how papermill begins the cell that it adds below the parameters cell
KINDS = {str: "text", int: "a whole number", float: "a number", list: "a list"}


def check(given: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    """Raise ValueError unless each given parameter is known, and of the kind of its default."""
    for name, value in given.items():
        if name not in known:
            raise ValueError(
                f"no parameter {name}; the notebook's parameters cell has {', '.join(known) or 'none'}"
            )
        kind = type(known[name])
        alike = {kind, int} if kind is float else {kind}
        if kind in KINDS and type(value) not in alike:
            raise ValueError(f"parameter {name}: found {shown(value)}, expected {KINDS[kind]}")


def check_injected(cells: Sequence[str] | None = None) -> None:
    """:func:`check` what papermill gave to the notebook that runs; elsewhere do nothing.

    Parameters
    ----------
    cells : sources of the cells that ran, in order; by default those of the running IPython kernel.
    """
    if cells is None:
        shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
        cells = [] if shell is None else shell.user_ns.get("In", [])
    last = max((n for n, cell in enumerate(cells) if cell.startswith(INJECTED)), default=0)
    if last > 0:
        check(assigned(cells[last]), assigned(cells[last - 1]))


def assigned(source: str) -> dict[str, Any]:
    """The names that a cell assigns, with their values; None for a value that is no literal."""
    found: dict[str, Any] = {}
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            found[statement.targets[0].id] = None
            with contextlib.suppress(ValueError):
                found[statement.targets[0].id] = ast.literal_eval(statement.value)
    return found
