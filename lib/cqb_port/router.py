"""PORT: random first phase, one optimisation, fixed prices after it (arXiv 2509.02718)."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from . import checks, dual
from .admission import DECLINED
from .features import Estimates


class FewSamplesWarning(UserWarning):
    """The first phase is short for the number of prices that it has to fit."""


class Router(Protocol):
    """Chooses models from estimates, in order of arrival; admission is not its business."""

    def block(self, arrived: int) -> int:
        """How many queries from number `arrived` on may be chosen for before the next look at
        the budgets that are left."""

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
    settings: PortSettings,
    left: np.ndarray | None = None,
) -> np.ndarray:
    """argmax_i alpha d_ij - gamma_i g_ij, ties to the lowest; -1 where dual mode declines.

    `gamma` is on the scale of alpha = 1. Dual mode compares at alpha = 1, which decides the same.
    With `left`, (M,) dollars, a model is out of the question where the estimated cost is above it.
    """
    weighed = estimates.scores - gamma[:, None] * estimates.costs
    if left is not None:
        weighed[estimates.costs > left[:, None]] = -np.inf
    best = weighed.argmax(axis=0)
    if settings.mode == "dual":
        best[weighed.max(axis=0) <= 0.0] = DECLINED
    return best


class Port:
    """The published router.

    Parameters
    ----------
    budgets : (M,) dollars for all `horizon` queries. horizon : N, which must be known.
    random : generator of the first phase; all of it is drawn here.
    gamma : prices (M,) to use instead of optimising, on the scale of alpha = 1.

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
        self._budgets = checks.budgets(budgets)
        if horizon < 1:
            raise ValueError(f"horizon: found {horizon}, expected at least 1 query")
        self.horizon = horizon
        self.L = sample_size(settings.epsilon, horizon)
        if self.L == 0 and gamma is None:
            raise ValueError(
                f"epsilon: found {settings.epsilon} for {horizon} queries, which leaves no sample to "
                "optimise on; expected 0 < epsilon <= 1, or prices"
            )
        M = self._budgets.size
        self._warm_up = random.integers(0, M + 1, size=self.L)
        self._seen: list[Estimates] = []
        self.arrived, self.gamma = 0, gamma
        self.solutions: list[dual.Prices] = []
        if settings.mode == "dual" and gamma is None and min(10 * M, horizon) > self.L:
            warnings.warn(
                f"{self.L} queries of the first phase fit {M} prices; expected at least {10 * M}",
                FewSamplesWarning,
                stacklevel=2,
            )

    @property
    def report(self) -> str:
        """In words, how far the run has come and whether prices have been fitted."""
        state = "prices fitted once" if self.solutions else "prices never fitted"
        return f"{self.arrived} of {self.horizon} queries, first phase {self.L}, {state}"

    def block(self, arrived: int) -> int:
        return self.horizon

    def choose(self, estimates: Estimates, left: np.ndarray) -> np.ndarray:
        n = estimates.scores.shape[1]
        random_part = min(n, max(0, self.L - self.arrived))
        if random_part:
            self._seen.append(estimates.part(0, random_part))
        drawn = self._warm_up[self.arrived : self.arrived + random_part]
        choices = np.where(drawn == self._budgets.size, DECLINED, drawn)
        self.arrived += n
        if random_part == n:
            return choices
        if self.gamma is None:
            self._optimise()
        later = self.weigh(estimates.part(random_part, n), left)
        return np.concatenate([choices, later])

    def weigh(self, estimates: Estimates, left: np.ndarray) -> np.ndarray:
        """What the prices say, once there are any; nothing is noted."""
        return best_models(self.gamma, estimates, self.settings)

    def _optimise(self) -> None:
        """Once: the prices of the first phase's estimates under its share of the budgets.

        That is L / N. The published code takes epsilon, which is less where epsilon N is not whole
        (at 882 queries, by 4% of every budget); reference mode follows it.
        """
        mode, sample = self.settings.mode, joined(self._seen)
        share = self.settings.epsilon if mode == "reference" else self.L / self.horizon
        budgets = share * self._budgets
        solution = dual.solve(*sample, budgets, mode=mode, alpha=self.settings.alpha)
        self.solutions.append(solution)
        self.gamma = solution.gamma
        self._seen = []


def joined(parts: list[Estimates]) -> Estimates:
    """Estimates of several batches side by side."""
    return Estimates(*(np.concatenate(arrays, axis=1) for arrays in zip(*parts, strict=True)))
