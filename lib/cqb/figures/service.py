"""Figures of what regret does not show: models offered, retrials, waiting times, dollars.

Here the oracle is drawn: its choices, its waits and its spending are not 0 by definition.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..metrics import CELL
from ..runs import Cell
from ..service_metrics import AT_LEAST
from ..tables import select
from .experiments import cells, heights, name_lines, title, within
from .kinds import estimates, grid, legend, lines, over_seeds, stacked, words
from .style import in_order, looks, style

# Of the models offered most; the others share the last colour. Tol's muted palette.
COLOURS = ("#332288", "#88CCEE", "#44AA99", "#117733", "#999933", "#DDCC77", "#CC6677", "#882255")
REST = "#DDDDDD"
# From a first answer that satisfies to many retrials; queries still waiting are grey.
STEPS = ("#0B3C5D", "#2E75A8", "#7FB2D5", "#F0C05A", "#E08214", "#B2182B")
FEW = 5  # seeds, below which an interval says less than it hides


@style()
def models(views: pd.DataFrame, policies: Sequence[str]) -> Figure:
    """Which models are offered over time: shares of the offers in ten blocks of rounds.

    Rows of panels are policies, columns the settings.

    Parameters
    ----------
    views : of :func:`cqb.service_metrics.over_seeds`. policies : which of them to draw.
    """
    rows = select(views, view="models", policy=list(policies))
    most = rows.groupby("part")["share_mean"].sum().sort_values(ascending=False, kind="stable")
    shown = list(most.index[: len(COLOURS)])
    colours = dict(zip(shown, COLOURS, strict=False))
    if len(most) > len(shown):
        colours["other models"] = REST
        rows = rows.assign(part=rows["part"].where(rows["part"].isin(shown), "other models"))

    def panel(ax: Axes, key: tuple[str, Cell]) -> None:
        here = within(select(rows, policy=key[0]), key[1])
        table = here.pivot_table("share_mean", "place", "part", "sum").reindex(columns=colours)
        ends = table.index.to_numpy()
        widths, below = np.diff(ends, prepend=0), np.zeros(len(ends))
        for name, share in (100 * table.fillna(0.0)).items():
            about = {"align": "edge", "lw": 0, "color": colours[name]}
            ax.bar(ends - widths, share, widths, below, **about)
            below += share
        ax.set(xlim=(0, ends[-1]), ylim=(0, 100), yticks=[0, 50, 100])
        ax.grid(visible=False)

    columns = [cell for here in cells(rows) for cell in here]
    keys = [[(policy, cell) for cell in columns] for policy in in_order(rows["policy"])]
    figure, axes = grid(keys, panel, 1.25, extra=1.0, title=lambda _: "", sharex=True, sharey=True)
    for line, key in zip(axes, keys, strict=True):
        line[0].set_ylabel(key[0][0])
    for ax, cell in zip(axes[0], columns, strict=True):
        ax.set_title(f"K = {cell.K}, lam = {cell.lam:g}", size=8.5)
    words(figure, title(rows, "models offered, % of offers in each block of rounds"))
    legend(figure, colours, ncols=3, title=f"round t; {_mean(rows)}")
    return figure


@style()
def retrials(views: pd.DataFrame) -> Figure:
    """How often queries retry: for each policy a bar of all queries that arrived."""
    rows = select(views, view="retrials")
    waiting = rows["part"] == "waiting"
    rows = rows.assign(step=rows["place"].map(_class).mask(waiting, "waiting at the end"))
    colours = dict(zip(map(_class, AT_LEAST), STEPS, strict=True)) | {"waiting at the end": REST}

    def panel(ax: Axes, cell: Cell) -> None:
        table = within(rows, cell).pivot_table("share_mean", "policy", "step", "sum")
        table = 100 * table.reindex(in_order(table.index), columns=list(colours))
        stacked(ax, table, list(colours.values()))
        ax.set_xlim(0, 100)

    figure, _ = grid(cells(rows), panel, heights(rows, 0.6, 0.2), extra=1.1)
    words(figure, title(rows, "retrials per query"))
    about = f"% of all queries that arrived; {_mean(rows)}"
    legend(figure, colours, ncols=7, title=about)
    return figure


def _class(place: int) -> str:
    """What a class of retrials is called: "0 retrials", "3 to 4", "10 or more"."""
    following = [at for at in AT_LEAST if at > place]
    if not following:
        return f"{place} or more"
    last = following[0] - 1
    return f"{place} to {last}" if last > place else f"{place}" + ("" if place else " retrials")


@style()
def waits(views: pd.DataFrame) -> Figure:
    """How long queries wait: the share still there so many rounds after it arrived."""
    rows = estimates(select(views, view="waits"), "share", 100.0)
    rows[["mean", "low", "high"]] = rows[["mean", "low", "high"]].clip(0, 100)

    def panel(ax: Axes, cell: Cell) -> None:
        lines(ax, within(rows, cell), "place", error=_error(rows))
        ax.set(xscale="log", xlim=(1, rows["place"].max()), ylim=(0, 100))

    figure, axes = grid(cells(rows), panel, 2.3, extra=1.1)
    for ax in axes[:, 0]:
        ax.set_ylabel("still waiting (%)")
    words(figure, title(rows, "waiting times"))
    about = f"rounds since the query arrived (log scale); {_mean(rows)}{_band(rows)}"
    legend(figure, looks(rows["policy"]), ncols=9, title=about)
    return figure


@style()
def dollars(tidy: pd.DataFrame) -> Figure:
    """Dollars spent so far, on all models offered, for each 1,000 queries that departed.

    `tidy` has a row per run and round (:data:`cqb.metrics.COLUMNS`).
    """
    rows = tidy[tidy["served"] > 0]
    rows = rows.assign(price=1000 * rows["dollars"] / rows["served"])
    rows = over_seeds(rows, [*CELL, "policy", "t"], "price").rename(columns={"count": "seeds"})

    def panel(ax: Axes, cell: Cell) -> None:
        here = within(rows, cell)
        lines(ax, here, "t", error=_error(rows))
        ax.set(xlim=(0, here["t"].max()), ylim=(0, 1.3 * here["mean"].max()))

    keys = cells(rows)
    figure, axes = grid(keys, panel, 2.6, extra=1.1)
    for ax in axes[:, 0]:
        ax.set_ylabel("$ per 1,000 satisfied queries")
    about = f"round t; so far, on every model offered; {_mean(rows)}{_band(rows)}"
    words(figure, title(rows, "dollars spent per satisfied query"), about)
    name_lines(figure, axes, keys, rows, 2)
    return figure


def _mean(rows: pd.DataFrame) -> str:
    return f"mean of {rows['seeds'].max()} seeds"


def _error(rows: pd.DataFrame) -> str | None:
    return "band" if rows["seeds"].max() >= FEW else None


def _band(rows: pd.DataFrame) -> str:
    return ", band: 95% interval" if _error(rows) else " (too few for a band)"
