"""A hash of the code that decides a result, blind to comments, docstrings and line breaks.

Stored runs carry it: a run is trusted as long as the modules behind it do what they did. The hash is
taken over syntax trees and is the same for every Python version.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parents[1]
NAME = PACKAGE.name
# What a file looks like on disk, or which policies are listed, changes no run.
NEUTRAL = frozenset({"", "files", "paths", "table_file", "policies"})


def code_hash(*modules: str) -> str:
    """sha256 (hex) over the code of `modules` and of all modules of the package they import.

    Modules are named within the package (``simulate``, ``policies.acqb``). Whatever is added
    anywhere in the chain of imports is found; no list has to be kept.

    Raises
    ------
    ValueError
        A module does not belong to the package.
    """
    found: dict[str, str] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name in found or name in NEUTRAL:
            continue
        found[name], imports = _read_module(name)
        waiting += imports
    listing = "\n".join(f"{name} {found[name]}" for name in sorted(found))
    return hashlib.sha256(listing.encode()).hexdigest()


def module_of(thing: Any) -> str:
    """The module that defines a function or class, named within the package.

    Raises
    ------
    ValueError
        It is defined elsewhere, so that its code cannot be told from later versions of it.
    """
    if not thing.__module__.startswith(f"{NAME}."):
        raise ValueError(
            f"{thing.__module__}.{thing.__qualname__} is defined outside {NAME}: its code is not "
            "hashed, so its runs cannot be stored"
        )
    return thing.__module__.removeprefix(f"{NAME}.")


def syntax_hash(source: str) -> str:
    """sha256 (hex) of a module's syntax tree without its docstrings."""
    return hashlib.sha256(_canonical(ast.parse(source)).encode()).hexdigest()


@cache
def _read_module(name: str) -> tuple[str, tuple[str, ...]]:
    """The hash of one module's code, and the modules of the package that it imports."""
    path = _file(name)
    if path is None:
        raise ValueError(f"module {name}: not in the package {NAME}")
    source = path.read_text(encoding="utf-8")
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    return syntax_hash(source), tuple(sorted(set(_imports(ast.parse(source), package))))


def _canonical(node: Any) -> str:
    """A tree as text. Empty fields are left out: which of them exist depends on the Python."""
    if isinstance(node, list):
        return f"[{','.join(map(_canonical, node))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = dict(ast.iter_fields(node))
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        fields["body"] = node.body[ast.get_docstring(node, clean=False) is not None :]
    kept = (
        f"{key}={_canonical(value)}" for key, value in fields.items() if value not in (None, [])
    )
    return f"{type(node).__name__}({','.join(kept)})"


def _imports(tree: ast.Module, package: str) -> Iterator[str]:
    """Modules of the package that the code imports, named within it."""
    for node in ast.walk(tree):
        candidates: list[str] = []
        if isinstance(node, ast.Import):
            candidates = [_within(alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = _base(node, package)
            if base is not None:
                candidates = [base, *(f"{base}.{alias.name}".lstrip(".") for alias in node.names)]
        yield from (name for name in candidates if name and _file(name) is not None)


def _base(node: ast.ImportFrom, package: str) -> str | None:
    """The module a ``from ... import`` starts at, named within the package; None if outside."""
    if node.level == 0:
        return _within(node.module or "")
    parts = package.split(".") if package else []
    above = parts[: len(parts) - (node.level - 1)]
    return ".".join([*above, *([node.module] if node.module else [])])


def _within(module: str) -> str | None:
    """A full module name, named within the package; None if it lies outside."""
    if module != NAME and not module.startswith(f"{NAME}."):
        return None
    return module[len(NAME) + 1 :]


def _file(name: str) -> Path | None:
    place = PACKAGE.joinpath(*name.split("."))
    for path in (place.with_suffix(".py"), place / "__init__.py"):
        if path.is_file():
            return path
    return None
