"""Parts of the compiled loops, compiled so that tests can call them; the package does not."""

from collections.abc import Callable

import numba
import numpy as np

from cqb.learner import absorb_kernels, kernels
from cqb.learner.history import History
from cqb.learner.lazy_inverse import Curvatures, Inverses, fold

RIDGE = 0.5


def callable_(kernel: Callable) -> Callable:
    return numba.njit(error_model="numpy")(kernel.py_func)


_gradient, _move, _dot = map(callable_, (kernels.gradient, kernels.move, kernels.base_dot))
_absorb = callable_(absorb_kernels.absorb)


def observe(
    history: History, context: int, x: np.ndarray, assortment: tuple[int, ...], pick: int
) -> None:
    """Count a round, as :func:`cqb.learner.round_kernels.learn` does."""
    entry = history.entry(context, x, assortment)
    for j, place in zip(assortment, history.places[entry], strict=True):
        count = history.cells.of(j, "counts")[place]
        count[:2] += 1.0, j == pick
        history.slopes[j] += (count[2] - (j == pick)) * x


def absorb(curvatures: Curvatures, s: int, history: History) -> bool:
    """Take the new rounds into one of the inverses; False if rounding has spoilt it."""
    curvatures.make_room(history)
    rows, cells = history.rows, history.cells
    where = rows.spans, rows["contexts"], cells.spans, cells["links"], cells["counts"]
    what = curvatures.models[s], curvatures.taken[s], history.members, history.places
    while True:
        fold(curvatures.inverses.at(s))
        end = _absorb(*what, *where, *curvatures.inverses.at(s))
        if end != absorb_kernels.FULL:
            return end == absorb_kernels.TAKEN


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


def spoil(curvatures: Curvatures, s: int) -> None:
    """Make an inverse negative along every context's way."""
    inverse = curvatures.inverses.at(s)
    at = inverse.used[0]
    inverse.terms[at], inverse.signs[at], inverse.used[0] = 1e3, -1.0, at + 1
