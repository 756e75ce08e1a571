"""Checks of arguments: errors name the argument, what was found and what was expected."""

import numpy as np

Shape = tuple[int | None, ...]  # None allows an axis of any length


def numbers(
    name: str, values: np.ndarray, shape: Shape, low: float = -np.inf, high: float = np.inf
) -> np.ndarray:
    """`values` as float64 in C order, of this shape, finite and from low to high, or ValueError.

    One order in memory means one order of summation, so equal inputs give equal bits.
    """
    array = np.asarray(values, dtype=np.float64, order="C")
    if array.ndim != len(shape) or any(
        n not in (None, m) for n, m in zip(shape, array.shape, strict=True)
    ):
        wanted = ", ".join("any" if n is None else str(n) for n in shape)
        raise ValueError(f"{name}: found shape {array.shape}, expected ({wanted})")
    if not np.isfinite(array).all():
        place = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ValueError(f"{name}: found {array[place]} at {place}, expected finite numbers")
    if array.size and not low <= array.min() <= array.max() <= high:
        raise ValueError(
            f"{name}: found values from {array.min():g} to {array.max():g}, expected {low:g} to {high:g}"
        )
    return array


def budgets(values: np.ndarray, models: int | None = None) -> np.ndarray:
    """A copy of budgets (M,) in dollars, M at least 1, or ValueError."""
    array = numbers("budgets", values, (models,), 0.0).copy()
    if array.size == 0:
        raise ValueError("budgets: found none, expected one for each model")
    return array


def unit_rows(name: str, values: np.ndarray, shape: Shape) -> np.ndarray:
    """Vectors (n, D) as float32 rows of length 1; a zero row is a ValueError that names it."""
    array = numbers(name, values, shape)
    norms = np.sqrt(np.square(array).sum(axis=1))
    if norms.size and norms.min() == 0.0:
        raise ValueError(f"{name}: row {int(np.argmin(norms))} has norm 0 and no direction")
    return np.divide(array, norms[:, None]).astype(np.float32)
