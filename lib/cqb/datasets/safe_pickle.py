"""Read a pandas DataFrame from a pickle without letting the file run code.

A pickle is a program: it may name any importable function and call it. Here it may name only the
pairs in `ALLOWED`, which build plain pandas, NumPy and Arrow values; anything else is refused by
name before it is imported. Pickles of pandas 1.5 to 3 in protocols 4 and 5 are covered; the
published RouterBench table is one of protocol 5.
"""

from __future__ import annotations

import importlib
import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd


class UnsafePickleError(ValueError):
    """The pickle asks for something that a table of plain values never needs."""


# What a file may name, by module; NumPy 1 had "numpy.core" where NumPy 2 has "numpy._core".
_NUMPY = {"multiarray": ("_reconstruct", "scalar"), "numeric": ("_frombuffer",)}
_NAMES: dict[str, tuple[str, ...]] = {
    "builtins": ("bytearray", "slice"),
    "numpy": ("dtype", "ndarray"),
    **{f"numpy.{core}.{part}": _NUMPY[part] for core in ("core", "_core") for part in _NUMPY},
    "pandas": ("DataFrame", "Index", "NA", "RangeIndex", "StringDtype"),
    "pandas._libs.arrays": ("__pyx_unpickle_NDArrayBacked",),
    "pandas._libs.internals": ("_unpickle_block",),
    "pandas._libs.missing": ("NA",),
    "pandas.arrays": ("ArrowStringArray", "StringArray"),
    "pandas.core.arrays.string_": ("StringArray", "StringDtype"),
    "pandas.core.arrays.string_arrow": ("ArrowStringArray",),
    "pandas.core.frame": ("DataFrame",),
    "pandas.core.indexes.base": ("Index", "_new_Index"),
    "pandas.core.indexes.numeric": ("Int64Index",),
    "pandas.core.indexes.range": ("RangeIndex",),
    "pandas.core.internals.managers": ("BlockManager",),
    "pyarrow.lib": ("_restore_array", "py_buffer", "type_for_alias"),
}
ALLOWED = frozenset((module, name) for module, names in _NAMES.items() for name in names)


class AllowListUnpickler(pickle.Unpickler):
    """An unpickler that resolves the pairs of `ALLOWED` and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        """The object called `name` in `module`, or UnsafePickleError naming both."""
        pair = (module, name)
        if pair not in ALLOWED:
            raise UnsafePickleError(f"it asks for {module}.{name}, which is not on the allow-list")
        if pair in CHECKED:
            return CHECKED[pair]
        if pair == ("pandas.core.indexes.numeric", "Int64Index"):  # gone since pandas 2
            module, name = "pandas.core.indexes.base", "Index"
        return getattr(importlib.import_module(module.replace("numpy.core", "numpy._core")), name)


class _Array(np.ndarray):
    """An array that checks what a pickle fills it with: NumPy trusts a list of objects to be whole."""

    def __new__(cls, *arguments: Any, **named: Any) -> _Array:
        raise UnsafePickleError("it makes an array in a way that no table needs; refused")

    def __setstate__(self, state: Any) -> None:
        *_, shape, dtype, _, content = state
        if dtype.hasobject and (dtype != np.dtype(object) or len(content) != math.prod(shape)):
            raise ValueError(f"found {len(content)} objects for an array of shape {shape}")
        super().__setstate__(state)


def _reconstruct(kind: type, shape: Any, letter: Any) -> _Array:
    """An empty array, which :meth:`_Array.__setstate__` fills."""
    if kind is not _Array:
        raise UnsafePickleError(f"it makes an array of the kind {kind!r}; refused")
    return np.ndarray.__new__(_Array, (0,), np.int8)


def _restore_valid_array(data: Any) -> Any:
    """Arrow trusts the offsets it is given; a crafted file must not point outside its buffers."""
    from pyarrow.lib import _restore_array

    array = _restore_array(data)
    array.validate(full=True)
    return array


CHECKED = {
    ("numpy", "ndarray"): _Array,
    ("pyarrow.lib", "_restore_array"): _restore_valid_array,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _reconstruct for core in ("core", "_core")},
}


def load_frame(path: Path | str) -> pd.DataFrame:
    """Read the DataFrame pickled at `path`.

    Raises
    ------
    UnsafePickleError
        The file names something outside `ALLOWED`; the message says what.
    ValueError
        The file is damaged, or holds anything but a DataFrame.
    """
    try:
        with open(path, "rb") as handle:
            value = AllowListUnpickler(handle).load()
    except UnsafePickleError as error:
        raise UnsafePickleError(f"{path}: {error}") from None
    except OSError:
        raise
    except Exception as error:  # a damaged pickle fails in ways that no list would exhaust
        raise ValueError(f"{path}: not a readable pickle ({error})") from error
    if not isinstance(value, pd.DataFrame):
        raise ValueError(f"{path}: the pickle holds a {type(value)}; expected a pandas DataFrame")
    return value
