"""Checks of settings: an error names the setting, what was found and what was expected."""

import math
from numbers import Real
from typing import Any

import numpy as np


def whole(name: str, value: Any, least: int = 0) -> int:
    """`value` as an int if it is a whole number (5000.0 is one, "1" and True are none).

    Raises ValueError if it is not, or if it is below `least`.
    """
    if not (_is_real(value) and value % 1 == 0 and value >= least):
        raise ValueError(f"{name}: found {shown(value)}, expected a whole number, at least {least}")
    return int(value)


def number(
    name: str,
    value: Any,
    low: float = 0.0,
    high: float = math.inf,
    expected: str = "a finite number, at least 0",
) -> float:
    """`value` as a float if it is a finite number from `low` to `high`, or ValueError."""
    if not (_is_real(value) and math.isfinite(value) and low <= value <= high):
        raise ValueError(f"{name}: found {shown(value)}, expected {expected}")
    return float(value)


def positive(name: str, value: Any) -> float:
    """`value` as a float if it is a finite number above 0, or ValueError."""
    return number(name, value, low=math.ulp(0.0), expected="a positive number")


def several(name: str, value: Any, expected: str) -> tuple[Any, ...]:
    """The values of an iterable; a single text or number counts as one of them, else ValueError."""
    if isinstance(value, str) or _is_real(value):
        return (value,)
    try:
        return tuple(value)
    except TypeError:
        raise ValueError(f"{name}: found {shown(value)}, expected {expected}") from None


def shown(value: Any) -> str:
    """How a message shows what it found: on one line, at most 80 characters."""
    text = " ".join(repr(value.item() if isinstance(value, np.generic) else value).split())
    return text if len(text) <= 80 else f"{text[:77]}..."


def _is_real(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)
