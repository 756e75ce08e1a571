"""The baselines and oracles of arXiv 2509.02718; the estimates make Greedy, KNN or Roberta of them.

Greedy-* are the rules on neighbours of an approximate index, KNN-* the same on exact neighbours,
and Roberta-* the same on the predictions of a trained encoder: any matrices of estimates will do.
The oracles plan with the whole stream at hand. All go through the same admission, none has a
fallback.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array

from . import checks
from .features import Estimates
from .router import DECLINED, Router

BATCH = 256  # BatchSplit's mini-batch
# Limits in nodes, not seconds: a result must not depend on how busy the machine is.
MILP_OPTIONS = {"mip_rel_gap": 1e-2, "node_limit": 200}


class Planned(Router):
    """Follows choices (N,) that were made beforehand, query by query."""

    def __init__(self, choices: np.ndarray) -> None:
        self._rest = np.asarray(choices)

    def choose(self, estimates: Estimates, left: np.ndarray) -> np.ndarray:
        now, self._rest = np.split(self._rest, [estimates.scores.shape[1]])
        return now


class RandomRouter(Planned):
    """A uniformly random model for every query."""

    def __init__(self, budgets: np.ndarray, horizon: int, *, random: np.random.Generator) -> None:
        super().__init__(random.integers(0, len(budgets), size=horizon))


class PerfRouter(Router):
    """Greedy-Perf, KNN-Perf: the model of largest estimated score, whatever it costs."""

    def choose(self, estimates: Estimates, left: np.ndarray) -> np.ndarray:
        return estimates.scores.argmax(axis=0)


class CostRouter(Router):
    """Greedy-Cost, KNN-Cost: the model with the largest budget left by its own estimates.

    The estimated cost is charged even where admission then drops the query, so this follows
    what it believes, not what was spent.
    """

    def __init__(self, budgets: np.ndarray) -> None:
        self._believed = checks.budgets(budgets).tolist()

    def choose(self, estimates: Estimates, left: np.ndarray) -> np.ndarray:
        choices, believed = [], self._believed
        for costs in estimates.costs.T.tolist():
            model = believed.index(max(believed))
            believed[model] -= costs[model]
            choices.append(model)
        return np.array(choices, np.int64)


class BatchSplit(Router):
    """Solves each mini-batch as a binary programme under the budgets that it believes are left.

    Admission is separate, under the true budgets; queries that the programme leaves out are lost.
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


def optimal_plan(estimates: Estimates, budgets: np.ndarray) -> np.ndarray:
    """The linear programme's choice for every query, (n,): argmax_i x_ij, -1 where all are 0.

    On estimates this is Approx Optimum, on true scores and costs Optimum; admission comes after.
    """
    x = assign(*estimates, budgets, integral=False)
    return np.where(x.max(axis=0) > 1e-9, x.argmax(axis=0), DECLINED)


def lp_value(scores: np.ndarray, costs: np.ndarray, budgets: np.ndarray) -> float:
    """The optimum of the linear programme on true scores and costs (M, n), by HiGHS."""
    return float((assign(scores, costs, budgets, integral=False) * scores).sum())


def assign(
    scores: np.ndarray, costs: np.ndarray, budgets: np.ndarray, *, integral: bool
) -> np.ndarray:
    """The split of queries over models of largest score under the budgets, x (M, n), by HiGHS.

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
