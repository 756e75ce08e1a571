"""PORT as published, and beyond it: prices that are updated, and prices from the history.

PORT (arXiv 2509.02718) sends its first queries to random models, fits one price per model on their
estimates, and routes by these prices. PORT-R solves again on a schedule, with the queries seen so far
and the budgets that are left. PORT-H takes its prices from estimates on the history (each query without
its own outcome), so that no query has to be spent on a random phase. PORT-RH does both: the history's
estimates represent the queries still to come, and the budgets that are left are for those. Where the
order of arrival cannot be trusted to be random, the history is weighted by what is still to come of it;
and where budgets are few queries wide, no model is asked for what it can no longer afford.
"""

import math
import warnings
from abc import abstractmethod

import numpy as np

from . import checks, dual
from .features import Estimates
from .session import DECLINED, UNLIMITED, Router

EVERY = 50  # queries between two solutions
SPREAD = 40  # historical queries whose weights an arrival reduces, in equal parts


class FewSamplesWarning(UserWarning):
    """The first phase is short for the number of prices that it has to fit."""


def few_samples_expected() -> warnings.catch_warnings:
    """A context without :class:`FewSamplesWarning`: a short first phase is part of some results.

    A slice of 882 queries leaves 23 to fit 11 prices on.
    """
    return warnings.catch_warnings(action="ignore", category=FewSamplesWarning)


def best_models(
    gamma: np.ndarray, estimates: Estimates, mode: str = "dual", left: np.ndarray | None = None
) -> np.ndarray:
    """argmax_i d_ij - gamma_i g_ij, ties to the lowest; -1 where dual mode declines.

    `gamma` is on the scale of alpha = 1, which decides the same as any other. With `left`, (M,)
    dollars, a model whose estimated cost is above it is excluded.
    """
    net = estimates.scores - gamma[:, None] * estimates.costs
    if left is not None:
        net[estimates.costs > left[:, None]] = -np.inf
    best = net.argmax(axis=0)
    if mode == "dual":
        best[net.max(axis=0) <= 0.0] = DECLINED
    return best


class PricedRouter(Router):
    """A random first phase, then the best model at the current prices.

    Parameters
    ----------
    budgets : (M,) dollars for all `horizon` queries. horizon : N, which must be known.
    first : queries of the first phase. random : its generator; all of it is drawn here.

    Attributes
    ----------
    L : `first`. arrived : queries seen. solutions : how often prices were found.

    Raises
    ------
    ValueError
        The horizon is less than 1, or a budget is negative.
    """

    mode = "dual"
    depleting = False  # leave a model out where the estimated cost is more than what it has left
    every: int | None = None  # solve again before each query whose number is a multiple of it
    gamma: np.ndarray | None = None  # prices (M,) on the scale of alpha = 1

    def __init__(
        self, budgets: np.ndarray, horizon: int, first: int, random: np.random.Generator | None
    ) -> None:
        self.budgets = checks.budgets(budgets)
        if horizon < 1:
            raise ValueError(f"horizon: found {horizon}, expected at least 1 query")
        self.horizon, self.L = horizon, first
        self.arrived = self.solutions = 0
        self._seen: list[Estimates] = []
        M = self.budgets.size
        self._first = random.integers(0, M + 1, size=first) if first else np.empty(0, np.int64)
        self._first[self._first == M] = DECLINED

    def block(self, arrived: int) -> int:
        if arrived < self.L:
            return self.L - arrived
        if self.depleting:
            return 1
        return self.every - arrived % self.every if self.every else UNLIMITED

    def choose(self, estimates: Estimates, left: np.ndarray) -> np.ndarray:
        at, n = self.arrived, estimates.scores.shape[1]
        scheduled = self.every and at % self.every == 0
        if at >= self.L and (self.gamma is None or scheduled):
            self.gamma = self._solve(left).gamma
            self.solutions += 1
        self.arrived += n
        if at < self.L or self.every:  # a later solution needs them
            self._seen.append(estimates)
        return self._first[at : at + n] if at < self.L else self.by_prices(estimates, left)

    def by_prices(self, estimates: Estimates, left: np.ndarray) -> np.ndarray:
        """The best models (n,) at the current prices; the state of the router does not change."""
        return best_models(self.gamma, estimates, self.mode, left if self.depleting else None)

    def _joined(self) -> Estimates:
        """The estimates of all queries seen, (M, n)."""
        self._seen = [
            Estimates(*(np.concatenate(v, axis=1) for v in zip(*self._seen, strict=True)))
        ]
        return self._seen[0]

    @abstractmethod
    def _solve(self, left: np.ndarray) -> dual.Prices:
        """Prices for the queries to come; `left` (M,) is what remains in dollars."""


class Port(PricedRouter):
    """The published router.

    Parameters
    ----------
    epsilon : share of the queries in the random first phase, 0 < epsilon <= 1 (0 only where
        prices are supplied). alpha : weight of scores; matters in reference mode only.
    mode : "dual" (ours: may decline, prices unbounded) or "reference" (the published code).
    gamma : prices (M,) to use instead of optimising, on the scale of alpha = 1.
    Others are those of :class:`PricedRouter`.

    Raises
    ------
    ValueError
        A value out of range, an unknown mode, or epsilon is 0 and no prices are supplied.
    """

    def __init__(
        self,
        budgets: np.ndarray,
        horizon: int,
        *,
        random: np.random.Generator,
        epsilon: float = 0.025,
        alpha: float = 1e-4,
        mode: str = "dual",
        gamma: np.ndarray | None = None,
    ) -> None:
        dual.check_mode(mode, alpha)
        if not 0.0 <= epsilon <= 1.0 or (gamma is None and epsilon * horizon <= 1e-9):
            raise ValueError(
                f"epsilon: found {epsilon} for a horizon of {horizon} queries, expected "
                "0 < epsilon <= 1, or prices where there is no first phase"
            )
        # ceil(epsilon N), safe from rounding
        super().__init__(budgets, horizon, math.ceil(epsilon * horizon - 1e-9), random)
        self.epsilon, self.alpha, self.mode, self.gamma = epsilon, alpha, mode, gamma
        needed = 10 * self.budgets.size
        if self.mode == "dual" and gamma is None and min(needed, horizon) > self.L:
            found = f"{self.L} queries of the first phase fit {self.budgets.size} prices"
            message = f"{found}; expected at least {needed}"
            warnings.warn(message, FewSamplesWarning, stacklevel=2)

    @property
    def report(self) -> str:
        """In words, how far the run has come and whether prices have been fitted."""
        state = "prices fitted once" if self.solutions else "prices never fitted"
        return f"{self.arrived} of {self.horizon} queries, first phase {self.L}, {state}"

    def _solve(self, left: np.ndarray) -> dual.Prices:
        """Prices of the first phase's estimates under its share of the budgets.

        That is L / N. The published code takes epsilon, which is less where epsilon N is not whole
        (at 882 queries, by 4% of every budget); reference mode follows it.
        """
        share = self.epsilon if self.mode == "reference" else self.L / self.horizon
        budgets = share * self.budgets
        return dual.solve(*self._joined(), budgets, mode=self.mode, alpha=self.alpha)


class AdaptivePort(PricedRouter):
    """PORT-R (no history), PORT-H (`every` None) or PORT-RH (both).

    Parameters
    ----------
    every : solve again before each query whose number is a multiple of it; None: solve once.
    history : leave-one-out estimates (M, E) of the history.
    depleting : weigh the history by the kinds of queries still to come (:class:`Remaining`), and leave a
        model out where the estimated cost is more than what it has left.
    random : generator of PORT-R's random first phase, which lasts `every` queries.
    Others are those of :class:`PricedRouter`.

    Raises
    ------
    ValueError
        `every` is less than 1, there is neither a schedule nor a history, a random phase has no
        generator, or `depleting` no history.
    """

    def __init__(
        self,
        budgets: np.ndarray,
        horizon: int,
        *,
        every: int | None = EVERY,
        history: Estimates | None = None,
        depleting: bool = False,
        random: np.random.Generator | None = None,
    ) -> None:
        if history is None and (every is None or random is None or depleting):
            raise ValueError(
                "history: found none, expected one, or a schedule, a generator and no depleting"
            )
        if every is not None and every < 1:
            raise ValueError(f"every: found {every}, expected at least 1 query, or None")
        first = min(every, horizon) if history is None else 0
        super().__init__(budgets, horizon, first, random)
        self._history, self.depleting, self.every = history, depleting, every
        self._remaining = Remaining(history, horizon) if depleting else None

    def _solve(self, left: np.ndarray) -> dual.Prices:
        """Prices of a sample that represents what is to come: the budgets are scaled to its size."""
        to_come = self.horizon - self.arrived
        if self.depleting:
            for arrivals in self._seen:
                self._remaining.see(arrivals)
            self._seen = []
            sample, size = self._remaining.sample(), to_come
        elif self._history is not None:
            sample, size = self._history, self._history.scores.shape[1]
        else:
            sample, size = self._joined(), self.arrived
        return dual.solve(*sample, np.maximum(left, 0) * (size / to_come), near=self.gamma)


def port_rh_plus(budgets: np.ndarray, horizon: int, known: Estimates) -> AdaptivePort:
    """The router of PORT-RH+, given leave-one-out estimates (M, E) of the history.

    They are weighted by what is still to come, the budgets left are consulted before every query, and
    prices are solved again twice as often as in PORT-RH.
    """
    return AdaptivePort(budgets, horizon, every=EVERY // 2, history=known, depleting=True)


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
        return Estimates(*(values * self.weights for values in self._history))

    def _scaled(self, estimates: Estimates) -> np.ndarray:
        """Estimates in units of their spread over the history: (n, 2 M)."""
        return np.concatenate([v / u for v, u in zip(estimates, self._units, strict=True)]).T.copy()
