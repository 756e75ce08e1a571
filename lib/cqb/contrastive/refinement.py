"""From a refinement set to refined vectors: the one function that ACQB-CL calls.

A final layer norm leaves vectors of length about ``sqrt(d)`` where raw embeddings have length 1; at the
same ridge that alone changes how fast ACQB learns. So a refined vector is brought to a named length
(`scale`), and belongs beside raw vectors of the same length; ``scale=None`` is the published form.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays import asarray, namespace, to_numpy
from ..environment import Environment
from .info_nce import unit
from .profiles import Profiles, select_pairs
from .projection import Projection, forward
from .settings import RefinementSettings
from .training import Training, require_anchors, train

Array = Any


@dataclass(frozen=True, eq=False)
class Refinement:
    """A frozen projection, how it was trained, and on what.

    Attributes
    ----------
    settings : how it was made and how it is used. training : the projection and its losses.
    counts : of the training rows, by :class:`cqb.contrastive.profiles.Pairs`.
    """

    settings: RefinementSettings
    training: Training
    counts: dict[str, int]

    def apply(self, vectors: Array) -> Array:
        """Refined vectors (n, output) of raw ones (n, d), in the dtype of `vectors`.

        Of length `scale`, or as the layer norm leaves them where that is None.
        """
        xp = namespace(vectors)
        projection: Projection = self.training.projection
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
    parts = [_part(own, profiles, at) for at in _divided(len(profiles), settings.holdout, rng)]
    (kept, pairs), *held = [
        (part, select_pairs(these, settings.tau_pos, settings.tau_neg, settings.negatives))
        for part, these in parts
    ]
    for _, watched in held:
        require_anchors(watched)
    training = train(kept, pairs, settings, rng=rng, held=held[0] if held else None)
    return Refinement(settings, training, pairs.counts)


def refined(environment: Environment, refinement: Refinement) -> Environment:
    """The same world with refined contexts; odds, pool and context numbers stay."""
    contexts = refinement.apply(environment.contexts)
    return dataclasses.replace(environment, contexts=to_numpy(contexts))


def scaled(environment: Environment, scale: float) -> Environment:
    """The same world with raw contexts of length `scale`: what a refinement is compared with."""
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


def _divided(m: int, holdout: float, rng: np.random.Generator) -> list[np.ndarray]:
    """The rows to train on and, where some are held out, those."""
    if not holdout:
        return [np.arange(m)]
    count = min(m - 1, max(1, round(holdout * m)))
    order = rng.permutation(m)
    return [np.sort(order[count:]), np.sort(order[:count])]


def _part(vectors: Array, profiles: Profiles, at: np.ndarray) -> tuple[Array, Profiles]:
    xp = namespace(vectors)
    rows = asarray(at, vectors)
    blank = xp.take(profiles.blank, rows, axis=0)
    return xp.take(vectors, rows, axis=0), Profiles(
        xp.take(profiles.directions, rows, axis=0), blank
    )
