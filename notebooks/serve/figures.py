"""The curves of a crowd, as a figure."""

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.figure import Figure

from cqb.figures.kinds import label_ends, lines
from cqb.figures.sheets import Panel, panel, sheet

VALUES = {"queue": "queries at the desk", "regret": "cumulative routing regret\n(departures)"}


def curves(points: Mapping[str, Sequence[tuple[int, int, float]]], title: str) -> Figure:
    """Queue and regret by round, a line for each desk; `points` as in :class:`.crowd.Crowd`."""
    parts = [pd.DataFrame(p, columns=["t", *VALUES]).assign(policy=n) for n, p in points.items()]
    rows = pd.concat(parts, ignore_index=True)

    def make(value: str) -> Panel:
        here = rows.assign(mean=rows[value])
        axis = {"xlabel": "round", "ylabel": VALUES[value], "xlim": (0, rows["t"].max())}
        axis["ylim"] = (0, None)
        return panel(lines, here, "t", error=None, axis=axis, after=label_ends(here, "t", 0))

    return sheet([[make(value) for value in VALUES]], 2.6, title=title)
