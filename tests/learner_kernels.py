"""Parts of the compiled loops, compiled so that tests can call them; the package does not."""

from collections.abc import Callable

import numba
import numpy as np

from cqb.learner import kernels
from cqb.learner.history import History
from cqb.learner.lazy_inverse import Inverses

RIDGE = 0.5


def callable_(kernel: Callable) -> Callable:
    return numba.njit(error_model="numpy")(kernel.py_func)


_gradient, _move, _dot = map(callable_, (kernels.gradient, kernels.move, kernels.base_dot))


def gradient(history: History, assortment: tuple[int, ...]) -> np.ndarray:
    slope = np.empty((len(assortment), history.theta.shape[1]))
    _gradient(history.tables(), np.array(assortment), slope.reshape(-1))
    return slope


def move(history: History, assortment: tuple[int, ...], step: np.ndarray) -> None:
    _move(history.tables(), np.array(assortment), RIDGE, 1.0, step.reshape(-1))


def dot(inverses: Inverses, which: int, slope: np.ndarray) -> np.ndarray:
    result = np.empty(slope.size)
    _dot(tuple(inverses), np.array([which]), slope.reshape(-1), result)
    return result.reshape(slope.shape)
