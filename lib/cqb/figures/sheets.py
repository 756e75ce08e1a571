"""A figure as a sheet of panels, each declared from a kind (:mod:`.kinds`) and its table."""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, NullLocator

from .style import FAINT, INK, WIDTH, Look, style

Draw = Callable[[Axes], Any]
Guide = tuple[str, float, dict[str, Any]]  # "x" or "y", where, and how the line is drawn


class Panel(NamedTuple):
    """How one panel is drawn, and what is added when its size is final."""

    draw: Draw
    after: Draw | None = None


def panel(
    kind: Callable[..., Any],
    *args: Any,
    title: str = "",
    axis: Mapping[str, Any] | None = None,
    log: str = "",
    ticks: Iterable[float] | None = None,
    guides: Iterable[Guide] = (),
    key: Callable[[Axes], Any] | None = None,
    after: Draw | None = None,
    **options: Any,
) -> Panel:
    """Declare a panel that `kind` draws from `args` and `options`.

    Parameters
    ----------
    axis : what `Axes.set` takes, such as labels and limits. log : axes with ticks at 1, 2, 5 times
        powers of ten, "x" or "y". ticks : the only ticks of the x axis. guides : lines across the
        panel. key : its legend (:func:`legend`). after : see :class:`Panel`.
    """

    def draw(ax: Axes) -> None:
        for which, value, about in guides:
            line = ax.axvline if which == "x" else ax.axhline
            line(value, **{"color": FAINT, "lw": 0.8, "zorder": 1, **about})
        kind(ax, *args, **options)
        ax.set(**{"xlabel": "", "ylabel": "", **(axis or {})})
        ax.set_title(title)
        for which in log:
            log_axis(ax, which)
        if ticks is not None:
            values = sorted(set(ticks))
            ax.set_xticks(values, [f"{v:,.3g}" if v < 1000 else f"{v:,}" for v in values])
            ax.minorticks_off()
        if key:
            key(ax)

    return Panel(draw, after)


def sheet(
    panels: Sequence[Sequence[Panel]],
    height: float | Sequence[float],
    *,
    title: str = "",
    caption: str = "",
    ylabel: str | Sequence[str] = "",
    key: Callable[[Figure], Any] | None = None,
    extra: float = 0.5,
    width: float = WIDTH,
    **about: Any,
) -> Figure:
    """A figure of rows of panels; short rows leave places empty.

    Parameters
    ----------
    height : inches, of each row. title, caption : above and below all panels. ylabel : of the first
        panel of each row. key : the common legend. extra : inches for the words. about : of
        `matplotlib.pyplot.subplots`.
    """
    lines = len(panels)
    heights, labels = (np.broadcast_to(value, lines) for value in (height, ylabel))
    about |= {"height_ratios": heights, "figsize": (width, extra + sum(heights)), "squeeze": False}
    with style():
        figure, axes = plt.subplots(lines, max(map(len, panels)), layout="constrained", **about)
        for ax in axes.flat:
            ax.set_axis_off()
        placed = [pair for pairs in map(zip, axes, panels) for pair in pairs]
        for ax, one in placed:
            ax.set_axis_on()
            one.draw(ax)
        for ax, label in zip(axes[:, 0], labels, strict=True):
            ax.set_ylabel(label or ax.get_ylabel())
        if title:
            figure.suptitle(title, color=INK)
        if caption:
            figure.supxlabel(caption, size=8.5, color=INK)
        if key:
            key(figure)
        finish = [(ax, one.after) for ax, one in placed if one.after]
        if finish:
            figure.draw_without_rendering()  # gives the panels their sizes
        for ax, after in finish:
            after(ax)
    return figure


def each(
    rows: pd.DataFrame, column: str, make: Callable[[Any, pd.DataFrame], Panel]
) -> list[Panel]:
    """A panel for each value of a column, in the order of the table, from the value and its rows."""
    return [make(value, part) for value, part in rows.groupby(column, sort=False)]


def legend(
    look: Mapping[Hashable, Look | str], shown: str = "line", **about: Any
) -> Callable[[Figure | Axes], Any]:
    """The legend of a panel, or of a figure below its panels, which explains looks or area colours.

    `shown` names the parts of a look that are drawn: "line", "marker" or "line, marker".
    """

    def handle(name: Hashable, one: Look | str) -> Any:
        if isinstance(one, str):
            return Patch(color=one, label=name)
        one = one if "line" in shown else one._replace(dash=None)
        return Line2D([], [], **one.line("marker" in shown), label=name)

    def draw(owner: Figure | Axes) -> None:
        default = {"loc": "outside lower center", "ncols": 6} if isinstance(owner, Figure) else {}
        handles = [handle(name, one) for name, one in look.items()]
        owner.legend(handles=handles, **{**default, **about})

    return draw


def log_axis(ax: Axes, which: str = "x") -> None:
    """A logarithmic axis with plain numbers at powers of ten, on a short one also 2 and 5 times."""
    ax.set(**{f"{which}scale": "log"})
    axis, (low, high) = (ax.xaxis, ax.get_xlim()) if which == "x" else (ax.yaxis, ax.get_ylim())
    axis.set_major_locator(LogLocator(subs=(1.0,) if high > 500.0 * low else (1.0, 2.0, 5.0)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_locator(NullLocator())
