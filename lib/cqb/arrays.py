"""NumPy or CuPy: choose a namespace, move arrays, describe the backend in use.

Array code in this package takes its namespace from its inputs (:func:`namespace`), so that one
code path serves the CPU and the GPU. Only callers at the edge choose a backend.
"""

from __future__ import annotations

import logging
import os
from functools import cache
from types import ModuleType
from typing import Any

import array_api_compat
import numpy as np

BACKENDS = ("auto", "numpy", "cupy")


class BackendError(RuntimeError):
    """The requested array backend cannot be used on this machine."""


def namespace(*arrays: Any) -> ModuleType:
    """The array namespace that the given arrays share (NumPy, CuPy, or any standard one)."""
    return array_api_compat.array_namespace(*arrays)


def backend(name: str | None = None) -> ModuleType:
    """The array module called `name`; by default that of ``CQB_BACKEND``, else ``auto``.

    ``auto`` is CuPy if a GPU answers and NumPy otherwise, and logs once why it took NumPy.

    Raises
    ------
    BackendError
        The name is unknown, or ``cupy`` was asked for and cannot be used here.
    """
    chosen = (name or os.environ.get("CQB_BACKEND") or "auto").lower()
    if chosen not in BACKENDS:
        raise BackendError(f"backend: found {chosen!r}, expected one of {', '.join(BACKENDS)}")
    if chosen == "numpy":
        return np
    if chosen == "cupy":
        return _cupy()
    return _automatic()


@cache
def _automatic() -> ModuleType:
    try:
        return _cupy()
    except BackendError as reason:
        logging.getLogger("cqb").warning("backend auto: using NumPy (%s)", reason)
        return np


def _cupy() -> ModuleType:
    try:
        import cupy
    except ImportError as error:
        raise BackendError(
            "backend cupy: CuPy is not installed (install the 'gpu' extra), or set "
            "CQB_BACKEND=numpy"
        ) from error
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        raise BackendError(
            f"backend cupy: no usable GPU ({error}); set CQB_BACKEND=numpy"
        ) from error
    if count == 0:
        raise BackendError("backend cupy: no GPU was found; set CQB_BACKEND=numpy")
    return cupy


def to_numpy(array: Any) -> np.ndarray:
    """A copy or view of `array` in host memory, as NumPy."""
    if hasattr(array, "get"):
        return array.get()
    if isinstance(array, np.ndarray | np.generic):
        return np.asarray(array)
    device = getattr(array_api_compat.array_namespace(array), "Device", None)
    return np.asarray(array.to_device(device("CPU_DEVICE")) if device else array)


def asarray(array: Any, like: Any) -> Any:
    """`array` (host NumPy) in the namespace, and on the device, of `like`."""
    xp = namespace(like)
    return xp.asarray(array, device=array_api_compat.device(like))


def describe(xp: ModuleType) -> str:
    """One line on the backend in use: library, version and, on a GPU, the card's name."""
    text = f"{xp.__name__.removeprefix('array_api_compat.')} {getattr(xp, '__version__', '')}"
    if "cupy" in xp.__name__:
        text += f" on {xp.cuda.runtime.getDeviceProperties(0)['name'].decode()}"
    return text.strip()
