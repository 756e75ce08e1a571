"""The routing programme, and the shadow prices that minimise its dual, with a certificate.

The linear programme gives each query to at most one model under the models' budgets (arXiv
2509.02718); :func:`assign` solves it. With the queries' own multipliers eliminated, its dual is a
convex function of the prices gamma alone,

    F(gamma) = sum_i gamma_i B_i + sum_j max(0, max_i (d_ij - gamma_i g_ij)).

Mode "reference" leaves out the 0, as the published code does: no query may be declined, and prices
lie in [0, 1] on the scale of alpha * d. That code minimises F by L-BFGS-B with finite differences,
which stops above the minimum (on the RouterBench slice by a median of .7% of F); this module does not,
and a tenth of the decisions differ. The sum of maxima is smoothed with a temperature that
falls level by level, each level solved by Newton's method inside the box. Where that leaves too wide a
gap (a handful of queries, say), a solver of linear programmes decides.
"""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, linprog, milp
from scipy.sparse import coo_array, csr_array

from . import checks

MODES = ("dual", "reference")
HOTTEST, COOLING, LEVELS = 0.3, 0.35, 14  # temperatures, in units of the largest score
COLD = range(LEVELS)
WARM = range(5, 9)  # enough for re-solving: from similar prices, to a gap of about 1e-6
WANTED_GAP, ACCEPTED_GAP = 1e-5, 1e-4  # beyond these: solve from scratch, refuse
MAX_NEWTON = 60
# Limits in nodes, not seconds: a result must not depend on how busy the machine is.
MILP_OPTIONS = {"mip_rel_gap": 1e-2, "node_limit": 200}


class SolverError(RuntimeError):
    """The prices could not be found to the accuracy that routing by them needs."""


@dataclass(frozen=True, eq=False)
class Prices:
    """Shadow prices and what certifies them.

    Attributes
    ----------
    gamma : (M,) on the scale of alpha = 1: score per dollar.
    value : F(gamma), an upper bound of the programme. bound : value of a feasible point of it.
    unlimited : what the programme would reach without budgets.
    """

    gamma: np.ndarray
    value: float
    bound: float
    unlimited: float

    @property
    def gap(self) -> float:
        """Distance of the two values, relative to the value (or to 1e-6 of `unlimited`, if larger)."""
        distance = self.value - self.bound
        return distance / max(abs(self.value), 1e-6 * self.unlimited) if distance else 0.0


class _Problem:
    """The dual in units of mean costs: u_i = gamma_i * unit_i.

    Attributes
    ----------
    unit : (M,) mean cost, 1 for a free model. d : (M, L) scores. c : (M, L) costs. b : (M,) budgets.
    upper : (M,) largest u. declines : whether a query may be declined.
    """

    def __init__(
        self, d: np.ndarray, g: np.ndarray, B: np.ndarray, mode: str, alpha: float
    ) -> None:
        mean = g.mean(axis=1)
        self.unit = np.where(mean > 0, mean, 1.0)
        self.d, self.c, self.b = d, g / self.unit[:, None], B / self.unit
        # No price above max d/g is ever needed: the model is then out of the question for all queries.
        ratio = np.divide(d, self.c, out=np.zeros_like(d), where=self.c > 0)
        self.declines = mode == "dual"
        self.upper = np.maximum(ratio.max(axis=1), 0.0) if self.declines else self.unit / alpha


def dual_value(
    gamma: np.ndarray, scores: np.ndarray, costs: np.ndarray, budgets: np.ndarray, *, mode: str
) -> float:
    """F(gamma) for scores and costs (M, L) and budgets (M,), at alpha = 1."""
    worth_of_none = 0.0 if mode == "dual" else -np.inf
    best = (scores - gamma[:, None] * costs).max(axis=0, initial=worth_of_none)
    return float(gamma @ budgets + best.sum())


def solve(
    scores: np.ndarray,
    costs: np.ndarray,
    budgets: np.ndarray,
    *,
    mode: str = "dual",
    alpha: float = 1e-4,
    near: np.ndarray | None = None,
) -> Prices:
    """Minimise F over the prices.

    Parameters
    ----------
    scores, costs : (M, L), L >= 1, costs at least 0. budgets : (M,) for these L queries.
    alpha : weight of scores in reference mode, where the box keeps gamma below 1 / alpha; without
        effect in dual mode.
    near : prices (M,) of a similar problem to start from, for a faster solution to a gap of 1e-5.

    Raises
    ------
    ValueError
        Shapes, signs, NaN, no queries, an unknown mode or alpha <= 0.
    SolverError
        The certified gap is above 1e-4.
    """
    check_mode(mode, alpha)
    d = checks.numbers("scores", scores, (None, None))
    g = checks.numbers("costs", costs, d.shape, 0.0)
    B = checks.budgets(budgets, d.shape[0])
    if d.shape[1] == 0:
        raise ValueError("scores: found no queries; the prices of an empty sample are not defined")
    problem = _Problem(d, g, B, mode, alpha)
    scale = max(float(np.abs(d).max()), 1e-12)
    unlimited = abs(dual_value(np.zeros(len(B)), d, g, B, mode=mode))

    def certified(u: np.ndarray, bound: float) -> Prices:
        gamma = u / problem.unit
        return Prices(gamma, dual_value(gamma, d, g, B, mode=mode), bound, unlimited)

    starts = [(d.mean(axis=1), COLD, ACCEPTED_GAP)]
    if near is not None:
        starts.insert(0, (near * problem.unit, WARM, WANTED_GAP))
    for start, levels, enough in starts:
        u = np.clip(start, 0.0, problem.upper)
        for level in levels:
            tau = HOTTEST * scale * COOLING**level
            u = _newton(problem, u, tau)
        prices = certified(u, _primal(problem, u, tau))
        if prices.gap <= enough:
            return prices
    if (found := exact_prices(problem)) is not None:
        prices = certified(np.clip(found[0], 0.0, problem.upper), found[1])
        if abs(prices.gap) <= ACCEPTED_GAP:
            return prices
    raise SolverError(f"the prices have a relative gap of {prices.gap:.2g}, above {ACCEPTED_GAP}")


def check_mode(mode: str, alpha: float) -> None:
    """Raise ValueError unless the mode is known and alpha positive and finite."""
    if mode not in MODES:
        raise ValueError(f"mode: found {mode!r}, expected one of {', '.join(MODES)}")
    if not (np.isfinite(alpha) and alpha > 0):
        raise ValueError(f"alpha: found {alpha}, expected a positive number")


def _newton(p: _Problem, u: np.ndarray, tau: float) -> np.ndarray:
    """Projected Newton with Armijo backtracking at one temperature."""
    enough = 1e-9 * np.maximum(p.b, p.c.max(axis=1))
    value, share = _smooth(p, u, tau)
    for _ in range(MAX_NEWTON):
        spent = share * p.c
        gradient = p.b - spent.sum(axis=1)
        free = ~(((u <= 0.0) & (gradient > 0)) | ((u >= p.upper) & (gradient < 0)))
        if not free.any() or (np.abs(gradient) <= enough)[free].all():
            return u
        move = _direction(p, spent, gradient, free, tau)
        size, slope = 1.0, 1e-4
        while True:
            trial = np.clip(u + size * move, 0.0, p.upper)
            promised = gradient @ (trial - u)
            new_value, new_share = _smooth(p, trial, tau)
            if new_value <= value + slope * promised and promised < 0:
                break
            size *= 0.5
            if size < 1e-12:
                return u
        u, value, share = trial, new_value, new_share
    return u


def _direction(
    p: _Problem, spent: np.ndarray, gradient: np.ndarray, free: np.ndarray, tau: float
) -> np.ndarray:
    """The Newton direction on the free coordinates, 0 on those that the box holds."""
    hessian = (np.diag((spent * p.c).sum(axis=1)) - spent @ spent.T) / tau
    hessian = hessian[np.ix_(free, free)]
    ridge = 1e-9 * max(float(np.mean(np.diag(hessian))), 1e-12)
    move = np.zeros_like(gradient)
    move[free] = np.linalg.solve(hessian + ridge * np.eye(len(hessian)), -gradient[free])
    return move


def _smooth(p: _Problem, u: np.ndarray, tau: float) -> tuple[float, np.ndarray]:
    """The smoothed F and the shares (M, L) with which each query is split over the models."""
    z = (p.d - u[:, None] * p.c) / tau
    top = z.max(axis=0, initial=0.0 if p.declines else -np.inf)
    np.exp(z - top, out=z)
    total = z.sum(axis=0)
    if p.declines:
        total += np.exp(-top)
    z /= total
    return float(p.b @ u + tau * (top + np.log(total)).sum()), z


def _primal(p: _Problem, u: np.ndarray, tau: float) -> float:
    """The value of a feasible split: overspending is scaled away, or paid for at the box's price."""
    _, share = _smooth(p, u, tau)
    if p.declines:
        share = np.where(p.d > 0, share, 0.0)
    spent = (share * p.c).sum(axis=1)
    paid = float((share * p.d).sum() - p.upper @ np.maximum(spent - p.b, 0.0))
    if not p.declines:
        return paid
    keep = np.divide(p.b, spent, out=np.ones_like(spent), where=spent > p.b)
    return max(paid, float((keep[:, None] * share * p.d).sum()))


def exact_prices(p: _Problem) -> tuple[np.ndarray, float] | None:
    """Prices u (M,) and the dual's least value, by HiGHS; None if it finds none.

    The dual is a linear programme itself: minimise ``u . b + sum_j t_j`` over prices in their box with
    ``t_j >= d_ij - u_i c_ij``, and ``t_j >= 0`` where a query may be declined.
    """
    M, L = p.d.shape
    least = 0.0 if p.declines else None
    found = linprog(
        np.concatenate([p.b, np.ones(L)]),
        A_ub=-_spending(p.c).T,
        b_ub=-p.d.reshape(-1),
        bounds=[(0.0, top) for top in p.upper] + [(least, None)] * L,
        method="highs",
    )
    return None if found.x is None else (found.x[:M], float(found.fun))


def _spending(costs: np.ndarray) -> csr_array:
    """The programme's constraints, (M + n, M n): spending by model, service by query."""
    M, n = costs.shape
    model, query = np.divmod(np.arange(M * n), n)
    rows, columns = np.concatenate([model, M + query]), np.tile(np.arange(M * n), 2)
    values = np.concatenate([costs.reshape(-1), np.ones(M * n)])
    return coo_array((values, (rows, columns)), shape=(M + n, M * n)).tocsr()


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
    # An empty budget's row in units of its costs: in dollars they would pass for the solver's tolerance.
    dearest = costs.max(axis=1)
    unit = np.where(budgets > 0, budgets, np.where(dearest > 0, dearest, 1.0))
    limits = np.concatenate([(budgets > 0).astype(float), np.ones(scores.shape[1])])
    with _silent_stdout():
        found = milp(
            -scores.reshape(-1),
            integrality=np.full(scores.size, int(integral)),
            bounds=Bounds(0, 1),
            constraints=LinearConstraint(_spending(costs / unit[:, None]), ub=limits),
            options=MILP_OPTIONS if integral else {},
        )
    if found.x is None:
        raise RuntimeError(f"HiGHS found no assignment: {found.message}")
    x = found.x.reshape(scores.shape)
    return (x > 0.5).astype(float) if integral else x


@contextlib.contextmanager
def _silent_stdout() -> Iterator[None]:
    """Discard what compiled code writes to file descriptor 1: HiGHS leaves debug prints in its MILP."""
    before, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        yield
    finally:
        os.dup2(before, 1)
        os.close(before)
        os.close(nowhere)


def lp_value(scores: np.ndarray, costs: np.ndarray, budgets: np.ndarray) -> float:
    """The optimum of the linear programme on true scores and costs (M, n), by HiGHS."""
    return float((assign(scores, costs, budgets, integral=False) * scores).sum())
