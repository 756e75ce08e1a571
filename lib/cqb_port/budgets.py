"""How the total budget is split over the models: the six splits of arXiv 2509.02718."""

from __future__ import annotations

import numpy as np

from . import checks

SPLITS = ("weighted", "cost", "perf", "uniform", "random", "extreme")
EXTREME_SHARE = 0.8  # of the budget, for the h favoured models


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
    return float(c * _priced("costs", g.sum(axis=1)).min())


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
    match split:
        case "weighted":
            w = np.sqrt(p / _priced("mean_costs", q))
        case "cost":
            w = np.sqrt(1.0 / _priced("mean_costs", q))
        case "perf":
            w = p
        case "uniform":
            w = np.ones_like(p)
        case "random":
            if random is None:
                raise ValueError("random: the split 'random' needs a generator")
            w = random.uniform(5.0, 30.0, size=p.size)
        case "extreme":
            w = _extreme(p / _priced("mean_costs", q), h)
        case _:
            raise ValueError(f"split: found {split!r}, expected one of {', '.join(SPLITS)}")
    if not w.sum() > 0:
        raise ValueError(f"split {split!r}: every weight is 0; give absolute budgets instead")
    return w / w.sum()


def _priced(name: str, costs: np.ndarray) -> np.ndarray:
    """The costs (M,) of all models, which must not be free."""
    if not costs.min() > 0:
        raise ValueError(
            f"{name}: model {int(costs.argmin())} is free, so a budget relative to costs is not "
            "defined; give absolute budgets instead"
        )
    return costs


def _extreme(value: np.ndarray, h: int) -> np.ndarray:
    """Weights (M,) that favour the h models of smallest sqrt(value), score over cost."""
    M = value.size
    if not 1 <= h < M:
        raise ValueError(f"h: found {h}, expected at least 1 and fewer than the {M} models")
    favoured = np.argsort(np.sqrt(value), kind="stable")[:h]
    w = np.full(M, (1.0 - EXTREME_SHARE) / (M - h))
    w[favoured] = EXTREME_SHARE / h
    return w
