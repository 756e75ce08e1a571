"""What a refinement does to the geometry: measures to take before and after, on rows it has not seen.

Alignment and uniformity follow Wang and Isola (arXiv 2005.10242): how close positives lie, and how
evenly all vectors spread over the sphere.
"""

from __future__ import annotations

import numpy as np

from .info_nce import unit
from .profiles import Pairs, Profiles

RIDGES = 10.0 ** np.arange(-2.0, 4.5, 0.5)


def neighbour_agreement(vectors: np.ndarray, profiles: Profiles, neighbours: int = 10) -> float:
    """Mean profile cosine of a prompt and its nearest neighbours by vector cosine.

    Higher is better for a learner: what it learns at a prompt holds for those nearby. Blank prompts are
    left out; a prompt is not its own neighbour.

    Raises
    ------
    ValueError
        `neighbours` is not in [1, number of prompts that are not blank).
    """
    z, directions = _seen(vectors, profiles)
    if not 1 <= neighbours < len(z):
        raise ValueError(
            f"neighbours: found {neighbours}, expected at least 1 and below the {len(z)} prompts"
        )
    cosines = z @ z.T
    np.fill_diagonal(cosines, -np.inf)
    nearest = np.argsort(-cosines, axis=1, kind="stable")[:, :neighbours]
    return float(np.einsum("id,ijd->ij", directions, directions[nearest]).mean())


def family_agreement(profiles: Profiles, families: list[str]) -> float:
    """Mean profile cosine of two different random prompts of one family: what knowing the family gives.

    Families weigh by their number of prompts; those of a single prompt are left out.
    """
    total, count = 0.0, 0
    names = np.asarray(families)[~profiles.blank]
    directions = profiles.directions[~profiles.blank]
    for name in sorted(set(names)):
        these = directions[names == name]
        m = len(these)
        if m > 1:
            pairs = np.sum(these.sum(axis=0) ** 2) - m
            total, count = total + pairs / (m - 1), count + m
    return float(total / count)


def alignment(vectors: np.ndarray, pairs: Pairs) -> float:
    """Mean squared distance on the unit sphere of anchors and their positives, in [0, 4]."""
    z, _ = unit(vectors)
    at = np.flatnonzero(pairs.anchor)
    return float(np.mean(np.sum((z[at] - z[pairs.positive[at]]) ** 2, axis=1)))


def uniformity(vectors: np.ndarray) -> float:
    """``log mean exp(-2 |z_i - z_j|^2)`` over distinct prompts on the unit sphere: 0 is collapsed.

    Lower is more evenly spread; about -4 is the least in many dimensions.
    """
    z, _ = unit(vectors)
    squares = 2.0 - 2.0 * (z @ z.T)
    above = np.triu_indices(len(z), k=1)
    return float(np.log(np.mean(np.exp(-2.0 * squares[above]))))


def linear_fit(vectors: np.ndarray, utility: np.ndarray, train: int) -> float:
    """Share of the variance of utilities on unseen prompts that a linear model explains at best (R^2).

    A ridge regression of its own for every language model on the first `train` prompts, beside their
    mean, judged on the others, all models together; the best of :data:`RIDGES`, so that the length of
    the vectors does not matter. 0 is what the means alone explain.

    Raises
    ------
    ValueError
        `train` is not in [1, number of prompts).
    """
    if not 1 <= train < len(vectors):
        raise ValueError(
            f"train: found {train}, expected at least 1 and below the {len(vectors)} prompts"
        )
    z, _ = unit(vectors)
    x, mean = z[:train], utility[:train].mean(axis=0)
    size, axes = np.linalg.eigh(x @ x.T)
    seen, unseen = axes.T @ (utility[:train] - mean), z[train:] @ (x.T @ axes)
    truth = utility[train:] - mean
    errors = [np.sum((truth - unseen @ (seen / (size[:, None] + ridge))) ** 2) for ridge in RIDGES]
    return float(1.0 - min(errors) / np.sum(truth**2))


def first_two(vectors: np.ndarray) -> np.ndarray:
    """The vectors' first two principal components, (n, 2), each with its largest entry positive."""
    centred = vectors - vectors.mean(axis=0)
    left, size, _ = np.linalg.svd(centred, full_matrices=False)
    flat = left[:, :2] * size[:2]
    largest = flat[np.argmax(np.abs(flat), axis=0), [0, 1]]
    return flat * np.where(largest < 0, -1.0, 1.0)


def _seen(vectors: np.ndarray, profiles: Profiles) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors and profile directions of the prompts that are not blank."""
    z, _ = unit(vectors)
    return z[~profiles.blank], profiles.directions[~profiles.blank]
