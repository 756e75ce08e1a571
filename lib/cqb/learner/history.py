"""A compressed history of rounds: counts per context and assortment, and each model's gradient.

Rounds with the same context and assortment share an entry, so the work of an estimate grows with the
distinct entries and not with the horizon. Each model's gradient is updated by the change of its pick
rates. The change is small, so its product with the contexts is taken in single precision, at half the
bytes. The rounding error is estimated, and before it matters everything is recomputed in double
precision.
"""

import math

import numpy as np

from ..mnl import Assortment, BlockHistory
from . import kernels

FIRST = 16


def doubled(array: np.ndarray) -> np.ndarray:
    """A copy of the array with twice the room along its first axis."""
    grown = np.zeros((2 * array.shape[0], *array.shape[1:]), array.dtype)
    grown[: array.shape[0]] = array
    return grown


class Segments:
    """Arrays with a growing segment of each model, so that one compiled loop serves any of them.

    Parameters
    ----------
    n_models : N. arrays : by name, each with :data:`FIRST` rows; replaced when they grow.

    Attributes
    ----------
    spans : int64 (N, 2), start and length of each model's segment. longest : the largest length.
    """

    def __init__(self, n_models: int, **arrays: np.ndarray) -> None:
        self.spans, self.arrays = np.zeros((n_models, 2), np.int64), arrays
        self.longest, self._room, self._end = 0, [0] * n_models, 0

    def __getitem__(self, name: str) -> np.ndarray:
        return self.arrays[name]

    def of(self, j: int, name: str) -> np.ndarray:
        """A model's segment of an array."""
        start, length = self.spans[j].tolist()
        return self.arrays[name][start : start + length]

    def append(self, j: int, **values: object) -> int:
        """Add a row with some values by array; its place, from the start of the model's segment."""
        start, length = self.spans[j].tolist()
        if length == self._room[j]:
            room = max(FIRST, 2 * length)
            for name, array in self.arrays.items():
                while self._end + room > len(array):
                    array = self.arrays[name] = doubled(array)
                array[self._end : self._end + length] = array[start : start + length]
            start = self.spans[j, 0] = self._end
            self._room[j] = room
            self._end += room
        for name, value in values.items():
            self.arrays[name][start + length] = value
        self.spans[j, 1] = length + 1
        self.longest = max(self.longest, length + 1)
        return length


class History:
    """All entries at parameters theta (N, d), and by model: its contexts, its entries, its gradient.

    Attributes
    ----------
    theta : float64 (N, d). slopes : float64 (N, d) gradients at theta.
    errors : float64 (N, 2), by model: the estimated rounding error of its gradient from single
        precision, and the largest squared length of a context.
    rows : by model and context: `contexts` float32 (d,), `places` int64 of the context in the history's
        own table, `scores` float64 ``<x, theta>``.
    cells : by model and entry: `links` int64 (3,), numbers of the entry, of the context's row, and of
        the model's own odds in the flat table; `counts` float64 (3,), serves, picks, and the pick
        probability when the gradient was computed.
    odds : float64 (entries, K), of the offered models. members : int64 (entries, K), the assortment.
    places : int64 (entries, K), each entry's place among the cells of its models.
    """

    def __init__(self, n_models: int, d: int, K: int, ridge: float) -> None:
        self.theta, self.slopes = np.zeros((2, n_models, d))
        self.errors = np.zeros((n_models, 2))
        whole, real = np.zeros(FIRST, np.int64), np.zeros(FIRST)
        contexts, links = np.zeros((FIRST, d), np.float32), np.zeros((FIRST, 3), np.int64)
        self.rows = Segments(n_models, contexts=contexts, places=whole, scores=real)
        self.cells = Segments(n_models, links=links, counts=np.zeros((FIRST, 3)))
        self.odds = np.zeros((FIRST, K))
        self.members, self.places = np.zeros((2, FIRST, K), np.int64)
        self._contexts = np.zeros((FIRST, d))
        self._K, self._ridge = K, ridge
        self._row_of: list[dict[int, int]] = [{} for _ in range(n_models)]
        self._place_of: dict[int, int] = {}
        self._entry_of: dict[tuple[int, Assortment], int] = {}

    def tables(self) -> tuple[np.ndarray, ...]:
        """Theta, slopes, errors; spans, contexts, scores; spans of cells, links, counts; flat odds."""
        rows, cells = self.rows, self.cells
        by_row = rows.spans, rows["contexts"], rows["scores"]
        by_cell = cells.spans, cells["links"], cells["counts"], self.odds.reshape(-1)
        return self.theta, self.slopes, self.errors, *by_row, *by_cell

    def observe(self, context: int, x: np.ndarray, assortment: Assortment, pick: int) -> None:
        """Count one round; the gradients follow. `context` identifies the vector `x` (d,)."""
        entry = self._entry(context, x, assortment)
        for j, place in zip(assortment, self.places[entry].tolist(), strict=True):
            count = self.cells.of(j, "counts")[place]
            count[0] += 1.0
            count[1] += j == pick
            self.slopes[j] += (count.item(2) - (j == pick)) * x

    def _entry(self, context: int, x: np.ndarray, assortment: Assortment) -> int:
        """The number of an entry, opened at its first round."""
        known = len(self._entry_of)
        entry = self._entry_of.setdefault((context, assortment), known)
        if entry < known:
            return entry
        if entry == len(self.odds):
            grown = map(doubled, (self.odds, self.members, self.places))
            self.odds, self.members, self.places = grown
        if context not in self._place_of:
            if len(self._place_of) == len(self._contexts):
                self._contexts = doubled(self._contexts)
            self._place_of[context] = len(self._place_of)
            self._contexts[self._place_of[context]] = x
        self.members[entry] = assortment
        rows = [self._row(j, context, x) for j in assortment]
        scores = [self.rows.of(j, "scores")[row] for j, row in zip(assortment, rows, strict=True)]
        self.odds[entry] = _odds(np.array(scores))
        rates = self.odds[entry] / (1.0 + self.odds[entry].sum())
        for k, j in enumerate(assortment):
            links, counts = (entry, rows[k], entry * self._K + k), (0.0, 0.0, rates[k])
            self.places[entry, k] = self.cells.append(j, links=links, counts=counts)
        return entry

    def _row(self, j: int, context: int, x: np.ndarray) -> int:
        """The row of a context among a model's, opened at its first entry."""
        row_of = self._row_of[j]
        if context not in row_of:
            place, score = self._place_of[context], self.theta[j] @ x
            row_of[context] = self.rows.append(j, contexts=x, places=place, scores=score)
            self.errors[j, 1] = max(self.errors[j, 1], x @ x)
        return row_of[context]

    def refresh(self, assortment: Assortment) -> None:
        """Recompute scores, odds and gradients of the offered models in double precision."""
        contexts, flat = [], self.odds.reshape(-1)
        for j in assortment:
            scores, links = self.rows.of(j, "scores"), self.cells.of(j, "links")
            contexts.append(self._contexts[self.rows.of(j, "places")])
            scores[:] = contexts[-1] @ self.theta[j]
            flat[links[:, 2]] = _odds(scores)[links[:, 1]]
        for j, x in zip(assortment, contexts, strict=True):
            links, counts = self.cells.of(j, "links"), self.cells.of(j, "counts")
            total = 1.0 + self.odds[links[:, 0]].sum(axis=1)
            counts[:, 2] = flat[links[:, 2]] / total
            residual = counts[:, 0] * counts[:, 2] - counts[:, 1]
            by_row = np.bincount(links[:, 1], residual, len(x))
            self.slopes[j] = by_row @ x + self._ridge * self.theta[j]
            self.errors[j, 0] = 0.0

    def blur(self, assortment: Assortment) -> float:
        """Estimated float32 rounding error of the offered models' gradients."""
        return max(self.errors.item(j, 0) for j in assortment)

    def gradient_norm(self, j: int) -> float:
        """A model's gradient norm plus its estimated float32 rounding error."""
        return math.sqrt(self.slopes[j] @ self.slopes[j]) + self.errors.item(j, 0)

    def block(self, assortment: Assortment) -> BlockHistory:
        """The entries that offered any model of the assortment, in the form of :mod:`cqb.mnl`."""
        links = [self.cells.of(j, "links") for j in assortment]
        entries = np.unique(np.concatenate(links)[:, 0])
        contexts = np.empty((entries.size, self.theta.shape[1]))
        offered, picks = np.zeros((2, entries.size, self._K))
        serves = np.zeros(entries.size)
        for k, j in enumerate(assortment):
            at, row, counts = *links[k].T[:2], self.cells.of(j, "counts")
            at = np.searchsorted(entries, at)
            contexts[at] = self._contexts[self.rows.of(j, "places")[row]]
            offered[at, k] = 1.0
            serves[at], picks[at, k] = counts[:, 0], counts[:, 1]
        # Summed over the others alone: as a difference of sums they would be lost in large odds.
        outside = ~np.isin(self.members[entries], assortment)
        others = (self.odds[entries] * outside).sum(axis=1)
        return BlockHistory(contexts, offered, picks, serves, np.log1p(others))


def _odds(scores: np.ndarray) -> np.ndarray:
    return np.exp(np.minimum(scores, kernels.HIGHEST))
