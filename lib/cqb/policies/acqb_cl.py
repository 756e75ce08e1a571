"""ACQB-CL: ACQB on vectors refined by contrastive learning (arXiv 2602.02061).

The learner is ACQB's. Only the contexts differ: they go through a projection that is trained offline
for each seed and lam, on rows outside the pool, and frozen before the first round.
"""

from dataclasses import dataclass
from typing import ClassVar

from ..contrastive import RefinementSettings
from ..contrastive.refinement import refine_for, refined
from ..environment import Environment
from .acqb import acqb
from .base import PolicyEntry, RunSource

# Vectors of length 1, like raw ones: at equal length the comparison with ACQB compares directions.
EQUAL = RefinementSettings()
# tau_pos and tau_neg by data set; elsewhere those of RouterBench.
THRESHOLDS = {"SPROUT": (0.6, 0.4), "EmbedLLM": (0.4, 0.1)}


@dataclass(frozen=True)
class RefinedEntry(PolicyEntry):
    """A policy that runs on refined vectors; `refinement` says how they are made."""

    refinement: RefinementSettings = EQUAL
    needs_table: ClassVar[bool] = True

    def environment(self, source: RunSource) -> Environment:
        """The run's environment with its contexts refined.

        Raises
        ------
        ValueError
            It needs a refinement set, and there is no routing table to take one from.
        """
        table = source.table(self.name)
        settings = self.refinement
        for name, (tau_pos, tau_neg) in THRESHOLDS.items():
            if table.name.startswith(name):
                settings = settings.with_(tau_pos=tau_pos, tau_neg=tau_neg)
        refinement = refine_for(table, source.seed, source.lam, settings, source.pool_size)
        return refined(source.environment(), refinement)


ACQB_CL = RefinedEntry("ACQB-CL", acqb)
# As published: vectors of the length that the layer norm leaves.
ACQB_CL_LN = RefinedEntry("ACQB-CL-LN", acqb, refinement=EQUAL.with_(scale=None))
