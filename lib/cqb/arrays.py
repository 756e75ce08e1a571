"""Array namespaces: NumPy, CuPy or any that follows the array API standard.

Array code in this package takes its namespace from its inputs (:func:`namespace`), so that one code path
serves the CPU and the GPU. Only callers choose a library.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import array_api_compat
import numpy as np


def namespace(*arrays: Any) -> ModuleType:
    """The array namespace that the given arrays share (NumPy, CuPy, or any standard one)."""
    return array_api_compat.array_namespace(*arrays)


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
