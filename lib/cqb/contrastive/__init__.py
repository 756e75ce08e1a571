"""Contrastive refinement: a projection of the embeddings, trained offline and then frozen.

This is what ACQB-CL adds to ACQB (Bae, Son and Lee, arXiv 2602.02061). Prompts on which the models do
alike are drawn together and others pushed apart, on rows that are never served.

Order of the modules: :mod:`.settings`, :mod:`.profiles` (which prompts belong together),
:mod:`.projection`, :mod:`.loss`, :mod:`.training`, :mod:`.refinement` (rows and refined vectors),
:mod:`.diagnostics` (the geometry before and after), :mod:`.planted` (worlds with a known answer).
"""

from .refinement import Refinement, refine
from .settings import RefinementSettings

__all__ = ["Refinement", "RefinementSettings", "refine"]
