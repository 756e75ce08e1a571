"""Array namespaces: NumPy, CuPy or any that follows the array API standard.

Array code in this package takes its namespace from its inputs (:func:`namespace`), so that one code path
serves the CPU and the GPU. Only callers choose a library (:mod:`.backend`).
"""

from types import ModuleType
from typing import Any

import array_api_compat
import numpy as np

Array = Any  # of any library


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
    """`array` (host NumPy, or a list of such) in the namespace, and on the device, of `like`."""
    xp = namespace(like)
    return xp.asarray(np.asarray(array), device=array_api_compat.device(like))


def take(table: Any, rows: Any) -> Any:
    """``table[rows]``: (M, ...) and int (...) -> (..., ...)."""
    xp = namespace(table)
    found = xp.take(table, xp.reshape(rows, (-1,)), axis=0)
    return xp.reshape(found, (*rows.shape, *table.shape[1:]))


def put(table: Any, rows: Any, values: Any) -> None:
    """``table[rows] = values`` in place; `rows` (...) must ascend in the order of their elements."""
    xp = namespace(table)
    rows, values = xp.reshape(rows, (-1,)), xp.reshape(values, (-1, *table.shape[1:]))
    try:
        table[rows] = values
    except IndexError:
        # The standard knows assignment to a mask only; on a GPU that would wait for the host.
        places = xp.arange(table.shape[0], device=array_api_compat.device(table))
        table[xp.any(places[:, None] == rows, axis=1)] = values


def cholesky(matrices: Any, share: float) -> tuple[Any, Any]:
    """Lower factors of (..., n, n), and whether all can be trusted, a bool array (): one host answer.

    A factor is trusted if every squared pivot exceeds `share` of its diagonal. Where NumPy raises for a
    matrix that is not positive definite, CuPy leaves a bad pivot.
    """
    xp = namespace(matrices)
    try:
        lower = xp.linalg.cholesky(matrices)
    except np.linalg.LinAlgError:
        return matrices, xp.any(matrices != matrices)
    pivots = xp.linalg.diagonal(lower)
    bound = share * xp.linalg.diagonal(matrices)
    return lower, xp.all((pivots > 0.0) & (pivots * pivots > bound))
