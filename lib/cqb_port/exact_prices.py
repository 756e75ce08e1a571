"""The dual's prices from a solver of linear programmes, for the rare sample that smoothing fails on.

The dual is itself one: minimise ``gamma . B + sum_j t_j`` with ``t_j >= d_ij - gamma_i g_ij``, prices in
their box, and ``t_j >= 0`` where a query may be declined.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import coo_array


def exact_prices(
    scores: np.ndarray, costs: np.ndarray, budgets: np.ndarray, upper: np.ndarray, *, declines: bool
) -> tuple[np.ndarray, float] | None:
    """Prices (M,) and the dual's least value, by HiGHS; None if it has none to give.

    Parameters
    ----------
    scores, costs : (M, L), costs of about 1. budgets, upper : (M,), the latter largest prices.
    declines : whether a query may be declined.
    """
    M, L = scores.shape
    model, query = np.divmod(np.arange(M * L), L)
    rows = np.tile(np.arange(M * L), 2)
    values = np.concatenate([-costs.reshape(-1), -np.ones(M * L)])
    columns = np.concatenate([model, M + query])
    table = coo_array((values, (rows, columns)), shape=(M * L, M + L)).tocsr()
    least = 0.0 if declines else None
    found = linprog(
        np.concatenate([budgets, np.ones(L)]),
        A_ub=table,
        b_ub=-scores.reshape(-1),
        bounds=[(0.0, top) for top in upper] + [(least, None)] * L,
        method="highs",
    )
    return None if found.x is None else (found.x[:M], float(found.fun))
