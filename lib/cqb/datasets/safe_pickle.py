"""Read a pandas DataFrame from a pickle without letting the file run code.

A pickle is a program: it may name any importable function and call it. Here it may name only the
pairs in `ALLOWED`, which build plain pandas, NumPy and Arrow values; anything else is refused by
name before it is imported. Pickles of pandas 1.5 to 3 in protocols 4 and 5 are covered; the
published RouterBench table is one of protocol 5.
"""

from __future__ import annotations

import importlib
import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


class UnsafePickleError(ValueError):
    """The pickle asks for something that a table of plain values never needs."""


# What a file may name, as (module, name).
ALLOWED: frozenset[tuple[str, str]] = frozenset(
    {
        ("builtins", "bytearray"),
        ("builtins", "slice"),
        ("numpy", "dtype"),
        ("numpy", "ndarray"),
        ("numpy.core.multiarray", "_reconstruct"),
        ("numpy.core.multiarray", "scalar"),
        ("numpy.core.numeric", "_frombuffer"),
        ("numpy._core.multiarray", "_reconstruct"),
        ("numpy._core.multiarray", "scalar"),
        ("numpy._core.numeric", "_frombuffer"),
        ("pandas", "DataFrame"),
        ("pandas", "Index"),
        ("pandas", "NA"),
        ("pandas", "RangeIndex"),
        ("pandas", "StringDtype"),
        ("pandas._libs.arrays", "__pyx_unpickle_NDArrayBacked"),
        ("pandas._libs.internals", "_unpickle_block"),
        ("pandas._libs.missing", "NA"),
        ("pandas.arrays", "ArrowStringArray"),
        ("pandas.arrays", "StringArray"),
        ("pandas.core.arrays.string_", "StringArray"),
        ("pandas.core.arrays.string_", "StringDtype"),
        ("pandas.core.arrays.string_arrow", "ArrowStringArray"),
        ("pandas.core.frame", "DataFrame"),
        ("pandas.core.indexes.base", "Index"),
        ("pandas.core.indexes.base", "_new_Index"),
        ("pandas.core.indexes.numeric", "Int64Index"),
        ("pandas.core.indexes.range", "RangeIndex"),
        ("pandas.core.internals.managers", "BlockManager"),
        ("pyarrow.lib", "_restore_array"),
        ("pyarrow.lib", "py_buffer"),
        ("pyarrow.lib", "type_for_alias"),
    }
)

# Where the libraries of today keep what older ones called otherwise.
MOVED: dict[tuple[str, str], tuple[str, str]] = {
    ("numpy.core.multiarray", "_reconstruct"): ("numpy._core.multiarray", "_reconstruct"),
    ("numpy.core.multiarray", "scalar"): ("numpy._core.multiarray", "scalar"),
    ("numpy.core.numeric", "_frombuffer"): ("numpy._core.numeric", "_frombuffer"),
    ("pandas.core.indexes.numeric", "Int64Index"): ("pandas.core.indexes.base", "Index"),
}


class AllowListUnpickler(pickle.Unpickler):
    """An unpickler that resolves the pairs of `ALLOWED` and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        """The object called `name` in `module`, or UnsafePickleError naming both."""
        pair = (module, name)
        if pair not in ALLOWED:
            raise UnsafePickleError(
                f"it asks for {module}.{name}, which is not on the allow-list; refused"
            )
        if pair == ("pyarrow.lib", "_restore_array"):
            return _restore_valid_array
        return getattr(importlib.import_module(MOVED.get(pair, pair)[0]), MOVED.get(pair, pair)[1])


def _restore_valid_array(data: Any) -> Any:
    """Arrow trusts the offsets it is given; a crafted file must not point outside its buffers."""
    from pyarrow.lib import _restore_array

    array = _restore_array(data)
    array.validate(full=True)
    return array


def load_frame(path: Path | str) -> pd.DataFrame:
    """Read the DataFrame pickled at `path`.

    Raises
    ------
    UnsafePickleError
        The file names something outside `ALLOWED`; the message says what.
    ValueError
        The file is damaged, or holds anything but a DataFrame.
    """
    import pandas as pd

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
        kind = type(value)
        raise ValueError(
            f"{path}: the pickle holds a {kind.__module__}.{kind.__qualname__}; "
            "expected a pandas DataFrame"
        )
    return value
