"""The figures of notebook 06, one function each."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cqb.house_style import DASHED, DOTTED, FAINT, INK, SOLID, WIDTH, Look, error_line, style
from . import dual
from .dual import Prices

LOOKS = {
    "PORT": Look("#0072B2", SOLID, "o"),
    "PORT-ref": Look("#56B4E9", DASHED, "s"),
    "PORT-R": Look("#CC79A7", DASHED, "D"),
    "PORT-H": Look("#AA4499", DASHED, "P"),
    "PORT-RH": Look("#009E73", SOLID, "^"),
    "PORT-RH+": Look("#117733", SOLID, "*"),
    "Random": Look("#777777", DOTTED, "d"),
    "KNN-Cost": Look("#E69F00", DOTTED, "v"),
    "Approx Optimum": Look("#000000", SOLID, "x"),
}
SYSTEM = Look("#D55E00", SOLID, "o")
DECLINED_COLOUR = "#bbbbbb"
MODEL_COLOURS = ("#0072B2", "#D55E00")


def lp_and_dual(
    scores: np.ndarray, costs: np.ndarray, budgets: np.ndarray, prices: Prices, names: Sequence[str]
) -> Figure:
    """Two models: F along each price through its minimum, and the rule that the prices make."""
    with style():
        figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.6), layout="constrained")
        for i, name in enumerate(names):
            factors = np.linspace(0.0, 3.0, 121)
            along = np.tile(prices.gamma, (len(factors), 1))
            along[:, i] *= factors
            F = [dual.dual_value(y, scores, costs, budgets, mode="dual") for y in along]
            left.plot(factors, F, color=MODEL_COLOURS[i], label=f"price of {name}")
        left.axhline(prices.bound, color=INK, ls=":", lw=1.0, label="optimum of the programme")
        left.set(xlabel="price, in units of the optimal one", ylabel="F (score)")
        left.set_title("Every price gives an upper bound; the best one is tight", loc="left")
        left.legend(frameon=False, fontsize=7.5)
        worth = scores - prices.gamma[:, None] * costs
        _rule(right, worth, names)
    return figure


def _rule(ax: Axes, worth: np.ndarray, names: Sequence[str]) -> None:
    best = np.where(worth.max(axis=0) > 0, worth.argmax(axis=0), -1)
    for code, colour, text in (
        (-1, DECLINED_COLOUR, "declined"),
        (0, MODEL_COLOURS[0], f"to {names[0]}"),
        (1, MODEL_COLOURS[1], f"to {names[1]}"),
    ):
        ax.plot(*worth[:, best == code], "o", ms=3, color=colour, label=text, alpha=0.7)
    low, high = worth.min(), worth.max()
    ax.plot([0, high], [0, high], color=FAINT, lw=0.8)
    ax.plot([low, 0], [0, 0], color=FAINT, lw=0.8)
    ax.plot([0, 0], [low, 0], color=FAINT, lw=0.8)
    left, bottom = np.quantile(worth, 0.02, axis=1)
    ax.set_xlim(left, high + 0.05)
    ax.set_ylim(bottom, high + 0.05)
    ax.set(xlabel=f"score less priced cost, {names[0]}", ylabel=f"the same, {names[1]}")
    ax.set_title("The routing rule: the largest one, if above 0", loc="left")
    ax.legend(frameon=False, fontsize=7.5)


def shadow_prices(worth: pd.DataFrame, title: str) -> Figure:
    """What an average query costs at each model in points of score; columns: modes, index: models."""
    with style():
        figure, ax = plt.subplots(figsize=(WIDTH, 3.2), layout="constrained")
        at = np.arange(len(worth))
        for i, mode in enumerate(worth):
            look = LOOKS[mode]
            ax.barh(at + 0.4 * i - 0.2, worth[mode], height=0.38, color=look.colour, label=mode)
        ax.set_yticks(at, worth.index)
        ax.invert_yaxis()
        ax.set(xscale="log", xlabel="price x mean cost (points of score; log scale)")
        ax.set_title(title, loc="left")
        ax.legend(frameon=False, fontsize=7.5)
    return figure


def sweeps(summary: pd.DataFrame, where: str) -> Figure:
    """Perf over the LP optimum against volume, budget, number of models and first phase."""
    panels = (
        ("volume", "queries in the stream N"),
        ("budget", "budget factor c"),
        ("models", "models M"),
        ("epsilon", "share of the first phase, epsilon"),
        ("k", "neighbours k"),
    )
    with style():
        figure, axes = plt.subplots(2, 3, figsize=(WIDTH, 5.4), layout="constrained")
        for ax, (experiment, label) in zip(axes.flat, panels, strict=False):
            rows = summary[summary["experiment"] == experiment]
            for policy in [p for p in LOOKS if p in set(rows["policy"])]:
                _line(ax, rows[rows["policy"] == policy], policy)
            ax.set(xlabel=label, xscale="log")
            ticks = sorted(rows["setting"].astype(float).unique())
            ax.set_xticks(ticks, [f"{t:g}" for t in ticks])
            ax.minorticks_off()
        axes[0, 0].set_title(f"Perf / LP optimum, {where}", loc="left")
        lines, names = axes[0, 0].get_legend_handles_labels()
        more = axes[1, 1].get_legend_handles_labels()
        shown = dict(zip(names + more[1], lines + more[0], strict=True))
        axes[1, 2].axis("off")
        axes[1, 2].legend(shown.values(), shown.keys(), frameon=False, loc="center")
    return figure


def _line(ax: Axes, rows: pd.DataFrame, policy: str) -> None:
    half = rows["lpr_high"] - rows["lpr_mean"]
    x = rows["setting"].astype(float)
    error_line(ax, x, rows["lpr_mean"], half, LOOKS[policy], policy)


def spreads(tidy: pd.DataFrame, where: str) -> Figure:
    """Perf over the LP optimum over 100 orders of one stream, and over 100 random splits."""
    with style():
        figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 3.0), layout="constrained", sharey=True)
        for ax, experiment in zip(axes, ("100 orders", "100 splits"), strict=True):
            rows = tidy[tidy["experiment"] == experiment]
            names = [p for p in LOOKS if p in set(rows["policy"])]
            values = [rows.loc[rows["policy"] == name, "lpr"].to_numpy() for name in names]
            boxes = ax.boxplot(values, orientation="horizontal", patch_artist=True, widths=0.6)
            for box, name in zip(boxes["boxes"], names, strict=True):
                box.set(facecolor=LOOKS[name].colour, alpha=0.5)
            for line in boxes["medians"]:
                line.set_color(INK)
            ax.set_yticks(np.arange(1, len(names) + 1), names)
            ax.set(xlabel="Perf / LP optimum", title="")
            ax.set_title(f"{experiment}, {where}", loc="left")
        axes[0].invert_yaxis()
    return figure


def settings(summary: pd.DataFrame, where: str) -> Figure:
    """Perf over the LP optimum of the main policies in every compared setting, with intervals."""
    rows = summary[summary["experiment"].isin(["split", "sorted"])]
    cells = list(dict.fromkeys(zip(rows["experiment"], rows["setting"], strict=True)))
    names = [p for p in LOOKS if p in set(rows["policy"])]
    with style():
        figure, ax = plt.subplots(figsize=(WIDTH, 4.2), layout="constrained")
        for i, name in enumerate(names):
            mine = rows[rows["policy"] == name]
            at = [
                cells.index(cell) for cell in zip(mine["experiment"], mine["setting"], strict=True)
            ]
            half = mine["lpr_high"] - mine["lpr_mean"]
            shift = (i - len(names) / 2) * 0.08
            ax.errorbar(
                np.array(at) + shift,
                mine["lpr_mean"],
                yerr=half,
                ls="",
                ms=5,
                elinewidth=0.9,
                marker=LOOKS[name].marker,
                color=LOOKS[name].colour,
                label=name,
            )
        ax.set_xticks(range(len(cells)), [s if e == "split" else "sorted" for e, s in cells])
        ax.set(ylabel="Perf / LP optimum", xlabel="split of the budget (sorted: weighted)")
        ax.set_title(f"Eight splits and the family-sorted stream, {where}", loc="left")
        figure.legend(frameon=False, fontsize=7.5, ncols=len(names), loc="outside lower center")
    return figure


def queue(summary: pd.DataFrame, where: str) -> Figure:
    """What each system wins and loses in the queue: Perf, dollars, lost, waiting, with intervals."""
    panels = (
        ("perf", "Perf (score)"),
        ("cost", "dollars spent"),
        ("lost", "queries lost"),
        ("wait", "mean wait (rounds)"),
    )
    with style():
        figure, axes = plt.subplots(1, 4, figsize=(WIDTH, 2.8), layout="constrained", sharey=True)
        at = np.arange(len(summary))
        for ax, (measure, label) in zip(axes, panels, strict=True):
            half = summary[f"{measure}_high"] - summary[f"{measure}_mean"]
            ax.errorbar(summary[f"{measure}_mean"], at, xerr=half, fmt="o", color=SYSTEM.colour)
            ax.set_xlabel(label)
            ax.set_xlim(0.0, None)
        axes[0].set_yticks(at, summary["policy"])
        axes[0].invert_yaxis()
        axes[0].set_title(f"One queue, one budget, {where}", loc="left")
    return figure
