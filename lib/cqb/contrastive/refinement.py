"""From a table's rows to refined vectors: what ACQB-CL calls.

:func:`refine_for` chooses the refinement rows of a seed and trains on them; :func:`refined` puts the
refined vectors into an environment.

A final layer norm leaves vectors of length about ``sqrt(d)`` where raw embeddings have length 1. At the
same ridge that alone changes how fast ACQB learns. So a refined vector is scaled to a stated length
(`scale`) and compared with raw vectors of the same length; ``scale=None`` is the published form.
"""

from __future__ import annotations

import dataclasses
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays import asarray, namespace, to_numpy
from ..environment import Environment
from ..routing_table import RoutingTable, split_rows
from ..streams import Streams
from .loss import unit
from .profiles import Profiles, select_pairs, utility_profiles
from .projection import forward
from .settings import RefinementSettings
from .training import Training, require_anchors, train

Array = Any


class FewStrictBestWarning(UserWarning):
    """Some model is the strict best on fewer rows than its quota; other rows fill up."""


@dataclass(frozen=True, eq=False)
class Refinement:
    """A frozen projection with its training.

    Attributes
    ----------
    settings : of the training, and of how the projection is used.
    training : the projection and its losses.
    counts : of the rows trained on (:attr:`cqb.contrastive.profiles.Pairs.counts`).
    """

    settings: RefinementSettings
    training: Training
    counts: dict[str, int]

    def apply(self, vectors: Array) -> Array:
        """Refined vectors (n, output) of raw ones (n, d), in the dtype of `vectors`.

        Their length is `settings.scale`; where that is None, it is that of the layer norm's result.
        """
        xp = namespace(vectors)
        projection = self.training.projection
        own = xp.astype(vectors, projection.arrays[0].dtype)
        refined = xp.astype(forward(projection, own)[0], vectors.dtype)
        if self.settings.scale is None:
            return refined
        refined, _ = unit(refined)
        if self.settings.blend < 1:
            raw, _ = unit(vectors)
            refined, _ = unit(self.settings.blend * refined + (1.0 - self.settings.blend) * raw)
        return self.settings.scale * refined


def refine(
    vectors: Array,
    profiles: Profiles,
    settings: RefinementSettings,
    *,
    rng: np.random.Generator,
) -> Refinement:
    """Train a projection on a refinement set.

    Parameters
    ----------
    vectors : (m, d) raw vectors of the refinement rows, in any namespace; training stays there.
    profiles : their utility profiles, (m, N), in the same namespace.
    rng : decides the first parameters, the order of the anchors and the rows held out.

    Raises
    ------
    ValueError
        Shapes that do not agree, a blend of vectors of different dimensions, or too few pairs.
    """
    if vectors.ndim != 2 or vectors.shape[0] != len(profiles):
        raise ValueError(
            f"vectors: found shape {vectors.shape}, expected ({len(profiles)}, d), a row per profile"
        )
    _check_blend(settings, vectors.shape[1])
    xp = namespace(vectors)
    own = xp.astype(vectors, getattr(xp, settings.precision))
    thresholds = settings.tau_pos, settings.tau_neg, settings.negatives
    (train_on, pairs), *held = [
        (xp.take(own, rows, axis=0), select_pairs(profiles.at(rows), *thresholds))
        for rows in _divided(len(profiles), settings.holdout, rng, like=own)
    ]
    for _, watched in held:
        require_anchors(watched)
    training = train(train_on, pairs, settings, rng=rng, held=held[0] if held else None)
    return Refinement(settings, training, pairs.counts)


def refined(environment: Environment, refinement: Refinement) -> Environment:
    """The environment with refined contexts; odds, pool and context numbers are unchanged."""
    contexts = refinement.apply(environment.contexts)
    return dataclasses.replace(environment, contexts=to_numpy(contexts))


def scaled(environment: Environment, scale: float) -> Environment:
    """The environment with raw contexts of length `scale`, the baseline of a refinement."""
    contexts, _ = unit(environment.contexts)
    return dataclasses.replace(environment, contexts=scale * contexts)


def _check_blend(settings: RefinementSettings, d: int) -> None:
    if settings.blend < 1 and settings.scale is None:
        raise ValueError(f"blend: found {settings.blend} without a scale, expected both")
    if settings.blend < 1 and settings.output != d:
        raise ValueError(
            f"blend: found {settings.blend} with output = {settings.output}, expected the vectors' own "
            f"{d} dimensions"
        )


def _divided(m: int, holdout: float, rng: np.random.Generator, like: Array) -> list[Array]:
    """The rows to train on and, if some are held out, those; in the namespace of `like`."""
    parts = [np.arange(m)]
    if holdout:
        count = min(m - 1, max(1, round(holdout * m)))
        order = rng.permutation(m)
        parts = [np.sort(order[count:]), np.sort(order[:count])]
    return [asarray(part, like) for part in parts]


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
    others = np.setdiff1d(np.arange(rows.size), chosen)  # ascending, in the permutation's order
    return rows[np.concatenate([chosen, others[:missing]])]


def refine_for(
    table: RoutingTable, seed: int, lam: float, settings: RefinementSettings, pool_size: int = 1000
) -> Refinement:
    """The refinement of one seed and lam (arXiv 2602.02061), trained on rows outside the pool.

    Its random numbers are the seed's stream "refinement", so no other stream shifts.

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
