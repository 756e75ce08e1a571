"""Measures of the vectors' geometry, to be taken before and after a refinement on unseen rows.

Alignment and uniformity follow Wang and Isola (arXiv 2005.10242): how close positives lie, and how
evenly all vectors spread over the sphere.
"""

from collections.abc import Callable

import numpy as np

from ..routing_table import RoutingTable
from . import RefinementSettings
from .profiles import Pairs, select_pairs, unit, utility_profiles

RIDGES = 10.0 ** np.arange(-2.0, 4.5, 0.5)
FIT_ON = 0.5  # share of the pool that the linear fit is made on
MEASURES = ("agreement", "agreement_trained", "family", "alignment", "uniformity", "fit")


def measures(
    table: RoutingTable,
    lam: float,
    pool: np.ndarray,
    trained: np.ndarray,
    apply: Callable[[np.ndarray], np.ndarray] = np.asarray,
) -> dict[str, float]:
    """All of :data:`MEASURES`, of the vectors that `apply` makes of the raw ones.

    Parameters
    ----------
    pool, trained : rows of the table (int64): those that the learner serves, and those that a
        projection was trained on. Only "agreement_trained" is measured on the latter.
    """
    utility = table.utility(lam)
    profiles, own = utility_profiles(utility[pool]), utility_profiles(utility[trained])
    defaults = RefinementSettings()
    pairs = select_pairs(profiles, defaults.tau_pos, defaults.tau_neg, defaults.negatives)
    vectors = apply(table.embeddings[pool])
    return {
        "agreement": neighbour_agreement(vectors, profiles),
        "agreement_trained": neighbour_agreement(apply(table.embeddings[trained]), own),
        "family": family_agreement(profiles, [table.families[row] for row in pool]),
        "alignment": alignment(vectors, pairs),
        "uniformity": uniformity(vectors),
        "fit": linear_fit(vectors, utility[pool], round(FIT_ON * len(pool))),
    }


def neighbour_agreement(vectors: np.ndarray, profiles: np.ndarray, neighbours: int = 10) -> float:
    """Mean profile cosine of a prompt and its nearest neighbours by vector cosine.

    The higher, the more of what a learner learns at one prompt holds for those nearby. Blank prompts
    are left out, and a prompt is not its own neighbour.

    Raises
    ------
    ValueError
        `neighbours` is not in [1, number of prompts that are not blank).
    """
    seen = profiles.any(axis=1)
    z, directions = unit(vectors[seen]), profiles[seen]
    if not 1 <= neighbours < len(z):
        raise ValueError(
            f"neighbours: found {neighbours}, expected at least 1 and below the {len(z)} prompts"
        )
    cosines = z @ z.T
    np.fill_diagonal(cosines, -np.inf)
    nearest = np.argsort(-cosines, axis=1, kind="stable")[:, :neighbours]
    return float(np.einsum("id,ijd->ij", directions, directions[nearest]).mean())


def family_agreement(profiles: np.ndarray, families: list[str]) -> float:
    """Mean profile cosine of two different random prompts of one family, a baseline for neighbours.

    Families are weighted by their number of prompts; those of a single prompt are left out.
    """
    seen, names, total, count = profiles.any(axis=1), np.asarray(families), 0.0, 0
    for name in sorted(set(families)):
        these = profiles[seen & (names == name)]
        m = len(these)
        if m > 1:
            pairs = np.sum(these.sum(axis=0) ** 2) - m
            total, count = total + pairs / (m - 1), count + m
    return float(total / count)


def alignment(vectors: np.ndarray, pairs: Pairs) -> float:
    """Mean squared distance on the unit sphere of anchors and their positives, in [0, 4]."""
    z, at = unit(vectors), np.flatnonzero(pairs.anchor)
    return float(np.mean(np.sum((z[at] - z[pairs.positive[at]]) ** 2, axis=1)))


def uniformity(vectors: np.ndarray) -> float:
    """``log mean exp(-2 |z_i - z_j|^2)`` over distinct prompts on the unit sphere.

    It is 0 where all vectors coincide and lower the more evenly they spread, down to about -4 in many
    dimensions.
    """
    z = unit(vectors)
    squares = 2.0 - 2.0 * (z @ z.T)
    above = np.triu_indices(len(z), k=1)
    return float(np.log(np.mean(np.exp(-2.0 * squares[above]))))


def linear_fit(vectors: np.ndarray, utility: np.ndarray, train: int) -> float:
    """Share of the variance of utilities on unseen prompts that a linear model explains at best (R^2).

    For every language model, a mean and a ridge regression from the first `train` prompts predict the
    others; R^2 is over all models together, at the best of :data:`RIDGES`, so that the length of the
    vectors does not matter. The means alone have an R^2 of 0.
    """
    z = unit(vectors)
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
