"""The figures of notebook 02, one function each."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..house_style import FAINT, INK, WIDTH, style
from ..stats import summarise
from .planted import Planted

RAW, REFINED = "#0072B2", "#CC79A7"
LINES = ("#0072B2", "#E69F00", "#CC79A7", "#009E73")
MARKERS = ("o", "s", "D", "^")


def memorised(shape: pd.DataFrame, losses: np.ndarray, name: str) -> Figure:
    """The training loss by step, and how well neighbours agree on trained and on unseen prompts.

    `shape` has a row per number of epochs (its index) with the measures of
    :func:`cqb.contrastive.arms.geometry_of`; `losses` is (steps,).
    """
    lines = (
        ("agreement_trained", REFINED, "o", "rows trained on"),
        ("agreement", RAW, "s", "pool, never seen in training"),
    )
    with style():
        figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.1), layout="constrained")
        left.plot(np.arange(1, losses.size + 1), losses, color=INK)
        left.set(yscale="log", xlabel="step", ylabel="InfoNCE loss of the batch (nats)")
        left.set_title("training loss", loc="left")
        for column, colour, marker, label in lines:
            right.plot(shape.index, shape[column], color=colour, marker=marker, ms=4, label=label)
        family = shape["family"].iloc[0]
        right.axhline(family, color=FAINT, ls=":", label="two random prompts of one family")
        right.set(xlabel="epochs of training (0: raw vectors)", ylabel="mean cosine of profiles")
        right.set_ylim(bottom=min(0.0, shape[[line[0] for line in lines]].min(axis=None)))
        right.set_title("agreement of the 10 nearest neighbours", loc="left")
        right.legend(frameon=False, fontsize=8)
        figure.suptitle(f"{name}: what the projection learns", color=INK)
    return figure


def maps(
    panels: dict[str, np.ndarray], colour: np.ndarray, trained: np.ndarray, name: str
) -> Figure:
    """The same prompts before and after, in the plane of their first two principal components.

    Parameters
    ----------
    panels : title and coordinates (n, 2) of each panel. colour : (n,), first principal coordinate of
        the prompts' profiles. trained : (n,) bool, prompts that the projection was trained on.
    """
    most = np.quantile(np.abs(colour), 0.95)  # what lies beyond has the last colour
    with style():
        figure, axes = plt.subplots(
            1, len(panels), figsize=(WIDTH, 4.3), layout="constrained", squeeze=False
        )
        for ax, (title, at) in zip(axes[0], panels.items(), strict=True):
            look = {"cmap": "coolwarm", "vmin": -most, "vmax": most}
            ax.scatter(*at[~trained].T, c=colour[~trained], s=11, lw=0, alpha=0.75, **look)
            dots = ax.scatter(
                *at[trained].T, c=colour[trained], s=26, edgecolors=INK, linewidths=0.7, **look
            )
            ax.set_title(title, loc="left")
            ax.set(xticks=[], yticks=[], xlabel="first principal component")
        axes[0, 0].set_ylabel("second principal component")
        figure.colorbar(dots, ax=axes, label="which models suit the prompt (profile)", shrink=0.8)
        figure.suptitle(f"{name}: outlined dots were trained on, plain dots were not", color=INK)
    return figure


def learning(runs: pd.DataFrame, pairs: dict[str, str], name: str) -> Figure:
    """Mean cumulative regret by round with its 95% band, a panel for each pair (refined, raw)."""
    summary = summarise(runs)
    with style():
        figure, axes = plt.subplots(
            1, len(pairs), figsize=(WIDTH, 3.2), layout="constrained", sharey=True, squeeze=False
        )
        for ax, (refined, raw) in zip(axes[0], pairs.items(), strict=True):
            for arm, colour, dash in ((raw, RAW, "-"), (refined, REFINED, "--")):
                _line(ax, summary[summary["policy"] == arm], arm, colour, dash)
            ax.set_title(f"{refined} and {raw}", loc="left")
            ax.set(xlabel="round t", xlim=(0, summary["t"].max()), ylim=(0, None))
            ax.legend(frameon=False, fontsize=8, loc="upper left")
        axes[0, 0].set_ylabel("cumulative routing regret\n(departures)")
        seeds = summary["seeds"].max()
        figure.suptitle(
            f"{name}: how fast ACQB learns; mean of {seeds} seeds, band: 95%", color=INK
        )
    return figure


def _line(ax: Axes, rows: pd.DataFrame, arm: str, colour: str, dash: str) -> None:
    t = np.append(0, rows["t"])
    mean, low, high = (np.append(0.0, rows[f"regret_{part}"]) for part in ("mean", "low", "high"))
    ax.plot(t, mean, color=colour, ls=dash, label=f"{arm}: {mean[-1]:.0f}")
    ax.fill_between(t, low, high, color=colour, alpha=0.13, lw=0)


def differences(table: pd.DataFrame, name: str) -> Figure:
    """Paired differences to raw vectors of the same length, with 95% intervals, a panel per lam."""
    arms = list(dict.fromkeys(table["policy"]))
    lams = sorted(set(table["lam"]), reverse=True)
    with style():
        figure, axes = plt.subplots(
            1,
            len(lams),
            figsize=(WIDTH, 1.4 + 0.32 * len(arms)),
            layout="constrained",
            sharey=True,
            squeeze=False,
        )
        for ax, lam in zip(axes[0], lams, strict=True):
            rows = table[table["lam"] == lam].set_index("policy").reindex(arms)
            ax.axvline(0.0, color=FAINT, lw=0.8)
            for place, row in enumerate(rows.itertuples()):
                ax.plot([row.low, row.high], [place, place], color=REFINED, lw=1.8)
                ax.plot(row.difference, place, "o", color=REFINED, ms=5)
            text = [f"{row.raw:.0f}" for row in rows.itertuples()]
            for place, raw in enumerate(text):
                ax.text(1.01, place, raw, transform=ax.get_yaxis_transform(), va="center", size=7.5)
            ax.set_title(
                f"lam = {lam:g}, arrival rate {rows['arrival_rate'].iloc[0]:g}", loc="left"
            )
            ax.set_title("raw", loc="right", size=8)
            ax.grid(visible=False, axis="y")
        axes[0, 0].set_yticks(range(len(arms)), arms)
        axes[0, 0].set_ylim(len(arms) - 0.4, -0.6)
        figure.suptitle(f"{name}: refined less raw at the same length", color=INK)
        figure.supxlabel(
            "final cumulative regret less that on raw vectors of the same length, same seeds "
            "(departures); bar: 95% interval; left of the line is better; right: raw regret",
            size=8.5,
            color=INK,
        )
    return figure


def planted(worlds: Sequence[Planted], geometry: pd.DataFrame, table: pd.DataFrame) -> Figure:
    """Planted worlds: agreement of neighbours, and regret against raw, by the size of the nuisance.

    Parameters
    ----------
    geometry : of the study. table : of :func:`.comparison.differences`.
    """
    counts = sorted({world.nuisance for world in worlds})
    with style():
        figure, axes = plt.subplots(
            2, len(counts), figsize=(WIDTH, 5.4), layout="constrained", sharex=True, sharey="row"
        )
        for column, count in enumerate(counts):
            sizes = {world.name: world.size for world in worlds if world.nuisance == count}
            _agreement_panel(axes[0, column], geometry, sizes)
            _share_panel(axes[1, column], table, sizes)
            axes[0, column].set_title(f"{count} nuisance directions", loc="left")
            axes[1, column].set_xlabel("length of the nuisance against the signal")
        axes[0, 0].set_ylabel("agreement of the 10 nearest\nneighbours, unseen prompts")
        axes[1, 0].set_ylabel("regret against raw (%)\nbelow 0: refinement helps")
        axes[0, 0].legend(frameon=False, fontsize=8)
        seeds = table["seeds"].max()
        figure.suptitle(
            f"Planted worlds (stand-ins): when refinement must help; {seeds} seeds, bars: 95%",
            color=INK,
        )
    return figure


def _agreement_panel(ax: Axes, geometry: pd.DataFrame, sizes: dict[str, float]) -> None:
    mean = geometry.groupby(["dataset", "policy"], sort=False)["agreement"].mean().unstack()
    for number, arm in enumerate(dict.fromkeys(geometry["policy"])):
        ax.plot(
            list(sizes.values()),
            mean.loc[list(sizes), arm],
            color=LINES[number],
            marker=MARKERS[number],
            ms=4,
            label="raw" if arm == "raw" else f"refined, {arm}",
        )
    _size_axis(ax, sizes)


def _share_panel(ax: Axes, table: pd.DataFrame, sizes: dict[str, float]) -> None:
    ax.axhline(0.0, color=LINES[0], lw=1.0)
    for number, arm in enumerate(dict.fromkeys(table["policy"]), start=1):
        rows = table[table["policy"] == arm].set_index("dataset").loc[list(sizes)]
        middle, low, high = (100 * rows[f"{c}_share"] for c in ("difference", "low", "high"))
        x = np.array(list(sizes.values())) * 1.04 ** (number - 2)  # side by side, so that bars show
        ax.errorbar(
            x,
            middle,
            yerr=[middle - low, high - middle],
            color=LINES[number],
            marker=MARKERS[number],
            ms=4,
            elinewidth=1.0,
            lw=1.0,
        )
    _size_axis(ax, sizes)


def _size_axis(ax: Axes, sizes: dict[str, float]) -> None:
    ax.set_xscale("log")
    ax.set_xticks(list(sizes.values()), [f"{size:g}" for size in sizes.values()])
    ax.minorticks_off()


def diagnostic(points: dict[str, pd.DataFrame]) -> Figure:
    """Change of regret against change of neighbour agreement, a dot per arm and world.

    `points` holds for each study, by its printed name, a table with `change` and `difference_share`.
    """
    with style():
        figure, ax = plt.subplots(figsize=(0.62 * WIDTH, 3.8), layout="constrained")
        ax.axhline(0.0, color=FAINT, lw=0.8)
        ax.axvline(0.0, color=FAINT, lw=0.8)
        for number, (name, table) in enumerate(points.items()):
            ax.plot(
                table["change"],
                100 * table["difference_share"],
                MARKERS[number],
                color=LINES[number],
                ms=5,
                alpha=0.8,
                label=name,
            )
        ax.set_xlabel("agreement of the 10 nearest neighbours on unseen prompts, refined less raw")
        ax.set_ylabel("regret against raw at length 1 (%)")
        figure.suptitle("What the diagnostic says before any run, and what the runs say", color=INK)
        ax.legend(frameon=False, fontsize=8)
    return figure
