"""Figures of what regret does not show: models offered, retrials, waiting times, dollars.

Here the oracle is drawn: its choices, its waits and its spending are not 0 by definition.
"""

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..metrics import RETRIALS
from ..runs import Cell
from ..tables import select
from .experiments import KEYS, by_cell, heights, title
from .kinds import estimates, label_ends, lines, over_seeds, stacked
from .sheets import Panel, legend, panel, sheet
from .style import in_order, looks

# Of the models offered most; the others share the last colour. Tol's muted palette.
COLOURS = ("#332288", "#88CCEE", "#44AA99", "#117733", "#999933", "#DDCC77", "#CC6677", "#882255")
REST = "#DDDDDD"
# By class of retrials, from a first answer that satisfies; queries still waiting are grey.
STEPS = ("#0B3C5D", "#2E75A8", "#7FB2D5", "#F0C05A", "#E08214", "#B2182B")
FEW = 5  # seeds, below which an interval says less than it hides


def models(views: pd.DataFrame, policies: Sequence[str]) -> Figure:
    """Which models are offered over time: shares of the offers in ten blocks of rounds.

    Rows of panels are policies, columns the settings.

    Parameters
    ----------
    views : of :func:`cqb.stats.service_summary`. policies : which of them to draw.
    """
    rows = select(views, view="models", policy=list(policies))
    most = rows.groupby("part")["share_mean"].sum().sort_values(ascending=False, kind="stable")
    colours = dict(zip(most.index, COLOURS, strict=False))
    if len(most) > len(colours):
        rows = rows.assign(part=rows["part"].where(rows["part"].isin(colours), "other models"))
        colours["other models"] = REST
    names = in_order(rows["policy"])

    def make(cell: Cell, here: pd.DataFrame) -> Panel:
        heading = f"K = {cell.K}, lam = {cell.lam:g}" if here["policy"].iloc[0] == names[0] else ""
        return panel(_blocks, here, colours, title=heading)

    return sheet(
        [by_cell(select(rows, policy=name), make, "policy")[0] for name in names],
        1.25,
        extra=1.0,
        sharex=True,
        sharey=True,
        ylabel=names,
        title=title(rows, "models offered, % of offers in each block of rounds"),
        key=legend(colours, ncols=3, title=f"round t; {_mean(rows)}"),
    )


def _blocks(ax: Axes, rows: pd.DataFrame, colours: Mapping[str, str]) -> None:
    """Stacked shares, constant within each block of rounds, which `place` ends."""
    table = 100 * rows.pivot_table("share_mean", "place", "part", "sum").reindex(columns=colours)
    table.loc[0] = 0.0  # a step reaches from the end before
    table = table.fillna(0.0).sort_index()
    ax.stackplot(table.index, table.to_numpy().T, step="pre", colors=colours.values(), lw=0)
    ax.set(xlim=(0, table.index[-1]), ylim=(0, 100), yticks=[0, 50, 100])
    ax.grid(visible=False)


def retrials(views: pd.DataFrame) -> Figure:
    """How often queries retry: for each policy a bar of all queries that arrived."""
    rows = select(views, view="retrials")
    waiting = rows["part"] == "waiting"
    rows = rows.assign(step=rows["place"].map(RETRIALS).mask(waiting, "waiting at the end"))
    colours = dict(zip(RETRIALS.values(), STEPS, strict=True)) | {"waiting at the end": REST}

    def make(cell: Cell, here: pd.DataFrame) -> Panel:
        table = 100 * here.pivot_table("share_mean", "policy", "step", "sum")
        table = table.reindex(in_order(table.index))
        return panel(stacked, table, colours, title=str(cell), axis={"xlim": (0, 100)})

    return sheet(
        by_cell(rows, make),
        heights(rows, 0.6, 0.2),
        extra=1.1,
        sharey="row",
        title=title(rows, "retrials per query"),
        key=legend(colours, ncols=7, title=f"% of all queries that arrived; {_mean(rows)}"),
    )


def waits(views: pd.DataFrame) -> Figure:
    """How long queries wait: the share still there so many rounds after it arrived."""
    rows = estimates(select(views, view="waits"), "share", 100.0)
    rows[["mean", "low", "high"]] = rows[["mean", "low", "high"]].clip(0, 100)
    error, about = _band(rows)
    axis = {"xlim": (1, rows["place"].max()), "ylim": (0, 100)}
    about = f"rounds since the query arrived (log scale); {_mean(rows)}{about}"

    def make(cell: Cell, here: pd.DataFrame) -> Panel:
        return panel(lines, here, "place", title=str(cell), axis=axis, log="x", error=error)

    return sheet(
        by_cell(rows, make),
        2.3,
        extra=1.1,
        sharey=True,
        ylabel="still waiting (%)",
        title=title(rows, "waiting times"),
        key=legend(looks(rows["policy"]), ncols=9, title=about),
    )


def dollars(tidy: pd.DataFrame) -> Figure:
    """Dollars spent so far, on all models offered, for each 1,000 queries that departed.

    `tidy` has a row per run and round (:data:`cqb.metrics.COLUMNS`).
    """
    rows = tidy[tidy["served"] > 0]
    rows = rows.assign(price=1000 * rows["dollars"] / rows["served"])
    rows = over_seeds(rows, [*KEYS, "t"], "price")
    error, about = _band(rows)

    def make(cell: Cell, here: pd.DataFrame) -> Panel:
        axis = {"xlim": (0, here["t"].max()), "ylim": (0, 1.3 * here["mean"].max())}
        ends = label_ends(here, "t", 2)
        return panel(lines, here, "t", title=str(cell), axis=axis, error=error, after=ends)

    return sheet(
        by_cell(rows, make),
        2.6,
        ylabel="$ per 1,000 satisfied queries",
        title=title(rows, "dollars spent per satisfied query"),
        caption=f"round t; so far, on every model offered; {_mean(rows)}{about}",
    )


def _mean(rows: pd.DataFrame) -> str:
    return f"mean of {rows['seeds'].max()} seeds"


def _band(rows: pd.DataFrame) -> tuple[str | None, str]:
    """How the intervals of lines are drawn, and what the caption says of it."""
    if rows["seeds"].max() >= FEW:
        return "band", ", band: 95% interval"
    return None, " (too few for a band)"
