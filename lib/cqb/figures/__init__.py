"""Every figure of the artifact, drawn by kind on seaborn: one function for each figure.

:mod:`.style` has the theme, the look of each policy and :func:`save`; :mod:`.kinds` the kinds of
panels; the other modules declare the figures of one topic each.
"""

from .experiments import curves, differences, title, waiting
from .style import save, style

__all__ = ["curves", "differences", "save", "style", "title", "waiting"]
