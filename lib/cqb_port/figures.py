"""The figures of notebook 06, one function each."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cqb.figures.kinds import columns, dots, estimates, forest, lines, names_down
from cqb.figures.sheets import legend, panel, sheet
from cqb.figures.style import BLUE, DASHED, DOTTED, FAINT, INK, ORANGE, SOLID, Look
from cqb.tables import select

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
    "Greedy-Cost": Look("#D55E00", DOTTED, "v"),
    "BatchSplit": Look("#999933", DOTTED, "h"),
    "Approx Optimum": Look("#000000", SOLID, "X"),
}
# The rules by which a comparison is judged, and what a sweep over one setting shows.
MAIN = ("PORT", "PORT-ref", "PORT-RH", "PORT-RH+", "Greedy-Cost", "BatchSplit", "Approx Optimum")
SWEPT = [name for name in LOOKS if name not in ("Greedy-Cost", "BatchSplit")]
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


def lp_and_dual(
    scores: np.ndarray, costs: np.ndarray, budgets: np.ndarray, prices: Prices, names: Sequence[str]
) -> Figure:
    """Two models: F along each price through its minimum, and the rule that the prices make.

    `scores` and `costs` are (2, queries), `budgets` (2,).
    """
    factors = np.linspace(0.0, 3.0, 121)
    table = pd.DataFrame({"factor": factors, "optimum": prices.bound})
    named = {"optimum": ("optimum of the programme", Look(INK, DOTTED, ""))}
    look = {"declined": Look("#bbbbbb")}
    for i, (name, colour) in enumerate(zip(names, (BLUE, ORANGE), strict=True)):
        along = np.tile(prices.gamma, (len(factors), 1))
        along[:, i] *= factors
        table[name] = [dual_value(y, scores, costs, budgets, mode="dual") for y in along]
        named[name] = (f"price of {name}", Look(colour, marker=""))
        look[f"to {name}"] = Look(colour)
    worth = scores - prices.gamma[:, None] * costs
    bounds = {"xlabel": "price, in units of the optimal one", "ylabel": "F (score)"}
    net = {"xlabel": f"score less priced cost, {names[0]}", "ylabel": f"the same, {names[1]}"}
    tight = "Every price gives an upper bound; the best one is tight"
    rule = {"title": "The routing rule: the largest one, if above 0", "axis": net}
    rule["key"] = legend(look, "marker", loc="lower left", frameon=True)
    left = panel(columns, table, "factor", named, title=tight, axis=bounds)
    return sheet([[left, panel(_rule, worth, look, **rule)]], 3.2)


def _rule(ax: Axes, worth: np.ndarray, look: Mapping[str, Look]) -> None:
    """Queries by their worth (2, queries) at each model, and the borders between the decisions."""
    choice = np.where(worth.max(axis=0) > 0, 1 + worth.argmax(axis=0), 0)
    rows = pd.DataFrame({"x": worth[0], "y": worth[1], "chosen": np.array(list(look))[choice]})
    dots(ax, rows, "x", "y", look, "chosen", s=12, alpha=0.7)
    low, high = worth.min(), worth.max()
    for x, y in (([0, high], [0, high]), ([low, 0], [0, 0]), ([0, 0], [low, 0])):
        ax.plot(x, y, color=FAINT, lw=0.8)
    left, bottom = np.quantile(worth, 0.02, axis=1)
    ax.set(xlim=(left, high + 0.05), ylim=(bottom, high + 0.05))


def shadow_prices(worth: pd.DataFrame, title: str) -> Figure:
    """What an average query costs at each model in points of score; columns: modes, index: models."""
    rows = worth.rename_axis("model").reset_index().melt("model", var_name="mode")
    look = {mode: Look(LOOKS[mode].colour, None, LOOKS[mode].marker) for mode in worth}
    axis = {"xlabel": "price x mean cost (points of score; log scale)", "ylabel": ""}

    def draw(ax: Axes) -> None:
        places = rows.assign(at=rows["model"].map(list(worth.index).index))
        dots(ax, places, "value", "at", look, "mode", s=45)
        names_down(ax, list(worth.index))

    key = legend(look, "marker")
    return sheet([[panel(draw, title=title, axis=axis, log="x", key=key)]], 2.8)


def sweeps(summary: pd.DataFrame, where: str) -> Figure:
    """Perf over the LP optimum against volume, budget, number of models and first phase."""
    rows = estimates(select(summary, experiment=list(SWEEPS), policy=SWEPT), "lpr")
    rows = rows.assign(setting=rows["setting"].astype(float))
    panels = []
    for experiment, label in SWEEPS.items():
        here = select(rows, experiment=experiment)
        heading = f"Perf / LP optimum, {where}" if experiment == "volume" else ""
        about = {"log": "x", "ticks": here["setting"], "axis": {"xlabel": label}, "title": heading}
        about |= {"error": "bars", "markers": True}
        panels.append(panel(lines, here, "setting", _looks(here), **about))
    key = legend(_looks(rows), "line, marker", loc="center", fontsize=8.5)
    return sheet([panels[:3], [*panels[3:], panel(Axes.set_axis_off, key=key)]], 2.5)


def spreads(tidy: pd.DataFrame, where: str) -> Figure:
    """Perf over the LP optimum over 100 orders of one stream, and over 100 random splits."""
    axis = {"xlabel": "Perf / LP optimum"}
    panels = [
        panel(_boxes, select(tidy, experiment=name), title=f"{name}, {where}", axis=axis)
        for name in ("100 orders", "100 splits")
    ]
    return sheet([panels], 2.6, sharey=True)


def _boxes(ax: Axes, rows: pd.DataFrame) -> None:
    look = _looks(rows)
    values = [select(rows, policy=policy)["lpr"] for policy in look]
    about = {"orientation": "horizontal", "patch_artist": True, "medianprops": {"color": INK}}
    drawn = ax.boxplot(values, positions=range(len(look)), widths=0.6, **about)
    for box, one in zip(drawn["boxes"], look.values(), strict=True):
        box.set(facecolor=one.colour, alpha=0.5)
    names_down(ax, list(look))


def settings(summary: pd.DataFrame, where: str) -> Figure:
    """Perf over the LP optimum of the main policies in every compared setting, with intervals."""
    rows = estimates(select(summary, experiment=["split", "sorted"], policy=MAIN), "lpr")
    names = rows["setting"].where(rows["experiment"] == "split", "sorted")
    ticks, look = list(dict.fromkeys(names)), _looks(rows)
    shift = rows["policy"].map(list(look).index) - len(look) / 2
    rows = rows.assign(at=names.map(ticks.index) + 0.08 * shift)
    axis = {"xlabel": "split of the budget (sorted: weighted)", "ylabel": "Perf / LP optimum"}
    heading = f"Splits of the budget, and the family-sorted stream, {where}"
    one = panel(_settings, rows, ticks, look, title=heading, axis=axis)
    return sheet([[one]], 3.8, key=legend(look, "marker", ncols=len(look)))


def _settings(ax: Axes, rows: pd.DataFrame, names: list[str], look: Mapping[str, Look]) -> None:
    colours = [look[policy].colour for policy in rows["policy"]]
    ax.vlines(rows["at"], rows["low"], rows["high"], colors=colours, lw=0.9)
    dots(ax, rows, "at", "mean", look, "policy", s=42)
    ax.set_xticks(range(len(names)), names)
    ax.grid(visible=False, axis="x")


def queue(summary: pd.DataFrame, where: str) -> Figure:
    """What each system wins and loses in the queue: Perf, dollars, lost, waiting, with intervals."""
    look = dict.fromkeys(summary["policy"], Look(ORANGE))
    panels = []
    for measure, label in MEASURES.items():
        heading = f"One queue, one budget, {where}" if measure == "perf" else ""
        axis = {"xlim": (0.0, None), "xlabel": label}
        panels.append(panel(forest, estimates(summary, measure), look, title=heading, axis=axis))
    return sheet([panels], 2.4, sharey=True)
