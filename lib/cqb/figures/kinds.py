"""The kinds of panels, drawn by seaborn where it has the kind: lines, intervals, dots, bars.

Each draws one panel from a table with a row per mark. Means and their 95% intervals come from
:mod:`cqb.stats`, in the columns `mean`, `low` and `high`; nothing is estimated here.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from scipy.optimize import isotonic_regression

from .. import stats
from .sheets import Draw
from .style import BLUE, ORANGE, SMALL, Look, dark, looks

ENDS = ("mean", "low", "high")


def estimates(table: pd.DataFrame, value: str, unit: float = 1.0) -> pd.DataFrame:
    """`table` with `mean`, `low` and `high` of a value, times `unit`.

    They are read from `<value>_low`, `<value>_high` and the first that is there of `<value>_mean`,
    `<value>_difference` and `<value>`.
    """
    names = (f"{value}_mean", f"{value}_difference", value)
    mean = next(name for name in names if name in table)
    found = zip(ENDS, (mean, f"{value}_low", f"{value}_high"), strict=True)
    return table.assign(**{end: unit * table[column] for end, column in found})


def over_seeds(
    rows: pd.DataFrame, by: str | list[str], value: str, unit: float = 1.0
) -> pd.DataFrame:
    """:func:`cqb.stats.over_seeds` with the columns of :func:`estimates`."""
    return estimates(stats.over_seeds(rows, by, value), value, unit)


def around(groups: Any) -> pd.DataFrame:
    """The mean of each group of a grouped column, with one standard error down and up."""
    mean, error = groups.mean(), groups.sem()
    return pd.DataFrame({"mean": mean, "low": mean - error, "high": mean + error}).reset_index()


def from_zero(rows: pd.DataFrame, by: str | list[str]) -> pd.DataFrame:
    """`rows` over `t` with a row of zeros at t = 0 for each group."""
    start = rows.drop_duplicates(by).assign(t=0, **dict.fromkeys(ENDS, 0.0))
    return pd.concat([start, rows], ignore_index=True)


def styled(by: str, look: Mapping[str, Look], markers: bool = True) -> dict[str, Any]:
    """Arguments that give seaborn the looks of the names in the column `by`."""
    about = {"hue": by, "hue_order": list(look), "style": by, "style_order": list(look)}
    about["palette"] = {name: one.colour for name, one in look.items()}
    about["markers"] = {name: one.marker for name, one in look.items()} if markers else False
    return {**about, "legend": False}


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

    `error` is how intervals are drawn: "band", "bars" or None.
    """
    look = looks(rows[by]) if look is None else look
    about |= {"markeredgewidth": 0.3} if markers else {}
    about |= {"dashes": {name: one.dash for name, one in look.items()}, "errorbar": None}
    sns.lineplot(rows, x=x, y="mean", estimator=None, ax=ax, **styled(by, look, markers), **about)
    for name, line in rows.sort_values(x).groupby(by, sort=False) if error else ():
        colour, (low, high) = look[name].colour, (line["low"], line["high"])
        if error == "band":
            ax.fill_between(line[x], low, high, color=colour, alpha=0.13, lw=0)
        else:
            ax.vlines(line[x], low, high, color=colour, lw=0.8)


def columns(ax: Axes, table: pd.DataFrame, x: str, named: Mapping[str, tuple[str, Look]]) -> None:
    """A line for each column of `named`, which gives its label and look, and their legend."""
    for column, (label, one) in named.items():
        ax.plot(table[x], table[column], label=label, **one.line())
    if len(named) > 1:
        ax.legend()


def dots(
    ax: Axes, rows: pd.DataFrame, x: str, y: str, look: Mapping[str, Look], by: str, **about: Any
) -> None:
    """A dot for each row, with the look of its name in the column `by`."""
    sns.scatterplot(rows, x=x, y=y, ax=ax, **styled(by, look), **{"s": 40, "lw": 0, **about})


def forest(
    ax: Axes,
    rows: pd.DataFrame,
    look: Mapping[str, Look] | None = None,
    *,
    by: str = "policy",
    shift: float = 0.0,
    alpha: float = 1.0,
) -> None:
    """Means as dots with their intervals, a row for each name, from the top in the order of `look`.

    The text in a column `note`, if there is one, is printed at the right.

    Parameters
    ----------
    shift, alpha : moves dots down, makes them pale.
    """
    look = looks(rows[by]) if look is None else look
    rows = rows.assign(place=rows[by].map(list(look).index) + shift)
    colours = [look[name].colour for name in rows[by]]
    ax.hlines(rows["place"], rows["low"], rows["high"], colors=colours, lw=1.6, alpha=alpha)
    dots(ax, rows, "mean", "place", look, by, alpha=alpha, zorder=3)
    about = {"transform": ax.get_yaxis_transform(), "va": "center", "size": SMALL}
    noted = rows.sort_values("place")[["place", by, "note"]].to_numpy() if "note" in rows else ()
    for place, name, note in noted:
        ax.text(1.02, place, note, color=dark(look[name].colour), **about)
    names_down(ax, list(look))


def names_down(ax: Axes, names: Sequence[str]) -> None:
    """Name the rows 0, 1, ... of a panel, from the top."""
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.grid(visible=False, axis="y")
    ax.tick_params(axis="y", length=0)


def against(ax: Axes, rows: pd.DataFrame) -> None:
    """Simulated means with intervals, and predictions as upright marks, a row per `quantity`."""
    look = dict.fromkeys(rows["quantity"], Look(BLUE))
    forest(ax, rows.assign(mean=rows["simulated"]), look, by="quantity")
    ax.plot(rows["predicted"], range(len(rows)), "|", ms=16, mew=1.6, color=ORANGE, zorder=4)


def stacked(
    ax: Axes, table: pd.DataFrame, colours: Mapping[str, str], height: float = 0.72
) -> None:
    """Horizontal bars of parts: a row for each index of `table`, a part for each of `colours`."""
    about = {"color": list(colours.values()), "width": height, "lw": 0, "legend": False}
    table[list(colours)].plot.barh(stacked=True, ax=ax, **about)
    names_down(ax, list(table.index))


def label_ends(rows: pd.DataFrame, x: str, digits: int) -> Draw:
    """Print each policy and its last mean at the end of its line, in its colour.

    Labels move apart where lines end close together; the size of the panel must be final.
    """
    ends = rows[rows[x] == rows[x].max()].sort_values(["mean", "policy"])

    def draw(ax: Axes) -> None:
        scaled = ax.yaxis.get_transform().transform  # the axis may be logarithmic
        low, high = scaled(np.array(ax.get_ylim()))
        height = ax.get_window_extent().height * 72.0 / ax.figure.dpi  # points
        at = (scaled(ends["mean"].to_numpy(float)) - low) / (high - low)
        apart = spread(at, 1.3 * SMALL / height)
        about = {"transform": ax.transAxes, "clip_on": False}
        look = looks(ends["policy"])
        for name, mean, true, moved in zip(ends["policy"], ends["mean"], at, apart, strict=True):
            colour, text = look[name].colour, f"{name} {mean:.{digits}f}"
            ax.plot([1.0, 1.035, 1.05], [true, moved, moved], color=colour, lw=0.6, **about)
            ax.text(1.06, moved, text, va="center", size=SMALL, color=dark(colour), **about)

    return draw


def spread(at: np.ndarray, gap: float) -> np.ndarray:
    """Ascending positions (n,) moved as little as need be to lie at least `gap` apart.

    Least squares under the gaps: after taking off the gaps that lie below, isotonic regression of
    what is left. All stay in [0, 1] as long as there is room.
    """
    steps = gap * np.arange(len(at))
    level = isotonic_regression(np.asarray(at, dtype=float) - steps).x
    return np.clip(level, 0.0, max(0.0, 1.0 - steps[-1])) + steps
