"""ACQB-CL: ACQB on vectors refined by contrastive learning (arXiv 2602.02061).

The learner is ACQB's. What differs is its world: contexts go through a projection that is trained
offline for each seed and lam, on rows outside the pool, and frozen before the first round.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..contrastive.refinement import refine_for, refined
from ..contrastive.settings import RefinementSettings
from ..environment import Environment
from ..simulate import Policy
from ..streams import Streams
from .acqb import acqb
from .base import Origin, PolicyEntry, Service

# Vectors of length 1, as raw ones have: at equal length the comparison with ACQB is one of vectors.
EQUAL = RefinementSettings()
THRESHOLDS = {
    "SPROUT": (0.6, 0.4),
    "EmbedLLM": (0.4, 0.1),
}  # tau_pos, tau_neg; elsewhere RouterBench's


@dataclass(frozen=True)
class RefinedEntry(PolicyEntry):
    """A policy that is run on refined vectors; `refinement` says how they are made."""

    refinement: RefinementSettings = EQUAL
    needs_table: ClassVar[bool] = True

    def environment(self, origin: Origin) -> Environment:
        """The run's environment with its contexts refined.

        Raises
        ------
        ValueError
            It needs a refinement set, and there is no routing table to take one from.
        """
        table = origin.table(self.name, "to refine on")
        settings = self.refinement
        for name, (tau_pos, tau_neg) in THRESHOLDS.items():
            if table.name.startswith(name):
                settings = settings.with_(tau_pos=tau_pos, tau_neg=tau_neg)
        refinement = refine_for(table, origin.seed, origin.lam, settings, origin.pool_size)
        return refined(origin.environment(), refinement)


def acqb_cl(service: Service, streams: Streams) -> Policy:
    """ACQB; its contexts are the refined ones."""
    return acqb(service, streams)


ACQB_CL = RefinedEntry("ACQB-CL", factory=acqb_cl)
# As published: vectors of the length that the layer norm leaves.
ACQB_CL_LN = RefinedEntry("ACQB-CL-LN", factory=acqb_cl, refinement=EQUAL.with_(scale=None))
