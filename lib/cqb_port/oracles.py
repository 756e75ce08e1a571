"""What could be had with the whole stream in hand: Approx Optimum, Optimum and the LP bound."""

from __future__ import annotations

import numpy as np

from . import dual
from .admission import DECLINED
from .baselines import assign
from .features import Estimates


class Planned:
    """Chooses what a plan made beforehand says, query by query."""

    def __init__(self, choices: np.ndarray) -> None:
        self._choices, self._arrived = np.asarray(choices), 0

    def block(self, arrived: int) -> int:
        return self._choices.size

    def choose(self, estimates: Estimates, left: np.ndarray) -> np.ndarray:
        n = estimates.scores.shape[1]
        self._arrived += n
        return self._choices[self._arrived - n : self._arrived]


def optimal_plan(estimates: Estimates, budgets: np.ndarray) -> np.ndarray:
    """The linear programme's choice for every query, (n,): argmax_i x_ij, -1 where all are 0.

    On estimates this is Approx Optimum, on true scores and costs Optimum; admission comes after.
    """
    x = assign(*estimates, np.asarray(budgets, float), integral=False)
    return np.where(x.max(axis=0) > 1e-9, x.argmax(axis=0), DECLINED)


def dual_plan(estimates: Estimates, budgets: np.ndarray) -> np.ndarray:
    """The same without a solver for linear programmes: the rule of the full dual's prices."""
    prices = dual.solve(*estimates, budgets)
    weighed = estimates.scores - prices.gamma[:, None] * estimates.costs
    return np.where(weighed.max(axis=0) > 0, weighed.argmax(axis=0), DECLINED)


def lp_value(scores: np.ndarray, costs: np.ndarray, budgets: np.ndarray) -> float:
    """The optimum of the linear programme on true scores and costs (M, n), by HiGHS."""
    return float((assign(scores, costs, budgets, integral=False) * scores).sum())
