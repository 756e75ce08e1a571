"""Beyond the published router: prices that are kept up to date, and prices from the history.

PORT-R re-solves on a schedule, with the queries seen so far and the budgets that are left. PORT-H
takes its prices from estimates on the history (each query without its own outcome), so that no
query has to be spent on a random phase. PORT-RH does both: the history's estimates stand for
the queries still to come, and the budgets that are left for those they may spend. Where the order
of arrival cannot be trusted to be random, the history is weighted by what is still to come of it; and
where budgets are few queries wide, no model is asked for what it can no longer afford.
"""

from __future__ import annotations

import numpy as np

from . import checks, dual
from .admission import DECLINED
from .features import Estimates
from .remaining import Remaining
from .router import PortSettings, best_models, joined

EVERY = 50  # queries between two solutions
RULE = PortSettings(mode="dual")


class BeyondPort:
    """PORT-R (no history), PORT-H (`every` None) or PORT-RH (both).

    Parameters
    ----------
    budgets : (M,) dollars for all `horizon` queries. horizon : N.
    every : re-solve before each query whose number is a multiple of it; None: solve once.
    history : leave-one-out estimates (M, E) of the history.
    depleting : weigh the history by the kinds of queries still to come (:mod:`.remaining`).
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
        M = checks.budgets(budgets).size
        if every is not None and every < 1:
            raise ValueError(f"every: found {every}, expected at least 1 query, or None")
        if history is None and (every is None or random is None):
            raise ValueError("history: found none, so a schedule and a generator are needed")
        if depleting and history is None:
            raise ValueError("depleting: there is no history to weigh")
        self._every, self._history, self._affordable = every, history, affordable
        self.horizon, self.arrived, self.gamma = horizon, 0, None
        self.solutions = 0
        self._seen: list[Estimates] = []
        self._remaining = Remaining(history, horizon) if depleting else None
        first = min(every, horizon) if history is None else 0
        self._warm_up = random.integers(0, M + 1, size=first) if first else np.empty(0, np.int64)
        self._warm_up[self._warm_up == M] = DECLINED

    def block(self, arrived: int) -> int:
        if self._affordable:
            return 1
        if self._every is None:
            return self.horizon
        return self._every - arrived % self._every

    def choose(self, estimates: Estimates, left: np.ndarray) -> np.ndarray:
        at, n = self.arrived, estimates.scores.shape[1]
        if at >= self._warm_up.size and self._due(at):
            self._solve(left)
        self.arrived += n
        if self._history is None:
            self._seen.append(estimates)
        if self._remaining is not None:
            self._remaining.see(estimates)
        if at < self._warm_up.size:
            return self._warm_up[at : at + n]
        return self.weigh(estimates, left)

    def weigh(self, estimates: Estimates, left: np.ndarray) -> np.ndarray:
        """What the prices say, once there are any; nothing is noted."""
        return best_models(self.gamma, estimates, RULE, left if self._affordable else None)

    def _due(self, at: int) -> bool:
        return self.gamma is None or (self._every is not None and at % self._every == 0)

    def _solve(self, left: np.ndarray) -> None:
        """Prices for what is to come: the sample stands for it, so the budgets are scaled to it."""
        sample, size = self._sample()
        share = size / (self.horizon - self.arrived)
        self.gamma = dual.solve(*sample, np.maximum(left, 0) * share, near=self.gamma).gamma
        self.solutions += 1

    def _sample(self) -> tuple[Estimates, float]:
        """Queries like those to come, and how many arrivals they stand for as they are."""
        if self._remaining is not None:
            return self._remaining.sample(), self.horizon - self.arrived
        if self._history is not None:
            return self._history, self._history.scores.shape[1]
        self._seen = [joined(self._seen)]
        return self._seen[0], self._seen[0].scores.shape[1]


def plus(budgets: np.ndarray, horizon: int, known: Estimates) -> BeyondPort:
    """The router of PORT-RH+, given leave-one-out estimates (M, E) of the history.

    They are weighted by what is still to come, what is left is looked at before every query, and
    prices are solved again twice as often as in PORT-RH.
    """
    return BeyondPort(
        budgets, horizon, every=EVERY // 2, history=known, depleting=True, affordable=True
    )
