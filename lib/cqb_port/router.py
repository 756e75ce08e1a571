"""PORT: random first phase, one optimisation, fixed prices after it (arXiv 2509.02718)."""

from __future__ import annotations

import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from . import checks, dual
from .features import Estimates

DECLINED = -1  # the choice of no model
UNLIMITED = 1 << 30  # queries


class FewSamplesWarning(UserWarning):
    """The first phase is short for the number of prices that it has to fit."""


@contextmanager
def few_samples_expected() -> Iterator[None]:
    """Silence :class:`FewSamplesWarning`, where a short first phase is part of the result.

    A slice of 882 queries leaves 23 to fit 11 prices on.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FewSamplesWarning)
        yield


class Router(ABC):
    """Chooses models from estimates, in order of arrival; admission is not its business."""

    def block(self, arrived: int) -> int:
        """How many queries may be chosen for at once, before the router must see the budgets again.

        Parameters
        ----------
        arrived : queries that came before.
        """
        return UNLIMITED

    @abstractmethod
    def choose(self, estimates: Estimates, left: np.ndarray) -> np.ndarray:
        """Models (n,) for the next queries, -1 for none; `left` (M,) is what remains in dollars."""


@dataclass(frozen=True)
class PortSettings:
    """Settings of PORT.

    Attributes
    ----------
    epsilon : share of the queries in the random first phase, 0 < epsilon <= 1 (0 only where
        prices are supplied). alpha : weight of scores; matters in reference mode only.
    mode : "dual" (ours: may decline, prices unbounded) or "reference" (the published code).
    """

    epsilon: float = 0.025
    alpha: float = 1e-4
    mode: str = "dual"

    def __post_init__(self) -> None:
        dual.check_mode(self.mode, self.alpha)
        if not 0.0 <= self.epsilon <= 1.0:
            raise ValueError(f"epsilon: found {self.epsilon}, expected 0 < epsilon <= 1")


def sample_size(epsilon: float, horizon: int) -> int:
    """L, the queries of the first phase: ceil(epsilon N), safe from rounding."""
    return math.ceil(epsilon * horizon - 1e-9)


def best_models(
    gamma: np.ndarray,
    estimates: Estimates,
    mode: str = "dual",
    left: np.ndarray | None = None,
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


def joined(parts: list[Estimates]) -> Estimates:
    """The estimates of several batches as one."""
    return Estimates(*(np.concatenate(arrays, axis=1) for arrays in zip(*parts, strict=True)))


class PricedRouter(Router):
    """A random first phase, then the best model at the current prices.

    Parameters
    ----------
    budgets : (M,) dollars for all `horizon` queries. horizon : N, which must be known.
    first : queries of the first phase. random : its generator; all of it is drawn here.
    gamma : prices (M,) to begin with, on the scale of alpha = 1.

    Raises
    ------
    ValueError
        The horizon is less than 1, or a budget is negative.
    """

    mode = "dual"

    def __init__(
        self,
        budgets: np.ndarray,
        horizon: int,
        first: int,
        random: np.random.Generator | None,
        gamma: np.ndarray | None = None,
    ) -> None:
        self.budgets = checks.budgets(budgets)
        if horizon < 1:
            raise ValueError(f"horizon: found {horizon}, expected at least 1 query")
        self.horizon, self.L, self.gamma = horizon, first, gamma
        self.arrived = self.solutions = 0
        self._seen: list[Estimates] = []
        M = self.budgets.size
        self._first = random.integers(0, M + 1, size=first) if first else np.empty(0, np.int64)
        self._first[self._first == M] = DECLINED

    def block(self, arrived: int) -> int:
        return self.L - arrived if arrived < self.L else UNLIMITED

    def choose(self, estimates: Estimates, left: np.ndarray) -> np.ndarray:
        at, n = self.arrived, estimates.scores.shape[1]
        if at >= self.L and self._due():
            self.gamma = self._solve(left).gamma
            self.solutions += 1
        self.arrived += n
        self._record(estimates)
        return self._first[at : at + n] if at < self.L else self.by_prices(estimates, left)

    def by_prices(self, estimates: Estimates, left: np.ndarray) -> np.ndarray:
        """The best models (n,) at the current prices; the state of the router does not change."""
        return best_models(self.gamma, estimates, self.mode)

    def _due(self) -> bool:
        """Whether prices must be found before the next query."""
        return self.gamma is None

    def _record(self, estimates: Estimates) -> None:
        """Keep what prices will be fitted on; called once for every query."""
        self._seen.append(estimates)

    @abstractmethod
    def _solve(self, left: np.ndarray) -> dual.Prices:
        """Prices for the queries to come; `left` (M,) is what remains in dollars."""


class Port(PricedRouter):
    """The published router.

    Parameters
    ----------
    gamma : prices (M,) to use instead of optimising. Others are those of :class:`PricedRouter`.

    Raises
    ------
    ValueError
        epsilon is 0 and no prices are supplied, or the horizon is less than 1.
    """

    def __init__(
        self,
        budgets: np.ndarray,
        horizon: int,
        settings: PortSettings | None = None,
        *,
        random: np.random.Generator,
        gamma: np.ndarray | None = None,
    ) -> None:
        self.settings = settings = settings or PortSettings()
        self.mode = settings.mode
        super().__init__(budgets, horizon, sample_size(settings.epsilon, horizon), random, gamma)
        if self.L == 0 and gamma is None:
            raise ValueError(
                f"epsilon: found {settings.epsilon} for {horizon} queries, which leaves no sample to "
                "optimise on; expected 0 < epsilon <= 1, or prices"
            )
        needed = 10 * self.budgets.size
        if self.mode == "dual" and gamma is None and min(needed, horizon) > self.L:
            warnings.warn(
                f"{self.L} queries of the first phase fit {self.budgets.size} prices; expected at "
                f"least {needed}",
                FewSamplesWarning,
                stacklevel=2,
            )

    @property
    def report(self) -> str:
        """In words, how far the run has come and whether prices have been fitted."""
        state = "prices fitted once" if self.solutions else "prices never fitted"
        return f"{self.arrived} of {self.horizon} queries, first phase {self.L}, {state}"

    def _record(self, estimates: Estimates) -> None:
        if self.gamma is None:
            super()._record(estimates)

    def _solve(self, left: np.ndarray) -> dual.Prices:
        """Prices of the first phase's estimates under its share of the budgets.

        That is L / N. The published code takes epsilon, which is less where epsilon N is not whole
        (at 882 queries, by 4% of every budget); reference mode follows it.
        """
        share = self.settings.epsilon if self.mode == "reference" else self.L / self.horizon
        sample, self._seen = joined(self._seen), []
        budgets = share * self.budgets
        return dual.solve(*sample, budgets, mode=self.mode, alpha=self.settings.alpha)
