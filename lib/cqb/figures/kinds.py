"""The kinds of pictures that figures consist of, drawn by seaborn: lines, intervals, bars, points.

Each function draws one panel from a table with a row per mark. Means and their 95% intervals come
from :mod:`cqb.stats`, in the columns `mean`, `low` and `high`; nothing is estimated here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, NullLocator
from scipy.optimize import isotonic_regression

from ..stats import intervals
from .style import BLUE, FAINT, INK, ORANGE, SMALL, WIDTH, Look, dark, looks

ENDS = ("mean", "low", "high")
Key = TypeVar("Key")


def estimates(table: pd.DataFrame, value: str, unit: float = 1.0) -> pd.DataFrame:
    """`table` with `mean`, `low` and `high` of a value, times `unit`.

    They are read from `<value>_mean`, or `<value>` where that is missing, `<value>_low` and `_high`.
    """
    mean = f"{value}_mean" if f"{value}_mean" in table else value
    found = zip(ENDS, (mean, f"{value}_low", f"{value}_high"), strict=True)
    return table.assign(**{end: unit * table[column] for end, column in found})


def over_seeds(
    rows: pd.DataFrame, by: str | list[str], value: str, unit: float = 1.0
) -> pd.DataFrame:
    """Mean of a value over the rows of each group with its 95% t-interval, and the rows' `count`."""
    groups = rows.groupby(by, sort=False)
    count = groups[value].count()
    table = pd.DataFrame({"count": count, **intervals(groups, (value,), count)})
    return estimates(table.reset_index(), value, unit)


def from_zero(rows: pd.DataFrame, by: str | list[str]) -> pd.DataFrame:
    """`rows` over `t` with a row of zeros at t = 0 for each group."""
    start = rows.drop_duplicates(by).assign(t=0, **dict.fromkeys(ENDS, 0.0))
    return pd.concat([start, rows], ignore_index=True)


def grid(
    lines: Sequence[Sequence[Key]],
    draw: Callable[[Axes, Key], None],
    height: float | Sequence[float],
    **about: Any,
) -> tuple[Figure, np.ndarray]:
    """A row of panels for each of `lines`, each drawn from its key; short rows leave panels empty.

    Parameters
    ----------
    height : of each row of panels, inches. about : of `matplotlib.pyplot.subplots`, and `extra`, the
        height of the words above and below (inches), and `title`, what heads a panel (`str`).
    """
    heights = [height] * len(lines) if isinstance(height, int | float) else list(height)
    extra, title = about.pop("extra", 0.4), about.pop("title", str)
    figure, axes = plt.subplots(
        len(lines),
        max(map(len, lines)),
        figsize=(about.pop("width", WIDTH), extra + sum(heights)),
        height_ratios=heights,
        layout="constrained",
        squeeze=False,
        **about,
    )
    for row, keys in zip(axes, lines, strict=True):
        for ax in row[len(keys) :]:
            ax.set_axis_off()
        for ax, key in zip(row, keys, strict=False):
            draw(ax, key)
            ax.set_title(title(key))
    return figure, axes


def words(figure: Figure, title: str, caption: str = "") -> None:
    """The title of a figure, and what stands below its panels."""
    figure.suptitle(title, color=INK)
    if caption:
        figure.supxlabel(caption, size=8.5, color=INK)


def lines(
    ax: Axes,
    rows: pd.DataFrame,
    x: str,
    look: Mapping[str, Look] | None = None,
    *,
    by: str = "policy",
    error: str | None = "band",
    markers: bool = False,
    **about: Any,
) -> None:
    """A line through the means over `x` for each name in the column `by`.

    Parameters
    ----------
    look : of each name, in order; by default that of policies. error : how intervals are drawn,
        "band", "bars" or None. about : of `seaborn.lineplot`.
    """
    look = looks(rows[by]) if look is None else look
    sns.lineplot(
        rows,
        x=x,
        y="mean",
        **styled(by, look, markers),
        dashes={name: one.dash for name, one in look.items()},
        errorbar=None,
        estimator=None,
        legend=False,
        ax=ax,
        **({"markeredgewidth": 0.3} if markers else {}),
        **about,
    )
    for name, line in rows.sort_values(x).groupby(by, sort=False):
        colour = look[name].colour
        if error == "band":
            ax.fill_between(line[x], line["low"], line["high"], color=colour, alpha=0.13, lw=0)
        elif error == "bars":
            ax.vlines(line[x], line["low"], line["high"], color=colour, lw=0.8)
    ax.set(xlabel="", ylabel="")


def styled(by: str, look: Mapping[str, Look], markers: bool = True) -> dict[str, Any]:
    """How seaborn is told the looks of the names in the column `by`."""
    names = list(look)
    return {
        "hue": by,
        "hue_order": names,
        "palette": {name: one.colour for name, one in look.items()},
        "style": by,
        "style_order": names,
        "markers": {name: one.marker for name, one in look.items()} if markers else False,
    }


def forest(
    ax: Axes,
    rows: pd.DataFrame,
    look: Mapping[str, Look] | None = None,
    *,
    by: str = "policy",
    line: float | None = None,
    mark: str | None = None,
    notes: Mapping[str, str] | None = None,
    shift: float = 0.0,
    alpha: float = 1.0,
) -> None:
    """Means as dots with their intervals, a row for each name, from the top in the order of `look`.

    Parameters
    ----------
    line : where an upright line is drawn. mark : a column of values drawn as upright marks.
    notes : text for names, printed at the right. shift, alpha : moves dots down, makes them pale.
    """
    look = looks(rows[by]) if look is None else look
    at = {name: place for place, name in enumerate(look)}
    rows = rows.assign(place=rows[by].map(at) + shift)
    if line is not None:
        ax.axvline(line, color=FAINT, lw=0.8, zorder=1)
    colours = [look[name].colour for name in rows[by]]
    ax.hlines(rows["place"], rows["low"], rows["high"], colors=colours, lw=1.6, alpha=alpha)
    about = {"s": 34, "linewidth": 0, "alpha": alpha, "zorder": 3, "legend": False, "ax": ax}
    sns.scatterplot(rows, x="mean", y="place", **styled(by, look), **about)
    if mark:
        ax.plot(rows[mark], rows["place"], "|", color=INK, ms=13, mew=1.4, zorder=4)
    for name, note in (notes or {}).items():
        about = {"transform": ax.get_yaxis_transform(), "va": "center", "size": SMALL}
        ax.text(1.02, at[name], note, color=dark(look[name].colour), **about)
    names_down(ax, list(look))


def names_down(ax: Axes, names: Sequence[str]) -> None:
    """Name the rows 0, 1, ... of a panel, from the top."""
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.set(xlabel="", ylabel="")
    ax.grid(visible=False, axis="y")
    ax.tick_params(axis="y", length=0)


def against(ax: Axes, rows: pd.DataFrame, title: str = "") -> None:
    """Simulated means with intervals, and predictions as upright marks, a row per `quantity`."""
    look = dict.fromkeys(rows["quantity"], Look(BLUE))
    forest(ax, rows.assign(mean=rows["simulated"]), look, by="quantity")
    ax.plot(rows["predicted"], range(len(rows)), "|", ms=16, mew=1.6, color=ORANGE, zorder=4)
    ax.set_title(title)


def stacked(ax: Axes, table: pd.DataFrame, colours: Sequence[str], height: float = 0.72) -> None:
    """Horizontal bars of parts, a row for each index of `table` and a part for each column."""
    table.plot.barh(stacked=True, color=list(colours), width=height, lw=0, legend=False, ax=ax)
    names_down(ax, list(table.index))


def legend(
    owner: Figure | Axes, look: Mapping[str, Look | str], shown: str = "line", **about: Any
) -> None:
    """What looks or colours (of areas) mean; for a figure below its panels by default.

    `shown` names the parts of a look that are drawn: "line", "marker" or "line, marker".
    """
    handles = [
        Patch(color=one, label=name)
        if isinstance(one, str)
        else Line2D(
            [],
            [],
            color=one.colour,
            ls="" if "line" not in shown else (0, one.dash) if one.dash else "-",
            marker=one.marker if "marker" in shown else "",
            ms=4.5,
            label=name,
        )
        for name, one in look.items()
    ]
    default = {"loc": "outside lower center", "ncols": 6} if isinstance(owner, Figure) else {}
    owner.legend(handles=handles, **{**default, **about})


def log_axis(ax: Axes, which: str = "x") -> None:
    """A logarithmic axis with ticks at 1, 2 and 5 times powers of ten, as plain numbers."""
    axis: Axis = getattr(ax, f"{which}axis")
    ax.set(**{f"{which}scale": "log"})
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_locator(NullLocator())


def ticks(ax: Axes, values: Iterable[float], form: str = "{:g}", *, log: bool = False) -> None:
    """Ticks of the x axis at `values` and nowhere else."""
    if log:
        ax.set_xscale("log")
    values = sorted(set(values))
    ax.set_xticks(values, [form.format(value) for value in values])
    ax.minorticks_off()


def label_ends(ax: Axes, ends: Mapping[str, float], text: Mapping[str, str]) -> None:
    """Name each line at its right end, in its colour, moved apart where lines end close together.

    Parameters
    ----------
    ends : the last value of each policy's line; the axes' limits and size must be final.
    text : what to write for each policy.
    """
    low, high = ax.get_ylim()
    height = ax.get_window_extent().height * 72.0 / ax.figure.dpi  # points
    names = sorted(ends, key=lambda name: (ends[name], name))
    at = (np.array([ends[name] for name in names]) - low) / (high - low)
    about = {"transform": ax.transAxes, "clip_on": False}
    look = looks(names)
    for name, true, moved in zip(names, at, spread(at, 1.3 * SMALL / height), strict=True):
        colour = look[name].colour
        ax.plot([1.0, 1.035, 1.05], [true, moved, moved], color=colour, lw=0.6, **about)
        ax.text(1.06, moved, text[name], va="center", size=SMALL, color=dark(colour), **about)


def spread(at: np.ndarray, gap: float) -> np.ndarray:
    """Ascending positions (n,) moved as little as need be to lie at least `gap` apart.

    Least squares under the gaps: after taking off the gaps that lie below, isotonic regression of
    what is left. All stay in [0, 1] as long as there is room.
    """
    steps = gap * np.arange(len(at))
    level = isotonic_regression(np.asarray(at, dtype=float) - steps).x
    return np.clip(level, 0.0, max(0.0, 1.0 - steps[-1])) + steps
