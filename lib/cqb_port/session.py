"""What a router is, and a router at work: choices, admission, and metrics (arXiv 2509.02718).

A model serves a query only if its true cost still fits its budget.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from . import checks
from .features import Estimates

DECLINED = -1  # the choice of no model
UNLIMITED = 1 << 30  # queries


class Ledger:
    """What each model may spend and has spent, and the queries it served or lost; readable any time.

    Attributes
    ----------
    budgets, spent : (M,) dollars. served, lost : (M,) queries.
    """

    def __init__(self, budgets: np.ndarray, spent: np.ndarray | None = None) -> None:
        self.budgets = checks.budgets(budgets)
        self.spent = np.zeros_like(self.budgets) if spent is None else np.array(spent, float)
        self.served, self.lost = np.zeros((2, self.budgets.size), np.int64)

    @property
    def left(self) -> np.ndarray:
        """Budget that remains, (M,) dollars."""
        return self.budgets - self.spent

    def admit(self, choices: np.ndarray, costs: np.ndarray) -> np.ndarray:
        """Serve choices (n,) in order of arrival with true costs (M, n); bool (n,) of those served.

        Money is added one query at a time in float64, so no budget is ever exceeded, not even by
        rounding. A query that does not fit is lost, without charge; a later, cheaper one may fit.
        """
        spent, budgets = self.spent.tolist(), self.budgets.tolist()
        admitted = np.zeros(len(choices), bool)
        chosen_cost = costs[choices, np.arange(len(choices))].tolist()
        for place, (model, cost) in enumerate(zip(choices.tolist(), chosen_cost, strict=True)):
            if model != DECLINED and (total := spent[model] + cost) <= budgets[model]:
                spent[model] = total
                admitted[place] = True
        self.spent = np.array(spent)
        rejected = (choices != DECLINED) & ~admitted
        self.served += np.bincount(choices[admitted], minlength=self.budgets.size)
        self.lost += np.bincount(choices[rejected], minlength=self.budgets.size)
        return admitted

    def charge(self, models: tuple[int, ...], costs: np.ndarray) -> bool:
        """Charge every one of `models` its cost, (M,) dollars, if all of them fit; whether they did."""
        these = list(models)
        total = self.spent[these] + costs[these]
        if (total > self.budgets[these]).any():
            return False
        self.spent[these] = total
        return True


@dataclass(frozen=True, eq=False)
class Outcome:
    """What happened to n queries.

    Attributes
    ----------
    choices : (n,) int, the model asked for, -1 where the router declined.
    admitted : (n,) bool, served. scores, costs : (n,) of those served, 0 elsewhere.
    """

    choices: np.ndarray
    admitted: np.ndarray
    scores: np.ndarray
    costs: np.ndarray


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


class Session:
    """Serves queries until the horizon; how they are cut into batches makes no difference.

    (BatchSplit is the exception: it decides batch by batch, by its nature.)
    """

    def __init__(self, router: Router, budgets: np.ndarray, horizon: int) -> None:
        self.router, self.horizon, self.arrived = router, horizon, 0
        self.ledger = Ledger(budgets)

    def serve(self, estimates: Estimates, scores: np.ndarray, costs: np.ndarray) -> Outcome:
        """Route and admit the next queries, in order of arrival.

        Parameters
        ----------
        estimates : of the queries, (M, n). scores, costs : what they truly are, (M, n).

        Raises
        ------
        ValueError
            More than `horizon` queries in all, shapes that do not fit, or values out of range.
        """
        d = checks.numbers("scores", scores, (self.ledger.budgets.size, None), 0.0, 1.0)
        g = checks.numbers("costs", costs, d.shape, 0.0)
        for name, values in zip(("estimated scores", "estimated costs"), estimates, strict=True):
            checks.numbers(name, values, d.shape)
        n = d.shape[1]
        if (total := self.arrived + n) > self.horizon:
            raise ValueError(
                f"queries: found {total}, expected at most the {self.horizon} announced"
            )
        choices, admitted = np.empty(n, np.int64), np.empty(n, bool)
        start = 0
        while start < n:
            stop = min(n, start + self.router.block(self.arrived))
            part = slice(start, stop)
            choices[part] = self.router.choose(estimates.at(part), self.ledger.left)
            admitted[part] = self.ledger.admit(choices[part], g[:, part])
            self.arrived += stop - start
            start = stop
        values = (np.where(admitted, v[choices, np.arange(n)], 0.0) for v in (d, g))
        return Outcome(choices, admitted, *values)


def replay(
    router: Router, budgets: np.ndarray, estimates: Estimates, scores: np.ndarray, costs: np.ndarray
) -> Outcome:
    """A whole stream (M, n) through one router; the horizon is the length of the stream."""
    return Session(router, budgets, scores.shape[1]).serve(estimates, scores, costs)


def measure(outcome: Outcome) -> dict[str, float]:
    """The metrics of an outcome.

    perf : total score of served queries. cost : dollars. ppc : perf per dollar, 0 without cost.
    throughput : queries served. declined, lost : queries refused by the router, by admission.
    """
    perf, cost = float(outcome.scores.sum()), float(outcome.costs.sum())
    served, declined = int(outcome.admitted.sum()), int((outcome.choices == DECLINED).sum())
    lost = outcome.choices.size - served - declined
    money = {"perf": perf, "cost": cost, "ppc": perf / cost if cost > 0 else 0.0}
    return {**money, "throughput": served, "declined": declined, "lost": lost}
