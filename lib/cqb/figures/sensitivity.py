"""The figure of one factor of the sensitivity study."""

import pandas as pd
from matplotlib.figure import Figure

from ..studies.sensitivity import FACTORS, means
from ..tables import select
from .experiments import NAMES, title
from .kinds import estimates, lines
from .sheets import Panel, legend, panel, sheet
from .style import BLUE, DASHED, ORANGE, SOLID, Look

LOOKS = (Look(BLUE, SOLID, "o"), Look(ORANGE, DASHED, "s"))


def factor(runs: pd.DataFrame, name: str) -> Figure:
    """Final regret and queue-length regret against one setting, a line per service.

    A dotted line marks the paper's value. Where the setting is one of the refinement, pale lines show
    ACQB on raw vectors, at the paper's settings.

    Parameters
    ----------
    runs : of the study (:mod:`cqb.studies.sensitivity`). name : one of its factors.
    """
    about, rows = FACTORS[name], means(runs, name)
    raw = select(means(runs, "lambda0"), value=FACTORS["lambda0"].default).set_index("service")
    look = dict(zip(dict.fromkeys(rows["service"]), LOOKS, strict=False))
    caption = f"{about.label}\nmean of {rows['seeds'].max()} seeds, bar: 95% interval"
    guides = []
    if about.default is not None:
        caption += "; dotted: the paper's value"
        guides = [("x", about.default, {"ls": ":", "lw": 1.2})]
    if about.refined:
        caption += "; pale: ACQB on raw vectors"

    axis = {"ylim": (0, None), "xscale": "log" if about.log else "linear"}
    how = {"by": "service", "error": "bars", "markers": True, "ticks": rows["value"], "axis": axis}

    def make(value: str) -> Panel:
        pale = [
            ("y", raw.at[service, f"{value}_mean"], {"color": one.colour, "lw": 3, "alpha": 0.25})
            for service, one in (look.items() if about.refined else ())
        ]
        means_of, marks = estimates(rows, value), [*guides, *pale]
        return panel(lines, means_of, "value", look, title=NAMES[value], guides=marks, **how)

    key = legend(look, "line, marker", title=caption, fontsize=8, alignment="center")
    heading = title(runs, f"{'ACQB-CL' if about.refined else 'ACQB'} and its {name}")
    if not runs["stand_in"].any():
        heading = heading.replace(":", " (real rows):", 1)
    return sheet([[make(value) for value in NAMES]], 2.8, title=heading, key=key)
