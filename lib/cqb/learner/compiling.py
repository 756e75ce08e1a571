"""How the learner's inner loops are compiled, once an installation: the result is cached on disk."""

import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from typing import Any

import numba
from numba.core.caching import FunctionCache


class CompileCache(FunctionCache):
    """Numba's cache on disk, in which a damaged file counts as a missing one.

    A kill or a full disk during the first run can cut a file short; Numba alone would then fail in
    every later run, with whatever its bytes happen to raise.
    """

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The compiled function from the disk, or None if it is to be compiled."""
        found = None
        try:
            found = super().load_overload(sig, target_context)
        except Exception:
            warn_once(
                f"{self.cache_path}: files of compiled loops are damaged; compiling them again"
            )
            with suppress(OSError):
                self.flush()
        if found is None:
            announce()
        return found

    def save_overload(self, sig: Any, data: Any) -> None:
        """Write to the disk. Without room there the function is compiled, and not stored."""
        try:
            super().save_overload(sig, data)
        except Exception as error:
            warn_once(f"{self.cache_path}: compiled loops are not stored: {error}")


@cache
def announce() -> None:
    """Say, once a process, what the first run waits for."""
    sys.stderr.write("cqb compiles its inner loops, once for this installation (some seconds)\n")


@cache
def warn_once(message: str) -> None:
    """Warn of something that may happen with every function of a folder."""
    warnings.warn(message, RuntimeWarning, stacklevel=2)


def compiled(function: Callable, **options: Any) -> Any:
    """Compile a function at its first call, or read it from the cache on disk."""
    dispatcher = numba.njit(error_model="numpy", no_cfunc_wrapper=True, **options)(function)
    try:
        dispatcher._cache = CompileCache(function)
    except RuntimeError:  # neither the package's folder nor one of the user can be written to
        warn_once(
            "no folder to store compiled loops in, so every process compiles them (some seconds); "
            "set NUMBA_CACHE_DIR to a folder that can be written to"
        )
    return dispatcher


# A part of other compiled functions, which Python itself does not call. Inlined, it is no function of
# its own: this saves a good deal of the compiler's time where only one function uses it.
part = partial(compiled, no_cpython_wrapper=True)
inlined = partial(part, inline="always")
