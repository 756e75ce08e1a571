"""Contrastive refinement: a projection of the embeddings, trained offline and then frozen.

What ACQB-CL adds to ACQB (Bae, Son and Lee, arXiv 2602.02061): prompts on which models do alike are
drawn together, others pushed apart, on rows outside the online pool.
"""

from .refinement import Refinement, refine
from .settings import RefinementSettings

__all__ = ["Refinement", "RefinementSettings", "refine"]
