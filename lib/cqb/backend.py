"""Which array library runs together what can run together: NumPy on the CPU, or CuPy on a GPU.

``backend="numpy"`` plays every run by itself on the CPU. ``"cupy"`` advances the runs that
:mod:`.batched` knows side by side on the current GPU (CUDA_VISIBLE_DEVICES chooses a card) and plays
the others on the CPU. ``"auto"`` takes the GPU if there is one that works. The default is the
environment variable CQB_BACKEND, else "auto".
"""

import os
import sys
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

import numpy as np

from .checks import shown

VARIABLE = "CQB_BACKEND"
NAMES = ("auto", "numpy", "cupy")


class BackendError(RuntimeError):
    """The backend that was asked for does not exist, or has no GPU to run on."""


def choose(backend: str | None = None) -> ModuleType:
    """The module ``numpy`` or ``cupy`` that a backend stands for.

    Parameters
    ----------
    backend : a name in :data:`NAMES`; by default that in CQB_BACKEND, else "auto".

    Raises
    ------
    BackendError
        The name is unknown, or it is "cupy" and no GPU has run a small kernel here.
    """
    asked = backend if backend is not None else os.environ.get(VARIABLE, "").strip() or None
    name = "auto" if asked is None else asked
    if name not in NAMES:
        where = "backend" if backend is not None else VARIABLE
        raise BackendError(f"{where}: found {shown(name)}, expected one of {', '.join(NAMES)}")
    if name == "numpy":
        return np
    problem = trouble()
    if problem is None:
        return import_module("cupy")
    if name == "cupy":
        raise BackendError(f"backend: found 'cupy', but {problem}; expected a GPU, or 'numpy'")
    # Who neither asked for a backend nor installed CuPy has no use for the line.
    if asked is not None or find_spec("cupy") is not None:
        fall_back(problem)
    return np


@cache
def trouble() -> str | None:
    """Why CuPy cannot be used here; None if a small kernel was compiled, ran and gave what it should.

    A driver alone is not enough: without the CUDA toolkit's headers the first kernel fails.
    """
    if find_spec("cupy") is None:
        return 'CuPy is not installed (pip install "cqb[gpu]")'
    try:
        cupy = import_module("cupy")
        numbers = cupy.arange(6.0).reshape(1, 2, 3)
        product = numbers @ numbers.transpose(0, 2, 1) + cupy.eye(2)
        found = cupy.linalg.cholesky(product).get()
    # CuPy raises errors of its own and of the driver, the compiler and the loader.
    except Exception as error:
        says = next(iter(str(error).splitlines()), "no message")  # the compiler's can be long
        return f"CuPy finds no usable GPU ({type(error).__name__}: {says})"
    wanted = np.linalg.cholesky([[6.0, 14.0], [14.0, 51.0]])
    return None if np.allclose(found, wanted) else f"the GPU computes {found}, not {wanted}"


@cache
def fall_back(problem: str) -> None:
    """Say, once a process, that NumPy takes the place of CuPy."""
    sys.stderr.write(f"cqb: backend auto: {problem}; running on the CPU\n")


def device_name(xp: ModuleType) -> str:
    """The name of the card that CuPy uses, or "cpu"."""
    if xp is np:
        return "cpu"
    return xp.cuda.runtime.getDeviceProperties(xp.cuda.Device().id)["name"].decode()


def free_bytes(xp: ModuleType) -> int:
    """Free memory of the GPU in bytes; of a CPU's, what one batch may take there."""
    if xp is np:
        return 2 * 2**30
    # What CuPy holds back for later counts as taken, so it is given back first.
    xp.get_default_memory_pool().free_all_blocks()
    return int(xp.cuda.Device().mem_info[0])
