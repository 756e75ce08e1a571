"""The state of an object as JSON and arrays, and back into an object that was built in the same way.

Nothing in a file says what to build or to run: an object of the same class is built by code first, and
:func:`restore` only fills in its numbers. So no file can do what a pickle can. What an object is built
with and does not change (functions, settings, streams, and the attributes that its class names in
`AS_BUILT`) is not in the state. A function must therefore have no state of its own.
"""

from collections.abc import Callable
from dataclasses import is_dataclass
from functools import partial
from types import FunctionType
from typing import Any

import numpy as np

from .streams import RoundStream

State = Any  # None, bool, int, float, str, or a dictionary with one of the keys below

STATELESS = (FunctionType, partial, RoundStream)


def capture(value: Any, arrays: dict[str, np.ndarray], name: str = "state") -> State:
    """The state as JSON; copies of the arrays in it are added to `arrays` by name.

    Raises
    ------
    TypeError
        Something in it has a state that is not seen, such as an iterator or a generator of numbers.
    """
    match value:
        case None | bool() | int() | float() | str():
            return value
        case np.generic():
            return value.item()
        case np.ndarray():
            arrays[name] = np.array(value, order="C")
            return {"array": name}
        case list():
            return _list(value, arrays, name)
        case tuple():
            return {"tuple": _parts(value, arrays, name)}
        case dict():
            keys = _list(list(value), arrays, f"{name}.keys")
            return {"keys": keys, "values": _list([*value.values()], arrays, name)}
    frozen = is_dataclass(value) and type(value).__dataclass_params__.frozen
    if frozen or isinstance(value, STATELESS):
        return {"as built": type(value).__name__}
    if not hasattr(value, "__dict__"):
        raise TypeError(f"{name}: a {type(value).__name__} has a state that cannot be saved")
    parts = _attributes(value)
    return {"object": {a: capture(part, arrays, f"{name}.{a}") for a, part in parts.items()}}


def _list(values: list, arrays: dict[str, np.ndarray], name: str) -> State:
    """A list as one array if its values are arrays of one shape, by columns if they are tuples."""
    kinds = {type(v) for v in values}
    if kinds == {np.ndarray} and len({(v.shape, v.dtype) for v in values}) == 1:
        return {"stack": capture(np.stack(values), arrays, name)["array"]}
    if kinds == {tuple} and values[0] and len({len(v) for v in values}) == 1:
        columns = enumerate(zip(*values, strict=True))
        return {"columns": [_list([*column], arrays, f"{name}.{i}") for i, column in columns]}
    return {"list": _parts(values, arrays, name)}


def _parts(values: list | tuple, arrays: dict[str, np.ndarray], name: str) -> list[State]:
    return [capture(value, arrays, f"{name}.{i}") for i, value in enumerate(values)]


def _attributes(value: Any) -> dict[str, Any]:
    derived = getattr(type(value), "AS_BUILT", ())
    return {name: part for name, part in vars(value).items() if name not in derived}


def restore(
    state: State,
    fresh: Any,
    arrays: dict[str, np.ndarray],
    new: Callable[[Any], Any] | None = None,
) -> Any:
    """The value with the state of :func:`capture`: `fresh` itself where it can be changed in place.

    Parameters
    ----------
    fresh : built as the captured one was. None where JSON and arrays say everything.
    new : builds an object that is in the captured dictionary and not in the fresh one, from its key.

    Raises
    ------
    ValueError
        The state is not that of an object built like `fresh`.
    """
    if not isinstance(state, dict):
        return type(fresh)(state) if isinstance(fresh, np.generic) else state
    match state:
        case {"array": name}:
            return _fill(arrays[name], fresh)
        case {"stack": name}:
            return list(np.array(arrays[name]))
        case {"columns": parts}:
            return [*zip(*(restore(part, None, arrays) for part in parts), strict=True)]
        case {"list": parts}:
            return _each(parts, fresh, arrays)
        case {"tuple": parts}:
            values = _each(parts, fresh, arrays)
            return tuple(values) if type(fresh) in (tuple, type(None)) else type(fresh)(*values)
        case {"keys": keys, "values": values}:
            return _dictionary(restore(keys, None, arrays), values, fresh, arrays, new)
        case {"as built": name} if type(fresh).__name__ == name:
            return fresh
        case {"object": parts} if (
            hasattr(fresh, "__dict__") and parts.keys() == _attributes(fresh).keys()
        ):
            for name, part in parts.items():
                make = getattr(fresh, f"new{name}", None)
                setattr(fresh, name, restore(part, getattr(fresh, name), arrays, make))
            return fresh
    raise ValueError(f"its state does not fit a {type(fresh).__name__} of this version")


def _fill(saved: np.ndarray, fresh: Any) -> np.ndarray:
    # In place if possible: some arrays are parts of others.
    if isinstance(fresh, np.ndarray):
        if (saved.dtype, saved.ndim) != (fresh.dtype, fresh.ndim):
            found = f"found {saved.dtype} {saved.shape}"
            raise ValueError(f"{found}, expected {fresh.dtype} {fresh.shape}")
        if saved.shape == fresh.shape:
            fresh[...] = saved
            return fresh
    return np.array(saved)


def _each(parts: list[State], fresh: Any, arrays: dict[str, np.ndarray]) -> list[Any]:
    known = list(fresh or ()) + [None] * len(parts)
    return [restore(part, old, arrays) for part, old in zip(parts, known, strict=False)]


def _dictionary(
    keys: list[Any],
    values: State,
    fresh: Any,
    arrays: dict[str, np.ndarray],
    new: Callable[[Any], Any] | None,
) -> dict[Any, Any]:
    fresh = {} if fresh is None else fresh
    known = [fresh[k] if k in fresh else new(k) if new else None for k in keys]
    stacked = "list" not in values
    restored = restore(values, None, arrays) if stacked else _each(values["list"], known, arrays)
    fresh.clear()
    for key, value in zip(keys, restored, strict=True):
        fresh[key] = value  # the `update` of a Counter would count the pairs
    return fresh
