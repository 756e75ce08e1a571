"""ACQB-CL: ACQB on vectors refined by contrastive learning (arXiv 2602.02061).

The learner is ACQB's. What differs is its world: contexts go through a projection that is trained
offline for each seed and lam, on rows outside the pool, and frozen before the first round.
"""

from __future__ import annotations

from ..contrastive.refinement import refined
from ..contrastive.rows import refine_for
from ..contrastive.settings import RefinementSettings
from ..environment import Environment, from_table
from ..routing_table import RoutingTable
from ..simulate import Policy
from ..streams import Streams
from .acqb import acqb
from .base import PolicyEntry, Service

# Vectors of length 1, as raw ones have: at equal length the comparison with ACQB is one of vectors.
EQUAL = RefinementSettings()
THRESHOLDS = {
    "SPROUT": (0.6, 0.4),
    "EmbedLLM": (0.4, 0.1),
}  # tau_pos, tau_neg; elsewhere RouterBench's
REFINED = {
    "ACQB-CL": EQUAL,
    "ACQB-CL-LN": EQUAL.with_(scale=None),  # as published: of the length the layer norm leaves
}


def refined_world(
    policy: str, world: RoutingTable | Environment, seed: int, lam: float, pool_size: int
) -> RoutingTable | Environment:
    """The world that `policy` is run on: `world` itself unless the policy is given refined vectors.

    Raises
    ------
    ValueError
        It needs a refinement set, and `world` is an environment without rows outside its pool.
    """
    if policy not in REFINED:
        return world
    if isinstance(world, Environment):
        raise ValueError(f"{policy}: {world.name} has no rows outside its pool to refine on")
    settings = REFINED[policy]
    for name, (tau_pos, tau_neg) in THRESHOLDS.items():
        if world.name.startswith(name):
            settings = settings.with_(tau_pos=tau_pos, tau_neg=tau_neg)
    refinement = refine_for(world, seed, lam, settings, pool_size)
    return refined(from_table(world, seed, lam, pool_size), refinement)


def acqb_cl(service: Service, streams: Streams) -> Policy:
    """ACQB; its contexts are the refined ones."""
    return acqb(service, streams)


ACQB_CL = PolicyEntry("ACQB-CL", factory=acqb_cl)
ACQB_CL_LN = PolicyEntry("ACQB-CL-LN", factory=acqb_cl)
