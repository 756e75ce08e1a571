"""Beyond the published router: prices that are updated, and prices from the history.

PORT-R solves again on a schedule, with the queries seen so far and the budgets that are left. PORT-H
takes its prices from estimates on the history (each query without its own outcome), so that no
query has to be spent on a random phase. PORT-RH does both: the history's estimates represent
the queries still to come, and the budgets that are left are for those. Where the order of arrival
cannot be trusted to be random, the history is weighted by what is still to come of it; and
where budgets are few queries wide, no model is asked for what it can no longer afford.
"""

from __future__ import annotations

import numpy as np

from . import dual
from .features import Estimates
from .router import PricedRouter, best_models, joined

EVERY = 50  # queries between two solutions
SPREAD = 40  # historical queries whose weights an arrival reduces, in equal parts


class AdaptivePort(PricedRouter):
    """PORT-R (no history), PORT-H (`every` None) or PORT-RH (both).

    Parameters
    ----------
    budgets : (M,) dollars for all `horizon` queries. horizon : N.
    every : solve again before each query whose number is a multiple of it; None: solve once.
    history : leave-one-out estimates (M, E) of the history.
    depleting : weigh the history by the kinds of queries still to come (:class:`Remaining`).
    affordable : leave a model out where the estimated cost is more than what it has left.
    random : generator of PORT-R's random first phase, which lasts `every` queries.

    Raises
    ------
    ValueError
        Neither a schedule nor a history, a random phase without a generator, or `depleting` without a
        history.
    """

    def __init__(
        self,
        budgets: np.ndarray,
        horizon: int,
        *,
        every: int | None = EVERY,
        history: Estimates | None = None,
        depleting: bool = False,
        affordable: bool = False,
        random: np.random.Generator | None = None,
    ) -> None:
        if every is not None and every < 1:
            raise ValueError(f"every: found {every}, expected at least 1 query, or None")
        if history is None and (every is None or random is None):
            raise ValueError("history: found none, so a schedule and a generator are needed")
        if depleting and history is None:
            raise ValueError("depleting: there is no history to weigh")
        first = min(every, horizon) if history is None else 0
        super().__init__(budgets, horizon, first, random)
        self._every, self._history, self._affordable = every, history, affordable
        self._remaining = Remaining(history, horizon) if depleting else None

    def block(self, arrived: int) -> int:
        if self._affordable:
            return 1
        return self.horizon if self._every is None else self._every - arrived % self._every

    def by_prices(self, estimates: Estimates, left: np.ndarray) -> np.ndarray:
        return best_models(self.gamma, estimates, left=left if self._affordable else None)

    def _due(self) -> bool:
        scheduled = self._every is not None and self.arrived % self._every == 0
        return self.gamma is None or scheduled

    def _record(self, estimates: Estimates) -> None:
        if self._history is None:
            super()._record(estimates)
        if self._remaining is not None:
            self._remaining.see(estimates)

    def _solve(self, left: np.ndarray) -> dual.Prices:
        """Prices of a sample that represents what is to come: the budgets are scaled to its size."""
        to_come = self.horizon - self.arrived
        if self._remaining is not None:
            sample, size = self._remaining.sample(), to_come
        elif self._history is not None:
            sample, size = self._history, self._history.scores.shape[1]
        else:
            self._seen = [joined(self._seen)]
            sample, size = self._seen[0], self.arrived
        return dual.solve(*sample, np.maximum(left, 0) * (size / to_come), near=self.gamma)


def port_rh_plus(budgets: np.ndarray, horizon: int, known: Estimates) -> AdaptivePort:
    """The router of PORT-RH+, given leave-one-out estimates (M, E) of the history.

    They are weighted by what is still to come, the budgets left are consulted before every query, and
    prices are solved again twice as often as in PORT-RH.
    """
    return AdaptivePort(
        budgets, horizon, every=EVERY // 2, history=known, depleting=True, affordable=True
    )


class Remaining:
    """The history (M, E), weighted by how many arrivals of its kind are still to come.

    History and stream are taken to be of one mix, in whatever order the stream arrives. Each
    historical query then represents N / E arrivals, and an arrival reduces the weights of those it is
    most like, in what alone matters for prices: estimated scores and costs.

    Parameters
    ----------
    history : leave-one-out estimates of the history. horizon : N, the arrivals in all.
    """

    def __init__(self, history: Estimates, horizon: int) -> None:
        E = history.scores.shape[1]
        self._history, self._to_come = history, horizon
        self._units = [np.maximum(v.std(axis=1), 1e-12)[:, None] for v in history]
        self._points = self._scaled(history)
        self._weight, self._spread = np.full(E, horizon / E), min(SPREAD, E)

    def see(self, arrivals: Estimates) -> None:
        """Reduce the weights by the arrivals (M, n)."""
        for point in self._scaled(arrivals):
            distance = np.square(self._points - point).sum(axis=1)
            nearest = np.argpartition(distance, self._spread - 1)[: self._spread]
            self._weight[nearest] -= 1.0 / self._spread
            self._to_come -= 1

    @property
    def weights(self) -> np.ndarray:
        """Arrivals to come of the kind of each historical query, (E,); they add up to all of them."""
        left = np.maximum(self._weight, 0.0)
        if not left.any():
            left = np.ones_like(left)
        return left * (self._to_come / left.sum())

    def sample(self) -> Estimates:
        """The history with scores and costs times the weights, which weighs the dual's terms so."""
        weights = self.weights
        return Estimates(*(values * weights for values in self._history))

    def _scaled(self, estimates: Estimates) -> np.ndarray:
        """Estimates in units of their spread over the history: (n, 2 M)."""
        return np.concatenate([v / u for v, u in zip(estimates, self._units, strict=True)]).T.copy()
