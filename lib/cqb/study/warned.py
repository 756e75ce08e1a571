"""Warnings of tasks: each distinct one is shown once, however many tasks and processes gave it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

Warned = tuple[str, type[Warning], str, int]  # text, category, file and line


def heard(function: Callable[..., Any], *arguments: Any) -> tuple[Any, list[Warned]]:
    """``function(*arguments)``, and what it warned of."""
    with warnings.catch_warnings(record=True) as found:
        result = function(*arguments)
    return result, [(str(w.message), w.category, w.filename, w.lineno) for w in found]


def once(
    ended: Iterable[tuple[Any, tuple[Any, list[Warned]]]],
) -> Iterator[tuple[Any, Any]]:
    """Pass results on, and each distinct warning once, however many tasks and processes gave it."""
    known: set[Warned] = set()
    for key, (result, found) in ended:
        for warned in dict.fromkeys(w for w in found if w not in known):
            warnings.warn_explicit(*warned)
        known.update(found)
        yield key, result
