"""A compressed history of rounds: counts per context and assortment, and what each model's gradient
needs of them.

Rounds with the same context and assortment share an entry, so the work of an estimate grows with the
distinct entries and not with the horizon. Per model the gradient is kept and moved by what has
changed: the change is small, so its product with the contexts may be taken in single precision, at
half the bytes. What that may have cost is estimated, and before it matters all is computed afresh
in double precision.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..mnl import BlockHistory

Assortment = tuple[int, ...]

ROUNDING = 2.0**-24


@dataclass
class Grown:
    """An array that grows by appending along its first axis; `view` is the part in use."""

    array: np.ndarray
    used: int = 0

    @classmethod
    def of(cls, dtype: type, *shape: int) -> Grown:
        """An empty one, whose items have the given shape."""
        return cls(np.empty((16, *shape), dtype))

    def append(self, value: np.ndarray | float) -> None:
        if self.used == self.array.shape[0]:
            grown = np.empty((2 * self.used, *self.array.shape[1:]), self.array.dtype)
            grown[: self.used] = self.array
            self.array = grown
        self.array[self.used] = value
        self.used += 1

    @property
    def view(self) -> np.ndarray:
        return self.array[: self.used]


class ModelHistory:
    """One model's distinct contexts and its entries, with its gradient at the current theta.

    Attributes
    ----------
    row_of : context -> row. place : rows of the history's table of contexts, by row.
    contexts : float32 (rows, d). scores : ``<x, theta>`` by row.
    entry, entry_row, cell : of each of the model's entries: its number in the history, the row of its
        context, and where the history's flat table of odds holds the model's own.
    serves, picks : counts by entry. rates : pick probability by entry, when `slope` was computed.
    slope : (d,) gradient. blur : about the error it has from single precision.
    """

    def __init__(self, d: int) -> None:
        self.row_of: dict[int, int] = {}
        self.place, self.entry, self.entry_row, self.cell = (Grown.of(np.int64) for _ in range(4))
        self.contexts = Grown.of(np.float32, d)
        self.scores, self.serves, self.picks, self.rates = (Grown.of(np.float64) for _ in range(4))
        self.slope = np.zeros(d)
        self.blur = 0.0
        self._longest = 0.0

    def open(self, context: int, place: int, x: np.ndarray, score: float) -> int:
        """The row of a context in this model's part, opened at its first entry."""
        if context not in self.row_of:
            self.row_of[context] = self.contexts.used
            self.place.append(place)
            self.contexts.append(x)
            self.scores.append(score)
            self._longest = max(self._longest, float(x @ x))
        return self.row_of[context]

    def shift(self, step: np.ndarray) -> None:
        """Move the scores by a step of theta.

        A score is then off by about ``ROUNDING |x| |step| / sqrt(d)``, the signs at random, and each
        bears on the gradient with at most a quarter of its context; the change of the rates
        multiplied in :meth:`add` has as much again.
        """
        self.scores.view[:] += self.contexts.view @ step.astype(np.float32)
        spread = 0.5 * self._longest * math.sqrt(self.contexts.used / step.size)
        self.blur += ROUNDING * spread * math.sqrt(float(step @ step))

    def add(self, change: np.ndarray) -> None:
        """Move the gradient by the change of the expected picks, by entry."""
        if self.entry.used > self.contexts.used:
            # A context stands in several entries where the other models of the assortment differ.
            change = np.bincount(self.entry_row.view, change, self.contexts.used)
        self.slope += change.astype(np.float32) @ self.contexts.view

    def state(self) -> tuple[np.ndarray, ...]:
        """What a step changes, to be given back to :meth:`restore`."""
        return self.slope.copy(), self.scores.view.copy(), self.rates.view.copy()

    def restore(self, state: tuple[np.ndarray, ...]) -> None:
        """Undo steps exactly: adding and subtracting a huge one would lose digits."""
        self.slope, self.scores.view[:], self.rates.view[:] = state


class History:
    """All entries, and the models' parts of them at parameters theta (N, d)."""

    def __init__(self, n_models: int, d: int, K: int, ridge: float) -> None:
        self.theta = np.zeros((n_models, d))
        self.models = [ModelHistory(d) for _ in range(n_models)]
        self.contexts = Grown.of(np.float64, d)
        self.odds = Grown.of(np.float64, K)
        self._K, self._ridge = K, ridge
        self._place_of: dict[int, int] = {}
        self._entry_of: dict[tuple[int, Assortment], list[int]] = {}

    def observe(self, context: int, x: np.ndarray, assortment: Assortment, pick: int) -> None:
        """Count one round; the gradients follow. `context` identifies the vector `x` (d,)."""
        key = (context, assortment)
        if key not in self._entry_of:
            self._entry_of[key] = self._new_entry(context, x, assortment)
        for j, place in zip(assortment, self._entry_of[key], strict=True):
            model = self.models[j]
            model.serves.array[place] += 1.0
            model.picks.array[place] += j == pick
            model.slope += (model.rates.array[place] - (j == pick)) * x

    def _new_entry(self, context: int, x: np.ndarray, assortment: Assortment) -> list[int]:
        """Open an entry in every offered model's part; returns its place in each."""
        if context not in self._place_of:
            self._place_of[context] = self.contexts.used
            self.contexts.append(x)
        entry, places = self.odds.used, []
        odds = np.empty(self._K)
        for k, j in enumerate(assortment):
            model = self.models[j]
            row = model.open(context, self._place_of[context], x, self.theta[j] @ x)
            odds[k] = _odds(model.scores.array[row])
            places.append(model.entry.used)
            model.entry.append(entry)
            model.entry_row.append(row)
            model.cell.append(entry * self._K + k)
            model.serves.append(0.0)
            model.picks.append(0.0)
        self.odds.append(odds)
        for k, j in enumerate(assortment):
            self.models[j].rates.append(odds[k] / (1.0 + odds.sum()))
        return places

    def gradient(self, assortment: Assortment) -> np.ndarray:
        """Joint gradient over the assortment's parameters: (K, d)."""
        slope = np.empty((self._K, self.theta.shape[1]))
        for k, j in enumerate(assortment):
            model = self.models[j]
            rates = self.rates(model)
            model.add(model.serves.view * (rates - model.rates.view))
            model.rates.view[:] = rates
            slope[k] = model.slope
        return slope

    def move(self, assortment: Assortment, step: np.ndarray) -> None:
        """theta += `step` (K, d) for the offered models, and their scores and odds with it."""
        for k, j in enumerate(assortment):
            model = self.models[j]
            self.theta[j] += step[k]
            model.slope += self._ridge * step[k]
            model.shift(step[k])
            self._set_odds(model)

    def refresh(self, assortment: Assortment) -> None:
        """Scores, odds and gradients of the offered models afresh, in double precision."""
        contexts = [self.contexts.view[self.models[j].place.view] for j in assortment]
        for j, x in zip(assortment, contexts, strict=True):
            model = self.models[j]
            model.scores.view[:] = x @ self.theta[j]
            self._set_odds(model)
        for j, x in zip(assortment, contexts, strict=True):
            model = self.models[j]
            model.rates.view[:] = self.rates(model)
            residual = model.serves.view * model.rates.view - model.picks.view
            by_row = np.bincount(model.entry_row.view, residual, model.contexts.used)
            model.slope = by_row @ x + self._ridge * self.theta[j]
            model.blur = 0.0

    def blur(self, assortment: Assortment) -> float:
        """About the error of the offered models' gradients, from single precision."""
        return max(self.models[j].blur for j in assortment)

    def restore(self, assortment: Assortment, theta: np.ndarray, states: Sequence) -> None:
        """Back to `theta` (K, d) and the models' states there, with no trace of the way."""
        for j, row, state in zip(assortment, theta, states, strict=True):
            self.theta[j] = row
            self.models[j].restore(state)
            self._set_odds(self.models[j])

    def rates(self, model: ModelHistory) -> np.ndarray:
        """The model's pick probability in each of its entries."""
        own = self.odds.array.ravel().take(model.cell.view)
        if self._K == 1:
            return own / (1.0 + own)
        total = self.odds.array[:, 0].take(model.entry.view)
        for k in range(1, self._K):
            total += self.odds.array[:, k].take(model.entry.view)
        return own / (1.0 + total)

    def _set_odds(self, model: ModelHistory) -> None:
        odds = _odds(model.scores.view).take(model.entry_row.view)
        self.odds.array.ravel()[model.cell.view] = odds

    def block(self, assortment: Assortment) -> BlockHistory:
        """The entries that offered any model of the assortment, in the form of :mod:`cqb.mnl`."""
        parts = [self.models[j] for j in assortment]
        entries = np.unique(np.concatenate([m.entry.view for m in parts]))
        contexts = np.empty((entries.size, self.theta.shape[1]))
        offered = np.zeros((entries.size, self._K))
        picks = np.zeros((entries.size, self._K))
        serves, own = np.zeros(entries.size), np.zeros(entries.size)
        for k, model in enumerate(parts):
            at = np.searchsorted(entries, model.entry.view)
            contexts[at] = self.contexts.view[model.place.view[model.entry_row.view]]
            offered[at, k] = 1.0
            picks[at, k] = model.picks.view
            serves[at] = model.serves.view
            own[at] += _odds(model.scores.view)[model.entry_row.view]
        others = self.odds.array[entries].sum(axis=1) - own if self._K > 1 else 0.0 * own
        return BlockHistory(contexts, offered, picks, serves, np.log1p(np.maximum(others, 0.0)))


def _odds(scores: np.ndarray) -> np.ndarray:
    """exp, kept finite: a step that overshoots is noticed by its gradient, not by an overflow."""
    return np.exp(np.minimum(scores, 300.0))
