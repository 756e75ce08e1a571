"""The baselines of arXiv 2509.02718; which estimates they are given makes Greedy, KNN or Roberta.

Greedy-* are the rules on neighbours of an approximate index, KNN-* the same on exact neighbours,
and Roberta-* the same on the predictions of a trained encoder: any matrices of estimates will do.
All go through the same admission, and none has a fallback.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array

from . import checks
from .admission import DECLINED
from .features import Estimates

BATCH = 256  # BatchSplit's mini-batch
# Limits in nodes, not seconds: a result must not depend on how busy the machine is.
MILP_OPTIONS = {"mip_rel_gap": 1e-2, "node_limit": 200}


class RandomRouter:
    """A uniformly random model for every query."""

    def __init__(self, budgets: np.ndarray, horizon: int, *, random: np.random.Generator) -> None:
        self._draws = random.integers(0, len(budgets), size=horizon)
        self._arrived = 0

    def block(self, arrived: int) -> int:
        return self._draws.size

    def choose(self, estimates: Estimates, left: np.ndarray) -> np.ndarray:
        n = estimates.scores.shape[1]
        self._arrived += n
        return self._draws[self._arrived - n : self._arrived]


class PerfRouter:
    """Greedy-Perf, KNN-Perf: the model of largest estimated score, whatever it costs."""

    def block(self, arrived: int) -> int:
        return 1 << 30

    def choose(self, estimates: Estimates, left: np.ndarray) -> np.ndarray:
        return estimates.scores.argmax(axis=0)


class CostRouter:
    """Greedy-Cost, KNN-Cost: the model with the largest budget left by its own estimates.

    The estimated cost is charged even where admission then drops the query, so this follows
    what it believes, not what was spent.
    """

    def __init__(self, budgets: np.ndarray) -> None:
        self._believed = checks.budgets(budgets).tolist()

    def block(self, arrived: int) -> int:
        return 1 << 30

    def choose(self, estimates: Estimates, left: np.ndarray) -> np.ndarray:
        choices, believed = [], self._believed
        for costs in estimates.costs.T.tolist():
            model = believed.index(max(believed))
            believed[model] -= costs[model]
            choices.append(model)
        return np.array(choices, np.int64)


class BatchSplit:
    """Solves each mini-batch as a binary programme under the budgets that it believes are left.

    Admission is apart, under the true budgets; queries that the programme leaves out are lost.
    A batch is what is handed over, cut at 256 queries.
    """

    def __init__(self, budgets: np.ndarray, batch: int = BATCH) -> None:
        self._believed, self._batch = checks.budgets(budgets), batch

    def block(self, arrived: int) -> int:
        return self._batch

    def choose(self, estimates: Estimates, left: np.ndarray) -> np.ndarray:
        x = assign(*estimates, np.maximum(self._believed, 0.0), integral=True)
        self._believed = self._believed - (x * estimates.costs).sum(axis=1)
        return np.where(x.any(axis=0), x.argmax(axis=0), DECLINED)


def assign(
    scores: np.ndarray, costs: np.ndarray, budgets: np.ndarray, *, integral: bool
) -> np.ndarray:
    """The best split of queries over models, x (M, n), by HiGHS: scores up, budgets kept.

    With `integral`, x is 0 or 1 (to a relative gap of 1e-2); else the linear programme's optimum.

    Raises
    ------
    RuntimeError
        The solver found no feasible point (within 200 nodes).
    """
    M, n = scores.shape
    # An empty budget's row in units of its costs: in dollars they would pass for the solver's tolerance.
    dearest = costs.max(axis=1)
    unit = np.where(budgets > 0, budgets, np.where(dearest > 0, dearest, 1.0))
    model, query = np.divmod(np.arange(M * n), n)
    rows = np.concatenate([model, M + query])
    values = np.concatenate([(costs / unit[:, None]).reshape(-1), np.ones(M * n)])
    table = coo_array((values, (rows, np.tile(np.arange(M * n), 2))), shape=(M + n, M * n)).tocsr()
    limits = np.concatenate([(budgets > 0).astype(float), np.ones(n)])
    found = milp(
        -scores.reshape(-1),
        integrality=np.full(M * n, int(integral)),
        bounds=Bounds(0, 1),
        constraints=LinearConstraint(table, ub=limits),
        options=MILP_OPTIONS if integral else {},
    )
    if found.x is None:
        raise RuntimeError(f"HiGHS found no assignment: {found.message}")
    x = found.x.reshape(M, n)
    return (x > 0.5).astype(float) if integral else x
