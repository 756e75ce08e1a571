"""How the total budget is split over the models: the six splits of arXiv 2509.02718."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from . import checks

SPLITS = ("weighted", "cost", "perf", "uniform", "random", "extreme")
EXTREME_SHARE = 0.8  # of the budget, for the h models in favour


def total_budget(costs: np.ndarray, c: float = 1.0) -> float:
    """c times the cheapest model's cost of all queries, in dollars; costs (M, n).

    Raises
    ------
    ValueError
        A model is free, so that the total is 0, or c is not positive.
    """
    g = checks.costs("costs", costs)
    if not (np.isfinite(c) and c > 0):
        raise ValueError(f"c: found {c}, expected a positive number")
    if not (totals := g.sum(axis=1)).min() > 0:
        raise ValueError(
            f"costs: model {int(totals.argmin())} is free, so a budget relative to the cheapest "
            "model is 0; give absolute budgets instead"
        )
    return float(c * totals.min())


def weights(
    split: str,
    mean_scores: np.ndarray,
    mean_costs: np.ndarray,
    *,
    h: int = 1,
    random: np.random.Generator | None = None,
) -> np.ndarray:
    """Shares of the budget, (M,), adding up to 1.

    Parameters
    ----------
    split : a name in :data:`SPLITS`. mean_scores, mean_costs : (M,) over the history.
    h : how many models "extreme" favours: those of smallest sqrt(score / cost).
    random : generator of the split "random".

    Raises
    ------
    ValueError
        An unknown split, a free model where the split divides by cost, "extreme" with M <= h,
        "random" without a generator, or weights that are all 0.
    """
    p, q = np.asarray(mean_scores, float), np.asarray(mean_costs, float)
    checks.same_shape("mean_scores", p, "mean_costs", q)
    rules: dict[str, Callable[[], np.ndarray]] = {
        "weighted": lambda: np.sqrt(p / _priced(q)),
        "cost": lambda: np.sqrt(1.0 / _priced(q)),
        "perf": lambda: p,
        "uniform": lambda: np.ones_like(p),
        "random": lambda: _drawn(p.size, random),
        "extreme": lambda: _extreme(p, q, h),
    }
    if split not in rules:
        raise ValueError(f"split: found {split!r}, expected one of {', '.join(SPLITS)}")
    w = rules[split]()
    if not w.sum() > 0:
        raise ValueError(f"split {split!r}: every weight is 0; give absolute budgets instead")
    return w / w.sum()


def _priced(q: np.ndarray) -> np.ndarray:
    if not q.min() > 0:
        raise ValueError(
            f"mean_costs: model {int(q.argmin())} is free and this split divides by cost; give "
            "absolute budgets instead"
        )
    return q


def _drawn(M: int, random: np.random.Generator | None) -> np.ndarray:
    if random is None:
        raise ValueError("random: the split 'random' needs a generator")
    return random.uniform(5.0, 30.0, size=M)


def _extreme(p: np.ndarray, q: np.ndarray, h: int) -> np.ndarray:
    M = p.size
    if not 1 <= h < M:
        raise ValueError(f"h: found {h}, expected at least 1 and fewer than the {M} models")
    favoured = np.argsort(np.sqrt(p / _priced(q)), kind="stable")[:h]
    w = np.full(M, (1.0 - EXTREME_SHARE) / (M - h))
    w[favoured] = EXTREME_SHARE / h
    return w
