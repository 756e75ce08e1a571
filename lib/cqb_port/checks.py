"""Checks of arguments: errors name the argument, what was found and what was expected."""

from __future__ import annotations

import numpy as np


def matrix(
    name: str,
    values: np.ndarray,
    rows: int | None = None,
    low: float = -np.inf,
    high: float = np.inf,
) -> np.ndarray:
    """`values` as float64 in C order, with two axes and finite entries from low to high, or ValueError.

    One order in memory means one order of summation, so equal inputs give equal bits.
    """
    array = np.ascontiguousarray(values, dtype=np.float64)
    if array.ndim != 2 or (rows is not None and array.shape[0] != rows):
        wanted = f"({'M' if rows is None else rows}, queries)"
        raise ValueError(f"{name}: found shape {array.shape}, expected {wanted}")
    finite(name, array)
    if array.size and not low <= array.min() <= array.max() <= high:
        raise ValueError(
            f"{name}: found values from {array.min():g} to {array.max():g}, expected {low:g} to {high:g}"
        )
    return array


def scores(name: str, values: np.ndarray, rows: int | None = None) -> np.ndarray:
    """True scores: a matrix with entries in [0, 1]."""
    return matrix(name, values, rows, 0.0, 1.0)


def costs(name: str, values: np.ndarray, rows: int | None = None) -> np.ndarray:
    """True costs in dollars: a matrix with entries of at least 0."""
    return matrix(name, values, rows, 0.0)


def finite(name: str, array: np.ndarray) -> None:
    """ValueError at the first NaN or infinity, with its place."""
    if not np.isfinite(array).all():
        place = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ValueError(f"{name}: found {array[place]} at {place}, expected finite numbers")


def budgets(values: np.ndarray, models: int | None = None) -> np.ndarray:
    """Budgets (M,) in dollars, finite and at least 0."""
    array = np.array(values, dtype=np.float64)
    if array.ndim != 1 or array.size == 0 or (models is not None and array.size != models):
        wanted = "(M,)" if models is None else f"({models},)"
        raise ValueError(f"budgets: found shape {array.shape}, expected {wanted}")
    finite("budgets", array)
    if array.min() < 0.0:
        raise ValueError(f"budgets: found {array.min():g}, expected budgets of at least 0")
    return array


def same_shape(first: str, a: np.ndarray, second: str, b: np.ndarray) -> None:
    """ValueError unless both arrays have one shape."""
    if a.shape != b.shape:
        raise ValueError(f"{second}: found shape {b.shape}, expected that of {first}, {a.shape}")


def embeddings(name: str, values: np.ndarray, dimension: int | None = None) -> np.ndarray:
    """Vectors (n, D) as float32 rows of length 1; a zero row is a ValueError that names it."""
    array = np.asarray(values)
    if array.ndim != 2 or (dimension is not None and array.shape[1] != dimension):
        wanted = f"(n, {'D' if dimension is None else dimension})"
        raise ValueError(f"{name}: found shape {array.shape}, expected {wanted}")
    finite(name, array)
    norms = np.sqrt(np.square(array, dtype=np.float64).sum(axis=1))
    if norms.size and norms.min() == 0.0:
        raise ValueError(f"{name}: row {int(np.argmin(norms))} has norm 0 and no direction")
    return np.divide(array, norms[:, None]).astype(np.float32)
