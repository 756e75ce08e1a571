"""Where a result comes from: settings, packages, machine and commit.

A hash of the settings names a stored row; the rest is written down so that a reader knows how a result
was made.
"""

import contextlib
import dataclasses
import functools
import hashlib
import json
import os
import platform
import re
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import threadpoolctl

from .. import backend, paths
from .notebooks import check_injected

PACKAGES = ["numpy", "scipy", "numba", "pandas", "pyarrow", "matplotlib", "seaborn"]
PACKAGES += ["sentence-transformers"]
# Files that results depend on: a change in what was drawn from them does not make a tree dirty.
SOURCES = ("lib", "notebooks", "data/standin", "requirements.lock")


def digest(value: Any) -> str:
    """sha256 (hex) of a value made of dataclasses, dicts, sequences, strings and numbers.

    Fields of dataclasses that have their default are left out, so a field added later with a default
    changes no hash.
    """
    text = json.dumps(plain(value, defaults=False), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def plain(value: Any, defaults: bool = True) -> Any:
    """`value` with dataclasses as dicts, sequences as lists and NumPy scalars as numbers.

    Parameters
    ----------
    defaults : whether fields of dataclasses that have their default are part of it.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        if not defaults:
            usual = _defaults(type(value))
            fields = {name: item for name, item in fields.items() if item != usual[name]}
        return plain(fields, defaults)
    if isinstance(value, dict):
        return {str(key): plain(item, defaults) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, defaults) for item in value]
    return value.item() if isinstance(value, np.generic) else value


@functools.cache
def _defaults(kind: type) -> dict[str, Any]:
    """The default of each field of a dataclass; a marker that equals nothing where it has none."""
    return {
        f.name: f.default_factory() if callable(f.default_factory) else f.default
        for f in dataclasses.fields(kind)
    }


@functools.cache
def source_hash() -> str:
    """sha256 (hex) over the files of this project's packages, as they are installed.

    It distinguishes the code of two machines or two moments. No stored row depends on it.
    """
    library = Path(__file__).parents[2]
    digest_ = hashlib.sha256()
    for path in sorted(library.glob("cqb*/**/*.py")):
        digest_.update(f"{path.relative_to(library)}\n".encode() + path.read_bytes())
    return digest_.hexdigest()


def stamp(**about: Any) -> dict[str, Any]:
    """A record of now: time (UTC), versions, machine and commit, with `about` added to it.

    The record of a notebook (`about` names it) would hide a parameter that the notebook does not have,
    or a variable that nothing reads. So ValueError says so if papermill gave it such a parameter
    (:func:`.notebooks.check`), or if such a variable is set (:func:`cqb.paths.check_names`).
    """
    from .. import __version__
    from ..datasets import FETCHED

    if "notebook" in about:
        check_injected()
        paths.check_names(FETCHED)

    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "cqb": __version__,
        "python": platform.python_version(),
        "packages": packages(),
        "machine": machine(),
        "git": git_state(),
        **plain(about),
    }


def packages() -> dict[str, str]:
    """Versions of the packages that results rest on, those that are installed."""
    versions = {}
    for name in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions


def machine() -> dict[str, Any]:
    """System, processor, cores this process may use, memory in GiB, and the BLAS in use.

    Where the backend is CuPy, the card's name comes first. The machine's name is left out: it tells a
    reader nothing. Raises BackendError as :func:`cqb.backend.choose` does.
    """
    xp = backend.choose()
    card = {} if xp is np else {"gpu": backend.device_name(xp)}
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    blas = [library for library in threadpoolctl.threadpool_info() if library["user_api"] == "blas"]
    return {
        **card,
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": cores(),
        "memory_gib": round(memory, 1),
        "blas": sorted({_library(b) for b in blas}),
    }


def processor_kind(about: Mapping[str, Any] | None = None) -> tuple[str, ...]:
    """What decides the last digit of a sum: system, processor, and the kernels that BLAS chose for it.

    Parameters
    ----------
    about : the machine of a record (:func:`machine`); by default this one.
    """
    about = machine() if about is None else about
    kernels = sorted({library.split()[-1] for library in about["blas"]})
    return (about.get("gpu", ""), about["system"], about["processor"], *kernels)


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def git_state() -> dict[str, Any]:
    """The commit, and whether code or input data differ from it; None where there is no git."""
    commit = _git("rev-parse", "HEAD")
    changes = _git("status", "--porcelain", "--", *SOURCES)
    return {"commit": commit, "dirty": None if changes is None or commit is None else bool(changes)}


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=paths.root(), capture_output=True, text=True, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _processor() -> str:
    about = Path("/proc/cpuinfo")
    text = about.read_text(encoding="utf-8") if about.exists() else ""
    found = re.search(r"^model name\s*:\s*(.*?)\s*$", text, re.MULTILINE)
    return found[1] if found else platform.processor()


def _library(blas: dict[str, Any]) -> str:
    parts = (blas.get(field) for field in ("internal_api", "version", "architecture"))
    return " ".join(part for part in parts if part)
