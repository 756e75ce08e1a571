"""From a table's rows to refined vectors: what ACQB-CL calls.

:func:`refine_for` chooses the refinement rows of a seed and trains on them; :func:`refined` puts the
refined vectors into an environment.

A final layer norm leaves vectors of length about ``sqrt(d)`` where raw embeddings have length 1. At the
same ridge that alone changes how fast ACQB learns. So a refined vector is scaled to a stated length
(`scale`) and compared with raw vectors of the same length; ``scale=None`` is the published form.
"""

import dataclasses
import warnings

import numpy as np

from ..environment import Environment
from ..routing_table import RoutingTable, split_rows
from ..streams import Streams
from . import RefinementSettings
from .profiles import select_pairs, unit, utility_profiles
from .training import Refinement, train


class FewStrictBestWarning(UserWarning):
    """Some model is the strict best on fewer rows than its quota; other rows fill up."""


def refine(
    vectors: np.ndarray, profiles: np.ndarray, settings: RefinementSettings, seed: int
) -> Refinement:
    """Train a projection on a refinement set.

    Parameters
    ----------
    vectors : (m, d) raw vectors of the refinement rows.
    profiles : their utility profiles, (m, N).
    seed : its stream "refinement" decides the first parameters, the order of the anchors and the rows
        held out, so no other stream shifts.

    Raises
    ------
    ValueError
        A blend of vectors of different dimensions, or too few pairs.
    """
    (m, d), rng = vectors.shape, Streams(seed).generator("refinement")
    if settings.blend < 1 and settings.output != d:
        raise ValueError(
            f"blend: found {settings.blend} with output = {settings.output}, expected the vectors' own "
            f"{d} dimensions"
        )
    parts = [np.arange(m)]
    if settings.holdout:
        count = min(m - 1, max(1, round(settings.holdout * m)))
        order = rng.permutation(m)
        parts = [np.sort(order[count:]), np.sort(order[:count])]
    thresholds = settings.tau_pos, settings.tau_neg, settings.negatives
    own = vectors.astype(settings.precision)
    sets = [(own[rows], select_pairs(profiles[rows], *thresholds)) for rows in parts]
    return train(*sets[0], settings, rng=rng, held=sets[-1])


def refined(environment: Environment, refinement: Refinement) -> Environment:
    """The environment with refined contexts; odds, pool and context numbers are unchanged."""
    return dataclasses.replace(environment, contexts=refinement.apply(environment.contexts))


def scaled(environment: Environment, scale: float) -> Environment:
    """The environment with raw contexts of length `scale`, the baseline of a refinement."""
    return dataclasses.replace(environment, contexts=scale * unit(environment.contexts))


def refinement_rows(
    table: RoutingTable, seed: int, lam: float, settings: RefinementSettings, pool_size: int = 1000
) -> np.ndarray:
    """Rows (int64) for the refinement of one seed and lam, outside the pool and the tuning set.

    Without a quota, the `settings.rows` rows that follow the pool in the seed's permutation. With one,
    for each model the first `settings.quota` rows, in that order, on which it alone has the largest
    utility. If there are fewer, a :class:`FewStrictBestWarning` counts them and the next rows of the
    permutation fill up.

    Raises
    ------
    ValueError
        Too few rows outside pool and tuning set.
    """
    if settings.quota is None:
        return split_rows(table, seed, pool_size, settings.rows).refinement
    quota, wanted = settings.quota, settings.quota * len(table.models)
    split_rows(table, seed, pool_size, wanted)  # raises, with the numbers, where rows are too few
    outside = len(table) - len(table) // 5 - pool_size
    rows = split_rows(table, seed, pool_size, outside).refinement
    utility = table.utility(lam)[rows]
    best = utility == utility.max(axis=1, keepdims=True)
    strict = best & (best.sum(axis=1, keepdims=True) == 1)
    chosen = np.concatenate([np.flatnonzero(column)[:quota] for column in strict.T])
    missing = wanted - chosen.size
    if missing:
        counts = zip(table.models, strict.sum(axis=0), strict=True)
        short = ", ".join(model for model, count in counts if count < quota)
        warnings.warn(
            f"{table.name}, lam = {lam:g}: {chosen.size} rows with a strict best model for a quota of "
            f"{quota} for each of {len(table.models)}; short of it: {short}; {missing} random rows "
            "fill up",
            FewStrictBestWarning,
            stacklevel=3,
        )
    others = np.setdiff1d(np.arange(rows.size), chosen)  # ascending, in the permutation's order
    return rows[np.concatenate([chosen, others[:missing]])]


def refine_for(
    table: RoutingTable,
    seed: int,
    lam: float,
    settings: RefinementSettings,
    pool_size: int = 1000,
    rows: np.ndarray | None = None,
) -> Refinement:
    """The refinement of one seed and lam (arXiv 2602.02061), trained on rows outside the pool.

    Parameters
    ----------
    rows : the rows to train on; by default those of :func:`refinement_rows`.

    Raises
    ------
    ValueError
        The table has no embeddings or too few rows, or no row finds a partner.
    """
    if table.embeddings is None:
        raise ValueError(f"{table.name}: no embeddings; encode the table first")
    if rows is None:
        rows = refinement_rows(table, seed, lam, settings, pool_size)
    profiles = utility_profiles(table.utility(lam)[rows])
    return refine(table.embeddings[rows], profiles, settings, seed)
