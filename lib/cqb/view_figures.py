"""Figures of what regret does not show: models offered, retrials, waiting times, dollars.

Like :mod:`cqb.figures`, they take frames and return figures. Here the oracle is drawn: its choices, its
waits and its spending are not 0 by definition.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .experiment.cell_rows import cells_of, pick
from .experiment.metrics import CELL
from .experiment.summary import intervals
from .experiment.views import AT_LEAST
from .figures import title
from .house_style import INK, WIDTH, in_order, label_ends, looks, style

# Of the models offered most; the others share the last colour. Tol's muted palette.
COLOURS = ("#332288", "#88CCEE", "#44AA99", "#117733", "#999933", "#DDCC77", "#CC6677", "#882255")
REST = "#DDDDDD"
# From a first answer that satisfies to many retrials; queries still waiting are grey.
STEPS = dict(
    zip(AT_LEAST, ("#0B3C5D", "#2E75A8", "#7FB2D5", "#F0C05A", "#E08214", "#B2182B"), strict=True)
)
ENDS = ("mean", "low", "high")
SMALL = 7.5
FEW = 5  # seeds, below which an interval says less than it hides
Draw = Callable[[Axes, pd.DataFrame], None]


def models(views: pd.DataFrame, policies: Sequence[str]) -> Figure:
    """Which models are offered over time: shares of the offers in ten blocks of rounds.

    Rows of panels are policies, columns the settings.

    Parameters
    ----------
    views : of :func:`cqb.experiment.view_store.views`. policies : which of them to draw.
    """
    rows = _view(views, "models")
    rows = rows[rows["policy"].isin(policies)]
    names = in_order(rows["policy"])
    cells = [cell for K in sorted(set(rows["K"])) for cell in cells_of(rows, K)]
    most = rows.groupby("part")["share_mean"].sum().sort_values(ascending=False, kind="stable")
    shown = list(most.index[: len(COLOURS)])
    with style():
        figure, axes = plt.subplots(
            len(names),
            len(cells),
            figsize=(WIDTH, 1.0 + 1.25 * len(names)),
            sharex=True,
            sharey=True,
            layout="constrained",
            squeeze=False,
        )
        for line, name in zip(axes, names, strict=True):
            for ax, cell in zip(line, cells, strict=True):
                here = pick(rows[rows["policy"] == name], cell)
                _blocks(ax, here, shown)
            line[0].set_ylabel(name)
        for ax, cell in zip(axes[0], cells, strict=True):
            ax.set_title(f"K = {cell.K}, lam = {cell.lam:g}", size=8.5)
        _words(figure, rows, "models offered, % of offers in each block of rounds")
        _legend(figure, axes, 3, f"round t; {_mean(rows)}")
    return figure


def _blocks(ax: Axes, rows: pd.DataFrame, shown: Sequence[str]) -> None:
    """Bars of 100%, one for each block of rounds."""
    table = 100 * rows.pivot(index="place", columns="part", values="share_mean").fillna(0.0)
    ends = table.index.to_numpy()
    widths = np.diff(ends, prepend=0)
    below = np.zeros(len(ends))
    parts = {name: table.get(name, pd.Series(0.0, table.index)) for name in shown}
    others = table.drop(columns=[name for name in shown if name in table])
    if others.shape[1]:
        parts["other models"] = others.sum(axis=1)
    for (name, share), colour in zip(parts.items(), (*COLOURS[: len(shown)], REST), strict=False):
        look = {"width": widths, "color": colour, "lw": 0, "align": "edge", "label": name}
        ax.bar(ends - widths, share.to_numpy(), bottom=below, **look)
        below = below + share.to_numpy()
    ax.set_xlim(0, ends[-1])
    ax.set_ylim(0, 100)
    ax.set_yticks([0, 50, 100])
    ax.grid(visible=False)


def retrials(views: pd.DataFrame) -> Figure:
    """How often queries retry: for each policy a bar of all queries that arrived."""
    rows = _view(views, "retrials")
    heights = [0.6 + 0.2 * rows.loc[rows["K"] == K, "policy"].nunique() for K in _sizes(rows)]
    with style():
        figure, axes = _grid(rows, _retrial_bars, heights)
        _words(figure, rows, "retrials per query")
        _legend(figure, axes, 7, f"% of all queries that arrived; {_mean(rows)}")
    return figure


def _retrial_bars(ax: Axes, rows: pd.DataFrame) -> None:
    names = in_order(rows["policy"])
    gone, still = (100 * _table(rows[rows["part"] == part]) for part in ("departed", "waiting"))
    left = np.zeros(len(names))
    bars = [(gone[place], colour, _class(place)) for place, colour in STEPS.items()]
    for part, colour, label in [*bars, (still.sum(axis=1), REST, "waiting at the end")]:
        widths = part[names].to_numpy()
        ax.barh(names, widths, left=left, color=colour, height=0.72, lw=0, label=label)
        left = left + widths
    ax.set_xlim(0, 100)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.grid(visible=False, axis="y")
    ax.tick_params(axis="y", length=0)


def _table(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean shares, a row per policy and a column per place."""
    return rows.pivot(index="policy", columns="place", values="share_mean")


def _class(place: int) -> str:
    """What a class of retrials is called: "0 retrials", "3 to 4", "10 or more"."""
    following = [at for at in AT_LEAST if at > place]
    if not following:
        return f"{place} or more"
    last = following[0] - 1
    return f"{place} to {last}" if last > place else f"{place}" + ("" if place else " retrials")


def waits(views: pd.DataFrame) -> Figure:
    """How long queries wait: the share still there so many rounds after it arrived."""
    rows = _view(views, "waits").rename(columns={"place": "x"})
    rows[list(ENDS)] = 100 * rows[[f"share_{end}" for end in ENDS]].clip(0, 1)
    with style():
        figure, axes = _grid(rows, _lines, [2.3] * len(_sizes(rows)))
        for ax in axes.flat:
            ax.set_xscale("log")
            ax.set_ylim(0, 100)
        for line in axes:
            line[0].set_ylabel("still waiting (%)")
        about = f"rounds since the query arrived (log scale); {_mean(rows)}{_band(rows)}"
        _words(figure, rows, "waiting times")
        _legend(figure, axes, 9, about)
    return figure


def dollars(tidy: pd.DataFrame) -> Figure:
    """Dollars spent so far, on all models offered, for each 1,000 queries that departed.

    `tidy` has a row per run and round (:func:`cqb.experiment.results.results`).
    """
    rows = tidy[tidy["served"] > 0]
    rows = rows.assign(price=1000 * rows["dollars"] / rows["served"])
    groups = rows.groupby([*CELL, "policy", "t"], sort=False)
    count = groups["seed"].nunique()
    rows = pd.DataFrame({"seeds": count, **intervals(groups, ("price",), count)}).reset_index()
    rows = rows.rename(columns={"t": "x", **{f"price_{end}": end for end in ENDS}})
    with style():
        figure, axes = _grid(rows, _lines, [2.6] * len(_sizes(rows)))
        for line in axes:
            line[0].set_ylabel("$ per 1,000 satisfied queries")
        about = f"round t; so far, on every model offered; {_mean(rows)}{_band(rows)}"
        _words(figure, rows, "dollars spent per satisfied query")
        figure.supxlabel(about, size=8.5, color=INK)
        figure.draw_without_rendering()  # gives the panels the size that labels are placed by
        for K, line in zip(_sizes(rows), axes, strict=True):
            for ax, cell in zip(line, cells_of(rows, K), strict=False):
                ax.set_ylim(0, 1.3 * pick(rows, cell)["mean"].max())
                last = pick(rows[rows["x"] == rows["x"].max()], cell)
                ends = last.set_index("policy")["mean"].to_dict()
                text = {name: f"{name} {end:.2f}" for name, end in ends.items()}
                label_ends(ax, ends, text, SMALL)
    return figure


def _lines(ax: Axes, rows: pd.DataFrame) -> None:
    """The lines of one cell over `x`, each with its band where there are seeds enough for one."""
    for name, look in looks(rows["policy"]).items():
        line = rows[rows["policy"] == name].sort_values("x")
        x, mean, low, high = (line[part].to_numpy(float) for part in ("x", *ENDS))
        ax.plot(x, mean, color=look.colour, ls=look.dash, label=name)
        if rows["seeds"].max() >= FEW:
            ax.fill_between(x, low, high, color=look.colour, alpha=0.13, lw=0)
    ax.set_xlim(0 if rows["x"].min() > 1 else 1, rows["x"].max())


def _view(views: pd.DataFrame, name: str) -> pd.DataFrame:
    return views[views["view"] == name].copy()


def _sizes(rows: pd.DataFrame) -> list[int]:
    return sorted(set(rows["K"]))


def _grid(rows: pd.DataFrame, draw: Draw, heights: Sequence[float]) -> tuple[Figure, np.ndarray]:
    """A row of panels for each K, in it a panel for each setting, drawn by `draw`."""
    cells = [cells_of(rows, K) for K in _sizes(rows)]
    figure, axes = plt.subplots(
        len(cells),
        max(map(len, cells)),
        figsize=(WIDTH, 1.1 + sum(heights)),
        height_ratios=heights,
        layout="constrained",
        squeeze=False,
    )
    for line, here in zip(axes, cells, strict=True):
        for ax in line[len(here) :]:
            ax.set_axis_off()
        for ax, cell in zip(line, here, strict=False):
            draw(ax, pick(rows, cell))
            ax.set_title(str(cell), loc="left")
    return figure, axes


def _words(figure: Figure, rows: pd.DataFrame, about: str) -> None:
    figure.suptitle(title(rows, about), color=INK)


def _mean(rows: pd.DataFrame) -> str:
    return f"mean of {rows['seeds'].max()} seeds"


def _band(rows: pd.DataFrame) -> str:
    return ", band: 95% interval" if rows["seeds"].max() >= FEW else " (too few for a band)"


def _legend(figure: Figure, axes: np.ndarray, columns: int, caption: str) -> None:
    """What the first panel's colours mean, below all panels and their caption."""
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=columns,
        frameon=False,
        fontsize=SMALL,
        title=caption,
        title_fontsize=8.5,
    )
