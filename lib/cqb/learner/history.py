"""A compressed history of rounds: counts per context and assortment, and each model's gradient.

Rounds with the same context and assortment share an entry, so the work of an estimate grows with the
distinct entries and not with the horizon. Each model's gradient is updated by the change of its pick
rates. The change is small, so its product with the contexts is taken in single precision, at half the
bytes. The rounding error is estimated, and before it matters everything is recomputed in double
precision.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ..mnl import Assortment, BlockHistory
from . import kernels

FIRST = 16


class Part(NamedTuple):
    """One model's distinct contexts and its entries, with its gradient at the current theta.

    Arrays have spare room; `size`, int64 (2,), counts the rows and entries in use.

    Attributes
    ----------
    contexts : float32 (rows, d). place : int64, rows of the history's table of contexts, by row.
    scores : float64 ``<x, theta>`` by row.
    entry, entry_row, cell : int64, of each of the model's entries: its number in the history, the row
        of its context, and where the history's flat table of odds holds the model's own.
    serves, picks : float64 counts by entry.
    rates : float64 pick probability by entry, when `slope` was computed.
    slope : float64 (d,) gradient. blur : (1,) its estimated rounding error from single precision.
    longest : (1,) largest squared length of a context.
    """

    size: np.ndarray
    contexts: np.ndarray
    place: np.ndarray
    scores: np.ndarray
    entry: np.ndarray
    entry_row: np.ndarray
    cell: np.ndarray
    serves: np.ndarray
    picks: np.ndarray
    rates: np.ndarray
    slope: np.ndarray
    blur: np.ndarray
    longest: np.ndarray


BY_ROW = ("contexts", "place", "scores")
BY_ENTRY = ("entry", "entry_row", "cell", "serves", "picks", "rates")


def empty_part(d: int) -> Part:
    """A part without rows."""
    whole = ("place", "entry", "entry_row", "cell")
    real = ("scores", "serves", "picks", "rates")
    return Part(
        size=np.zeros(2, np.int64),
        contexts=np.empty((FIRST, d), np.float32),
        slope=np.zeros(d),
        blur=np.zeros(1),
        longest=np.zeros(1),
        **{name: np.zeros(FIRST, np.int64) for name in whole},
        **{name: np.zeros(FIRST) for name in real},
    )


def doubled(array: np.ndarray) -> np.ndarray:
    """A copy of the array with twice the room along its first axis."""
    grown = np.zeros((2 * array.shape[0], *array.shape[1:]), array.dtype)
    grown[: array.shape[0]] = array
    return grown


class History:
    """All entries, and the models' parts of them at parameters theta (N, d).

    Attributes
    ----------
    theta : float64 (N, d). parts : one :class:`Part` a model; replaced when it grows.
    odds : float64 (entries, K), of the offered models. members : int64 (entries, K), the assortment.
    places : int64 (entries, K), each entry's place in the parts of its models.
    """

    def __init__(self, n_models: int, d: int, K: int, ridge: float) -> None:
        self.theta = np.zeros((n_models, d))
        self.parts = [empty_part(d) for _ in range(n_models)]
        self.odds = np.zeros((FIRST, K))
        self.members, self.places = np.zeros((2, FIRST, K), np.int64)
        self._contexts = np.empty((FIRST, d))
        self._K, self._ridge = K, ridge
        self._row_of: list[dict[int, int]] = [{} for _ in range(n_models)]
        self._place_of: dict[int, int] = {}
        self._entry_of: dict[tuple[int, Assortment], list[int]] = {}

    def parts_of(self, assortment: Assortment) -> tuple[Part, ...]:
        """The parts of some models."""
        return tuple(self.parts[j] for j in assortment)

    def observe(self, context: int, x: np.ndarray, assortment: Assortment, pick: int) -> None:
        """Count one round; the gradients follow. `context` identifies the vector `x` (d,)."""
        key = (context, assortment)
        if key not in self._entry_of:
            self._entry_of[key] = self._new_entry(context, x, assortment)
        for j, place in zip(assortment, self._entry_of[key], strict=True):
            part = self.parts[j]
            part.serves[place] += 1.0
            part.picks[place] += j == pick
            np.add(part.slope, (part.rates[place] - (j == pick)) * x, out=part.slope)

    def _new_entry(self, context: int, x: np.ndarray, assortment: Assortment) -> list[int]:
        """Open an entry in every offered model's part; returns its place in each."""
        entry = len(self._entry_of)
        if entry == self.odds.shape[0]:
            self.odds, self.members, self.places = map(
                doubled, (self.odds, self.members, self.places)
            )
        if context not in self._place_of:
            if len(self._place_of) == self._contexts.shape[0]:
                self._contexts = doubled(self._contexts)
            self._place_of[context] = len(self._place_of)
            self._contexts[self._place_of[context]] = x
        self.members[entry] = assortment
        for k, j in enumerate(assortment):
            row = self._row(j, context, x)
            self.odds[entry, k] = _odds(self.parts[j].scores[row])
            self.places[entry, k] = self._open(j, entry, row, entry * self._K + k)
        for k, j in enumerate(assortment):
            rate = self.odds[entry, k] / (1.0 + self.odds[entry].sum())
            self.parts[j].rates[self.places[entry, k]] = rate
        return self.places[entry].tolist()

    def _row(self, j: int, context: int, x: np.ndarray) -> int:
        """The row of a context in a model's part, opened at its first entry."""
        part, row_of = self.parts[j], self._row_of[j]
        if context not in row_of:
            row = row_of[context] = int(part.size[0])
            if row == part.scores.size:
                part = part._replace(**{name: doubled(getattr(part, name)) for name in BY_ROW})
                self.parts[j] = part
            part.contexts[row], part.place[row] = x, self._place_of[context]
            part.scores[row] = self.theta[j] @ x
            part.longest[0] = max(part.longest[0], x @ x)
            part.size[0] += 1
        return row_of[context]

    def _open(self, j: int, entry: int, row: int, cell: int) -> int:
        """The place of a new entry in a model's part."""
        part = self.parts[j]
        place = int(part.size[1])
        if place == part.serves.size:
            part = part._replace(**{name: doubled(getattr(part, name)) for name in BY_ENTRY})
            self.parts[j] = part
        part.entry[place], part.entry_row[place], part.cell[place] = entry, row, cell
        part.size[1] += 1
        return place

    def refresh(self, assortment: Assortment) -> None:
        """Recompute scores, odds and gradients of the offered models in double precision."""
        contexts = []
        for j in assortment:
            part = self.parts[j]
            rows, entries = part.size
            contexts.append(self._contexts[part.place[:rows]])
            part.scores[:rows] = contexts[-1] @ self.theta[j]
            odds = _odds(part.scores[:rows])[part.entry_row[:entries]]
            self.odds.reshape(-1)[part.cell[:entries]] = odds
        for j, x in zip(assortment, contexts, strict=True):
            part = self.parts[j]
            rows, entries = part.size
            total = 1.0 + self.odds[part.entry[:entries]].sum(axis=1)
            part.rates[:entries] = self.odds.reshape(-1)[part.cell[:entries]] / total
            residual = part.serves[:entries] * part.rates[:entries] - part.picks[:entries]
            by_row = np.bincount(part.entry_row[:entries], residual, rows)
            part.slope[:] = by_row @ x + self._ridge * self.theta[j]
            part.blur[0] = 0.0

    def blur(self, assortment: Assortment) -> float:
        """Estimated float32 rounding error of the offered models' gradients."""
        return max(float(self.parts[j].blur[0]) for j in assortment)

    def gradient_norm(self, j: int) -> float:
        """A model's gradient norm plus its estimated float32 rounding error."""
        slope = self.parts[j].slope
        return math.sqrt(slope @ slope) + float(self.parts[j].blur[0])

    def block(self, assortment: Assortment) -> BlockHistory:
        """The entries that offered any model of the assortment, in the form of :mod:`cqb.mnl`."""
        parts = [(part, int(part.size[1])) for part in self.parts_of(assortment)]
        entries = np.unique(np.concatenate([part.entry[:n] for part, n in parts]))
        contexts = np.empty((entries.size, self.theta.shape[1]))
        offered = np.zeros((entries.size, self._K))
        picks = np.zeros((entries.size, self._K))
        serves = np.zeros(entries.size)
        for k, (part, n) in enumerate(parts):
            at = np.searchsorted(entries, part.entry[:n])
            contexts[at] = self._contexts[part.place[part.entry_row[:n]]]
            offered[at, k] = 1.0
            picks[at, k] = part.picks[:n]
            serves[at] = part.serves[:n]
        # Summed over the others alone: as a difference of sums they would be lost in large odds.
        outside = ~np.isin(self.members[entries], assortment)
        others = (self.odds[entries] * outside).sum(axis=1)
        return BlockHistory(contexts, offered, picks, serves, np.log1p(others))


def _odds(scores: np.ndarray) -> np.ndarray:
    return np.exp(np.minimum(scores, kernels.HIGHEST))
