"""The figures of notebook 06, one function each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cqb.figures.kinds import estimates, forest, grid, legend, lines, names_down, styled, ticks
from cqb.figures.style import (
    BLUE,
    DASHED,
    DOTTED,
    FAINT,
    INK,
    ORANGE,
    SOLID,
    Look,
    style,
)

from .dual import Prices, dual_value

LOOKS = {
    "PORT": Look("#0072B2", SOLID, "o"),
    "PORT-ref": Look("#56B4E9", DASHED, "s"),
    "PORT-R": Look("#CC79A7", DASHED, "D"),
    "PORT-H": Look("#AA4499", DASHED, "P"),
    "PORT-RH": Look("#009E73", SOLID, "^"),
    "PORT-RH+": Look("#117733", SOLID, "*"),
    "Random": Look("#777777", DOTTED, "d"),
    "KNN-Cost": Look("#E69F00", DOTTED, "v"),
    "Approx Optimum": Look("#000000", SOLID, "X"),
}
DECLINED_COLOUR = "#bbbbbb"
SWEEPS = {
    "volume": "queries in the stream N",
    "budget": "budget factor c",
    "models": "models M",
    "epsilon": "share of the first phase, epsilon",
    "k": "neighbours k",
}
MEASURES = {
    "perf": "Perf (score)",
    "cost": "dollars spent",
    "lost": "queries lost",
    "wait": "mean wait (rounds)",
}


def _looks(rows: pd.DataFrame) -> dict[str, Look]:
    present = set(rows["policy"])
    return {policy: look for policy, look in LOOKS.items() if policy in present}


@style()
def lp_and_dual(
    scores: np.ndarray, costs: np.ndarray, budgets: np.ndarray, prices: Prices, names: Sequence[str]
) -> Figure:
    """Two models: F along each price through its minimum, and the rule that the prices make.

    `scores` and `costs` are (2, queries), `budgets` (2,).
    """
    colours = (BLUE, ORANGE)

    def along(ax: Axes) -> None:
        factors = np.linspace(0.0, 3.0, 121)
        for i, name in enumerate(names):
            gamma = np.tile(prices.gamma, (len(factors), 1))
            gamma[:, i] *= factors
            F = [dual_value(y, scores, costs, budgets, mode="dual") for y in gamma]
            ax.plot(factors, F, color=colours[i], label=f"price of {name}")
        ax.axhline(prices.bound, color=INK, ls=":", lw=1.0, label="optimum of the programme")
        ax.set(xlabel="price, in units of the optimal one", ylabel="F (score)")
        ax.legend()

    def rule(ax: Axes) -> None:
        worth = scores - prices.gamma[:, None] * costs
        look = {f"to {name}": Look(colour) for name, colour in zip(names, colours, strict=True)}
        look = {"declined": Look(DECLINED_COLOUR), **look}
        _rule(ax, worth, look)
        ax.set(xlabel=f"score less priced cost, {names[0]}", ylabel=f"the same, {names[1]}")

    panels = {
        "Every price gives an upper bound; the best one is tight": along,
        "The routing rule: the largest one, if above 0": rule,
    }
    return grid([list(panels)], lambda ax, heading: panels[heading](ax), 3.2)[0]


def _rule(ax: Axes, worth: np.ndarray, look: Mapping[str, Look]) -> None:
    """Queries by their worth (2, queries) at each model, and the borders between the decisions."""
    choice = np.where(worth.max(axis=0) > 0, 1 + worth.argmax(axis=0), 0)
    chosen = np.array(list(look))[choice]
    rows = pd.DataFrame({"x": worth[0], "y": worth[1], "chosen": chosen})
    about = {"s": 12, "linewidth": 0, "alpha": 0.7, "legend": False, "ax": ax}
    sns.scatterplot(rows, x="x", y="y", **styled("chosen", look), **about)
    low, high = worth.min(), worth.max()
    for x, y in (([0, high], [0, high]), ([low, 0], [0, 0]), ([0, 0], [low, 0])):
        ax.plot(x, y, color=FAINT, lw=0.8)
    left, bottom = np.quantile(worth, 0.02, axis=1)
    ax.set(xlim=(left, high + 0.05), ylim=(bottom, high + 0.05))
    legend(ax, look, "marker")


@style()
def shadow_prices(worth: pd.DataFrame, title: str) -> Figure:
    """What an average query costs at each model in points of score; columns: modes, index: models."""
    rows = worth.rename_axis("model").reset_index().melt("model", var_name="mode")
    colours = {mode: LOOKS[mode].colour for mode in worth}

    def panel(ax: Axes, _: str) -> None:
        about = {"palette": colours, "saturation": 1, "ax": ax}
        sns.barplot(rows, x="value", y="model", hue="mode", errorbar=None, **about)
        label = "price x mean cost (points of score; log scale)"
        ax.set(xscale="log", xlabel=label, ylabel="")
        ax.legend(title=None)

    return grid([[title]], panel, 2.8)[0]


@style()
def sweeps(summary: pd.DataFrame, where: str) -> Figure:
    """Perf over the LP optimum against volume, budget, number of models and first phase."""
    rows = estimates(summary[summary["experiment"].isin(SWEEPS)], "lpr")
    rows = rows.assign(setting=rows["setting"].astype(float))

    def panel(ax: Axes, experiment: str) -> None:
        here = rows[rows["experiment"] == experiment]
        lines(ax, here, "setting", _looks(here), error="bars", markers=True)
        ticks(ax, here["setting"], log=True)
        ax.set_xlabel(SWEEPS[experiment])

    names = list(SWEEPS)
    figure, axes = grid([names[:3], names[3:]], panel, 2.5, title=lambda _: "")
    axes[0, 0].set_title(f"Perf / LP optimum, {where}")
    legend(axes[1, 2], _looks(rows), "line, marker", loc="center", fontsize=8.5)
    return figure


@style()
def spreads(tidy: pd.DataFrame, where: str) -> Figure:
    """Perf over the LP optimum over 100 orders of one stream, and over 100 random splits."""

    def panel(ax: Axes, experiment: str) -> None:
        rows = tidy[tidy["experiment"] == experiment]
        palette = {policy: look.colour for policy, look in _looks(rows).items()}
        about = {"hue": "policy", "palette": palette, "order": list(palette), "width": 0.6}
        sns.boxplot(rows, x="lpr", y="policy", boxprops={"alpha": 0.6}, ax=ax, **about)
        names_down(ax, list(palette))
        ax.set_xlabel("Perf / LP optimum")

    experiments = ["100 orders", "100 splits"]
    heading = ("{}, " + where).format
    return grid([experiments], panel, 2.6, title=heading, sharey=True)[0]


@style()
def settings(summary: pd.DataFrame, where: str) -> Figure:
    """Perf over the LP optimum of the main policies in every compared setting, with intervals."""
    rows = estimates(summary[summary["experiment"].isin(["split", "sorted"])], "lpr")
    columns = rows["setting"].where(rows["experiment"] == "split", "sorted")
    names, look = list(dict.fromkeys(columns)), _looks(rows)
    shift = rows["policy"].map({name: i - len(look) / 2 for i, name in enumerate(look)})
    rows = rows.assign(at=columns.map(names.index) + 0.08 * shift)

    def panel(ax: Axes, _: str) -> None:
        colours = [look[policy].colour for policy in rows["policy"]]
        ax.vlines(rows["at"], rows["low"], rows["high"], colors=colours, lw=0.9)
        about = {"s": 42, "linewidth": 0, "legend": False, "ax": ax}
        sns.scatterplot(rows, x="at", y="mean", **styled("policy", look), **about)
        ax.set_xticks(range(len(names)), names)
        ax.grid(visible=False, axis="x")
        ax.set(ylabel="Perf / LP optimum", xlabel="split of the budget (sorted: weighted)")

    heading = f"Eight splits and the family-sorted stream, {where}"
    figure, _ = grid([[heading]], panel, 3.8)
    legend(figure, look, "marker", ncols=len(look))
    return figure


@style()
def queue(summary: pd.DataFrame, where: str) -> Figure:
    """What each system wins and loses in the queue: Perf, dollars, lost, waiting, with intervals."""
    look = dict.fromkeys(summary["policy"], Look(ORANGE))

    def panel(ax: Axes, measure: str) -> None:
        forest(ax, estimates(summary, measure), look)
        ax.set(xlim=(0.0, None), xlabel=MEASURES[measure])

    figure, axes = grid([list(MEASURES)], panel, 2.4, title=lambda _: "", sharey=True)
    axes[0, 0].set_title(f"One queue, one budget, {where}")
    return figure
