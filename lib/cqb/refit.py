"""The ridge multinomial-logit estimate after every round, from a compressed history.

Same minimum as :func:`cqb.mnl.ridge_mle` on the full history of rounds, reached for less:

- A round is counted, not stored: rounds with the same context and assortment share an entry, so
  the work grows with the distinct entries and not with the horizon.
- Each model keeps the matrix of its own distinct contexts, their current scores, and an
  approximate inverse Hessian (a :class:`~cqb.lazy_inverse.LazyInverse`), to which a new round adds a
  rank-one term. One step then costs two matrix-vector products per offered model.
- What a step reveals about the Hessian corrects the inverse by a symmetric rank-one secant term.
  For K >= 2 the terms span the assortment's joint parameters and are kept per assortment.
- Where steps stop paying, the exact joint Hessian is formed and inverted anew: the safeguard that
  makes convergence unconditional.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .lazy_inverse import LazyInverse
from .mnl import BlockHistory, hessian, ridge_mle
from .secants import Secants

Assortment = tuple[int, ...]

# A step after which the gradient is longer than this multiple of what it was is taken back.
OVERSHOOT = 2.0
MEMORY = 5


@dataclass
class Grown:
    """An array that grows by appending along its first axis; `view` is the part in use."""

    array: np.ndarray
    used: int = 0

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


@dataclass
class ModelHistory:
    """What is known of one model: its distinct contexts, and its entries in the history."""

    contexts: Grown
    scores: Grown
    row_of: dict[int, int]
    entry: Grown
    entry_row: Grown
    slot: Grown
    serves: Grown
    picks: Grown
    inverse: LazyInverse
    slope: np.ndarray

    @classmethod
    def empty(cls, d: int, ridge: float) -> ModelHistory:
        ints = [Grown(np.empty(16, np.int64)) for _ in range(3)]
        floats = [Grown(np.empty(16)) for _ in range(3)]
        return cls(
            contexts=Grown(np.empty((16, d))),
            scores=floats[0],
            row_of={},
            entry=ints[0],
            entry_row=ints[1],
            slot=ints[2],
            serves=floats[1],
            picks=floats[2],
            inverse=LazyInverse(d, ridge),
            slope=np.zeros(d),
        )


@dataclass
class RefitCounts:
    """How hard the refits worked: gradient evaluations, exact Hessians, exact Newton solves."""

    refits: int = 0
    passes: int = 0
    rebuilds: int = 0
    exact: int = 0


@dataclass
class Estimator:
    """theta of all N models, kept at the ridge maximum likelihood of the offered ones.

    Parameters
    ----------
    n_models : N. d : context dimension. K : assortment size.
    ridge : lambda0 > 0, the penalty is ``ridge/2 |theta_j|^2``.
    tolerance : largest gradient norm at which a refit stops; theta is then within
        ``tolerance / ridge`` of the minimum.
    """

    n_models: int
    d: int
    K: int
    ridge: float
    tolerance: float = 1e-6
    most_passes: int = 40
    theta: np.ndarray = field(init=False)
    counts: RefitCounts = field(default_factory=RefitCounts)

    def __post_init__(self) -> None:
        self.theta = np.zeros((self.n_models, self.d))
        self._models = [ModelHistory.empty(self.d, self.ridge) for _ in range(self.n_models)]
        self._odds = Grown(np.empty((64, self.K)))
        self._entry_of: dict[tuple[int, Assortment], list[int]] = {}
        self._memory: dict[Assortment, Secants] = {}

    def observe(self, context: int, x: np.ndarray, assortment: Assortment, pick: int) -> None:
        """Add one round to the history and move theta of the offered models to the new minimum.

        `context` identifies the vector `x` (d,); `pick` is the model picked, or negative.
        """
        key = (context, assortment)
        if key not in self._entry_of:
            self._entry_of[key] = self._new_entry(context, x, assortment)
        places = self._entry_of[key]
        rates = self._current_rates(assortment, places)
        for k, j in enumerate(assortment):
            model = self._models[j]
            model.serves.array[places[k]] += 1.0
            model.picks.array[places[k]] += j == pick
            model.inverse.grow(x, max(rates[k] * (1.0 - rates[k]), 1e-12))
        self._refit(assortment, self._first_gradient(assortment, x, rates, pick))

    def _first_gradient(
        self, assortment: Assortment, x: np.ndarray, rates: np.ndarray, pick: int
    ) -> np.ndarray:
        """The joint gradient after the new round (K, d).

        With K = 1 nothing but this round has changed since the model's last refit; with K >= 2
        the partners of its other rounds have moved too.
        """
        if self.K > 1:
            return self._gradient(assortment)
        j = assortment[0]
        return (self._models[j].slope + (rates[0] - (j == pick)) * x)[None, :]

    def _current_rates(self, assortment: Assortment, places: list[int]) -> np.ndarray:
        """Pick probabilities (K,) of the assortment in one entry, at the current scores."""
        scores = np.empty(self.K)
        for k, j in enumerate(assortment):
            model = self._models[j]
            scores[k] = model.scores.array[model.entry_row.array[places[k]]]
        odds = _odds(scores)
        return odds / (1.0 + odds.sum())

    def _new_entry(self, context: int, x: np.ndarray, assortment: Assortment) -> list[int]:
        """Open an entry in every offered model's history; returns its place in each."""
        entry, places = self._odds.used, []
        odds = np.empty(self.K)
        for k, j in enumerate(assortment):
            model = self._models[j]
            row = model.row_of.setdefault(context, model.contexts.used)
            if row == model.contexts.used:
                model.contexts.append(x)
                model.scores.append(self.theta[j] @ x)
            odds[k] = _odds(model.scores.array[row])
            places.append(model.entry.used)
            for grown, value in (
                (model.entry, entry),
                (model.entry_row, row),
                (model.slot, k),
                (model.serves, 0.0),
                (model.picks, 0.0),
            ):
                grown.append(value)
        self._odds.append(odds)
        return places

    def _refit(self, assortment: Assortment, slope: np.ndarray) -> None:
        """Quasi-Newton steps from the joint gradient `slope` (K, d) until it is within tolerance."""
        self.counts.refits += 1
        step, exact = -self._solve(assortment, slope), False
        size = float(np.linalg.norm(slope))
        for _ in range(self.most_passes):
            if size <= self.tolerance:
                break
            here = self.theta[list(assortment)]
            self._move(assortment, step)
            new_slope = self._gradient(assortment)
            new_size = float(np.linalg.norm(new_slope))
            if new_size <= OVERSHOOT * size:
                self._secants(assortment).learn(step.ravel(), (new_slope - slope).ravel())
                slope, size = new_slope, new_size
                step = -self._solve(assortment, slope)
                continue
            self._place(assortment, here)
            if exact:
                break
            self._rebuild(assortment)
            step, exact = -self._solve(assortment, slope), True
        if size > self.tolerance:
            slope = self._exact(assortment)
        if self.K == 1:
            self._models[assortment[0]].slope = slope[0]

    def _gradient(self, assortment: Assortment) -> np.ndarray:
        """Joint gradient over the assortment's parameters at the current scores: (K, d)."""
        self.counts.passes += 1
        slope = np.empty((self.K, self.d))
        for k, j in enumerate(assortment):
            model = self._models[j]
            residual = model.serves.view * self._rates(model) - model.picks.view
            if self.K > 1:
                # A context can stand in several entries (other partners); with K = 1 in one.
                residual = np.bincount(model.entry_row.view, residual, model.contexts.used)
            slope[k] = residual @ model.contexts.view
            slope[k] += self.ridge * self.theta[j]
        return slope

    def _rates(self, model: ModelHistory) -> np.ndarray:
        """The model's pick probability in each of its entries."""
        if self.K == 1:
            odds = _odds(model.scores.view)
            return odds / (1.0 + odds)
        odds = self._odds.array[model.entry.view]
        return odds[np.arange(odds.shape[0]), model.slot.view] / (1.0 + odds.sum(axis=1))

    def _move(self, assortment: Assortment, step: np.ndarray) -> None:
        """theta += step for the offered models, and their scores and odds with it."""
        for k, j in enumerate(assortment):
            model = self._models[j]
            self.theta[j] += step[k]
            model.scores.view[:] += model.contexts.view @ step[k]
            self._set_odds(model)

    def _place(self, assortment: Assortment, theta: np.ndarray) -> None:
        """theta of the offered models := `theta` (K, d), with no trace of where they were."""
        for k, j in enumerate(assortment):
            model = self._models[j]
            self.theta[j] = theta[k]
            model.scores.view[:] = model.contexts.view @ theta[k]
            self._set_odds(model)

    def _set_odds(self, model: ModelHistory) -> None:
        if self.K > 1:
            odds = _odds(model.scores.view)[model.entry_row.view]
            self._odds.array[model.entry.view, model.slot.view] = odds

    def _solve(self, assortment: Assortment, slope: np.ndarray) -> np.ndarray:
        """The approximate inverse Hessian times the gradient: (K, d)."""
        models = [self._models[j] for j in assortment]

        def blocks(flat: np.ndarray) -> np.ndarray:
            parts = flat.reshape(slope.shape)
            return np.concatenate([m.inverse.dot(x) for m, x in zip(models, parts, strict=True)])

        return self._secants(assortment).apply(slope.ravel(), blocks).reshape(slope.shape)

    def _secants(self, assortment: Assortment) -> Secants:
        if assortment not in self._memory:
            self._memory[assortment] = Secants(MEMORY)
        return self._memory[assortment]

    def _rebuild(self, assortment: Assortment) -> None:
        """Form the exact inverse Hessian: the models' blocks, and the assortment's coupling."""
        self.counts.rebuilds += 1
        block = self._block_history(assortment)
        joint = hessian(self.theta[list(assortment)], block, self.ridge)
        for k, j in enumerate(assortment):
            mine = slice(k * self.d, (k + 1) * self.d)
            self._models[j].inverse = LazyInverse.of(np.linalg.inv(joint[mine, mine]))
        self._memory.pop(assortment, None)

    def _exact(self, assortment: Assortment) -> np.ndarray:
        """Damped Newton to the minimum, where quasi-Newton steps fail; returns the gradient."""
        self.counts.exact += 1
        models = list(assortment)
        block = self._block_history(assortment)
        theta = ridge_mle(self.theta[models], block, self.ridge, tolerance=0.1 * self.tolerance)
        self._place(assortment, theta)
        self._rebuild(assortment)
        return self._gradient(assortment)

    def _block_history(self, assortment: Assortment) -> BlockHistory:
        """The entries that offered any model of the assortment, in the form of :mod:`cqb.mnl`."""
        views = [self._models[j] for j in assortment]
        entries = np.unique(np.concatenate([m.entry.view for m in views]))
        contexts = np.empty((entries.size, self.d))
        offered = np.zeros((entries.size, self.K))
        picks = np.zeros((entries.size, self.K))
        serves = np.zeros(entries.size)
        own = np.zeros(entries.size)
        for k, model in enumerate(views):
            at = np.searchsorted(entries, model.entry.view)
            contexts[at] = model.contexts.view[model.entry_row.view]
            offered[at, k] = 1.0
            picks[at, k] = model.picks.view
            serves[at] = model.serves.view
            odds = _odds(model.scores.view)
            own[at] += odds[model.entry_row.view]
        others = self._odds.array[entries].sum(axis=1) - own if self.K > 1 else 0.0 * own
        return BlockHistory(contexts, offered, picks, serves, np.log1p(np.maximum(others, 0.0)))


def _odds(scores: np.ndarray) -> np.ndarray:
    """exp, kept finite: a step that overshoots is noticed by its gradient, not by an overflow."""
    return np.exp(np.minimum(scores, 300.0))
