"""An arm: what ACQB is given in a comparison of raw and refined vectors, and the geometry of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ..environment import Environment
from ..routing_table import RoutingTable
from ..streams import Streams
from . import diagnostics
from .profiles import select_pairs, utility_profiles
from .refinement import Refinement, refine, refined, scaled
from .rows import refine_for
from .settings import RefinementSettings

FIT_ON = 0.5  # share of the pool that the linear fit is made on
Apply = Callable[[np.ndarray], np.ndarray]
MEASURES = ("agreement", "agreement_trained", "family", "alignment", "uniformity", "fit")


@dataclass(frozen=True)
class Arm:
    """What ACQB is given.

    Attributes
    ----------
    name : printed. seeds : how many of the study's seeds it runs on, from the first.
    refinement : None leaves the vectors raw. length : of raw vectors, not read by a refined arm.
    against : the arm with raw vectors of the same length; its own name for that arm.
    informed : the projection is trained on the pool itself. It shows what refinement could do; it is
        no policy, since it has seen the scores it is judged by.
    """

    name: str
    against: str
    seeds: int
    refinement: RefinementSettings | None = None
    length: float = 1.0
    informed: bool = False

    @property
    def unit_length(self) -> bool:
        """Whether its vectors have length 1: arms of other lengths repeat the geometry of one."""
        return (self.length if self.refinement is None else self.refinement.scale) == 1.0


def given(
    arm: Arm,
    table: RoutingTable,
    lam: float,
    seed: int,
    world: Environment,
    known: dict[RefinementSettings, Refinement],
) -> tuple[Environment, Refinement | None]:
    """The environment of one seed as the arm sees it, and the refinement behind it (None: raw).

    `world` is the raw one. Trainings that differ only in the length of what they give are done once:
    `known` holds those of this table, lam and seed.
    """
    if arm.refinement is None:
        return scaled(world, arm.length), None
    if arm.informed:
        profiles = utility_profiles(table.utility(lam)[world.rows])
        rng = Streams(seed).generator("refinement")
        found = refine(table.embeddings[world.rows], profiles, arm.refinement, rng=rng)
        return refined(world, found), found
    bare = arm.refinement.with_(scale=1.0)
    if bare not in known:
        known[bare] = refine_for(table, seed, lam, bare, world.pool_size)
    found = replace(known[bare], settings=arm.refinement)
    return refined(world, found), found


def geometry_of(
    table: RoutingTable, lam: float, pool: np.ndarray, trained: np.ndarray, apply: Apply
) -> dict[str, float]:
    """The diagnostics (:data:`MEASURES`) of vectors `apply` makes of the raw ones, at one lam.

    `pool` and `trained` are rows of the table: those that the learner serves, and those that a
    projection was trained on, where only the neighbours' agreement is taken.
    """
    utility = table.utility(lam)
    profiles, own = utility_profiles(utility[pool]), utility_profiles(utility[trained])
    defaults = RefinementSettings()
    pairs = select_pairs(profiles, defaults.tau_pos, defaults.tau_neg, defaults.negatives)
    vectors = apply(table.embeddings[pool])
    values = (
        diagnostics.neighbour_agreement(vectors, profiles),
        diagnostics.neighbour_agreement(apply(table.embeddings[trained]), own),
        diagnostics.family_agreement(profiles, [table.families[row] for row in pool]),
        diagnostics.alignment(vectors, pairs),
        diagnostics.uniformity(vectors),
        diagnostics.linear_fit(vectors, utility[pool], round(FIT_ON * len(pool))),
    )
    return dict(zip(MEASURES, values, strict=True))
