"""Which rows of a table a refinement is trained on, and the refinement of one seed and lam."""

from __future__ import annotations

import warnings

import numpy as np

from ..routing_table import RoutingTable, split_rows
from ..streams import Streams
from .profiles import utility_profiles
from .refinement import Refinement, refine
from .settings import RefinementSettings


class FewStrictBestWarning(UserWarning):
    """Some model is the strict best on fewer rows than its quota; other rows fill up."""


def refinement_rows(
    table: RoutingTable, seed: int, lam: float, settings: RefinementSettings, pool_size: int = 1000
) -> np.ndarray:
    """Rows (int64) for the refinement of one seed and lam: never of the pool or the tuning set.

    Without a quota, the `settings.rows` rows that follow the pool in the seed's permutation. With one,
    for each model the first that many rows, in that order, on which it alone has the largest utility;
    where there are fewer, a warning counts them and the next rows of the permutation fill up.

    Raises
    ------
    ValueError
        Too few rows outside pool and tuning set.
    """
    if settings.quota is None:
        return split_rows(table, seed, pool_size, settings.rows).refinement
    wanted = settings.quota * len(table.models)
    split_rows(table, seed, pool_size, wanted)  # raises, with the numbers, where rows are too few
    outside = len(table) - len(table) // 5 - pool_size
    rows = split_rows(table, seed, pool_size, outside).refinement
    return _stratified(table, lam, rows, settings.quota)


def _stratified(table: RoutingTable, lam: float, rows: np.ndarray, quota: int) -> np.ndarray:
    utility = table.utility(lam)[rows]
    top = utility.max(axis=1, keepdims=True)
    strict = (utility == top).sum(axis=1) == 1
    winner = np.where(strict, utility.argmax(axis=1), -1)
    models = range(len(table.models))
    chosen = np.concatenate([np.flatnonzero(winner == model)[:quota] for model in models])
    missing = quota * len(models) - chosen.size
    if missing:
        short = [table.models[j] for j in models if np.count_nonzero(winner == j) < quota]
        warnings.warn(
            f"{table.name}, lam = {lam:g}: {chosen.size} rows with a strict best model for a quota of "
            f"{quota} for each of {len(models)}; short of it: {', '.join(short)}; {missing} random rows "
            "fill up",
            FewStrictBestWarning,
            stacklevel=4,
        )
    others = np.setdiff1d(np.arange(rows.size), chosen)[
        :missing
    ]  # ascending: the permutation's order
    return rows[np.concatenate([chosen, others])]


def refine_for(
    table: RoutingTable, seed: int, lam: float, settings: RefinementSettings, pool_size: int = 1000
) -> Refinement:
    """The refinement of one seed and lam (arXiv 2602.02061): trained offline, on its own rows.

    Its random numbers are the seed's stream "refinement", which shifts no other.

    Raises
    ------
    ValueError
        The table has no embeddings or too few rows, or no row finds a partner.
    """
    if table.embeddings is None:
        raise ValueError(f"{table.name}: no embeddings; encode the table first")
    rows = refinement_rows(table, seed, lam, settings, pool_size)
    profiles = utility_profiles(table.utility(lam)[rows])
    rng = Streams(seed).generator("refinement")
    return refine(table.embeddings[rows], profiles, settings, rng=rng)
