"""Hard budgets: a model serves a query only if its true cost still fits."""

from __future__ import annotations

import numpy as np

from . import checks

DECLINED = -1


class Ledger:
    """What each model may spend, has spent, and had to turn away; it can be read at any time.

    Attributes
    ----------
    budgets, spent : (M,) dollars. served, lost : (M,) queries.
    """

    def __init__(self, budgets: np.ndarray, spent: np.ndarray | None = None) -> None:
        self.budgets = checks.budgets(budgets)
        self.spent = np.zeros_like(self.budgets) if spent is None else np.array(spent, float)
        self.served = np.zeros(self.budgets.size, np.int64)
        self.lost = np.zeros(self.budgets.size, np.int64)

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
        asked = np.asarray(choices)
        chosen_cost = costs[asked, np.arange(len(asked))].tolist()
        for place, (model, cost) in enumerate(zip(asked.tolist(), chosen_cost, strict=True)):
            if model == DECLINED:
                continue
            total = spent[model] + cost
            if total <= budgets[model]:
                spent[model] = total
                admitted[place] = True
        self.spent = np.array(spent)
        sent = asked != DECLINED
        self.served += np.bincount(asked[admitted], minlength=self.budgets.size)
        self.lost += np.bincount(asked[sent & ~admitted], minlength=self.budgets.size)
        return admitted
