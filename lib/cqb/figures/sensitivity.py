"""The figure of one factor of the sensitivity study."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..studies.sensitivity import FACTORS, means
from ..tables import select
from .experiments import NAMES, title
from .kinds import estimates, grid, legend, lines, ticks, words
from .style import BLUE, DASHED, FAINT, ORANGE, SOLID, Look, style

LOOKS = (Look(BLUE, SOLID, "o"), Look(ORANGE, DASHED, "s"))


@style()
def factor(runs: pd.DataFrame, name: str) -> Figure:
    """Final regret and queue-length regret against one setting, a line per service.

    A dotted line marks the paper's value. Where the setting is one of the refinement, pale lines show
    ACQB on raw vectors, at the paper's settings.

    Parameters
    ----------
    runs : of the study (:mod:`cqb.studies.sensitivity`). name : one of its factors.
    """
    about, rows = FACTORS[name], means(runs, name)
    raw = select(means(runs, "lambda0"), value=FACTORS["lambda0"].default)
    look = dict(zip(rows["service"].drop_duplicates(), LOOKS, strict=False))

    def panel(ax: Axes, measure: str) -> None:
        if about.refined:
            for row in raw.itertuples():
                colour = look[row.service].colour
                ax.axhline(getattr(row, f"{measure}_mean"), color=colour, lw=3, alpha=0.25)
        if about.default is not None:
            ax.axvline(about.default, color=FAINT, ls=":", lw=1.2, zorder=1)
        part = estimates(rows, measure)
        lines(ax, part, "value", look, by="service", error="bars", markers=True)
        ticks(ax, rows["value"], "{:.3g}", log=about.log)
        ax.set_ylim(bottom=0)

    figure, _ = grid([list(NAMES)], panel, 2.8, title=NAMES.get)
    policy = "ACQB-CL" if about.refined else "ACQB"
    words(figure, title(runs, f"{policy} and its {name}"))
    caption = f"{about.label}\nmean of {rows['seeds'].max()} seeds, bar: 95% interval"
    if about.default is not None:
        caption += "; dotted: the paper's value"
    if about.refined:
        caption += "; pale: ACQB on raw vectors"
    legend(figure, look, "line, marker", title=caption, fontsize=8, alignment="center")
    return figure
