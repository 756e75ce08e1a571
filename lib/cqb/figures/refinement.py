"""The figures of notebook 02: what contrastive refinement does to vectors, and to regret."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from ..stats import summarise
from .kinds import estimates, forest, from_zero, grid, legend, lines, styled, ticks, words
from .style import AMBER, BLUE, DASHED, FAINT, GREEN, INK, PINK, SOLID, WIDTH, Look, style

LOOKS = (Look(BLUE), Look(AMBER, SOLID, "s"), Look(PINK, SOLID, "D"), Look(GREEN, SOLID, "^"))
RAW, REFINED = Look(BLUE), Look(PINK, DASHED)


@style()
def memorised(shape: pd.DataFrame, losses: np.ndarray, name: str) -> Figure:
    """The training loss by step, and how well neighbours agree on trained and on unseen prompts.

    `shape` has a row per number of epochs (its index) with `agreement_trained`, `agreement` (mean
    cosine of the profiles of neighbours) and `family`; `losses` is (steps,).
    """
    told = {
        "agreement_trained": ("rows trained on", Look(PINK)),
        "agreement": ("pool, never seen in training", Look(BLUE, SOLID, "s")),
        "family": ("two random prompts of one family", Look(FAINT, (1, 1.6), "o")),
    }
    rows = shape[list(told)].assign(family=shape["family"].iloc[0])
    rows = rows.rename(columns={column: label for column, (label, _) in told.items()})
    rows = rows.rename_axis("epochs").reset_index().melt("epochs", value_name="mean")
    look = dict(told.values())

    def panel(ax: Axes, heading: str) -> None:
        if heading == "training loss":
            ax.plot(np.arange(1, losses.size + 1), losses, color=INK)
            ax.set(yscale="log", xlabel="step", ylabel="InfoNCE loss of the batch (nats)")
            return
        lines(ax, rows, "epochs", look, by="variable", error=None, markers=True)
        ax.set(xlabel="epochs of training (0: raw vectors)", ylabel="mean cosine of profiles")
        ax.set_ylim(bottom=min(0.0, rows["mean"].min()))
        legend(ax, look, "line, marker")

    figure, _ = grid([["training loss", "agreement of the 10 nearest neighbours"]], panel, 2.7)
    words(figure, f"{name}: what the projection learns")
    return figure


@style()
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
    about: dict[str, Any] = {"palette": "coolwarm", "hue_norm": (-most, most), "legend": False}

    def panel(ax: Axes, heading: str) -> None:
        for chosen, look in (
            (~trained, {"s": 11, "linewidth": 0, "alpha": 0.75}),
            (trained, {"s": 26, "linewidth": 0.7, "edgecolor": INK}),
        ):
            x, y = panels[heading][chosen].T
            sns.scatterplot(x=x, y=y, hue=colour[chosen], ax=ax, **about, **look)
        ax.set(xticks=[], yticks=[], xlabel="first principal component")

    figure, axes = grid([list(panels)], panel, 3.9)
    axes[0, 0].set_ylabel("second principal component")
    shades = plt.cm.ScalarMappable(Normalize(-most, most), "coolwarm")
    label = "which models suit the prompt (profile)"
    figure.colorbar(shades, ax=axes, label=label, shrink=0.8)
    words(figure, f"{name}: outlined dots were trained on, plain dots were not")
    return figure


@style()
def learning(runs: pd.DataFrame, pairs: dict[str, str], name: str) -> Figure:
    """Mean cumulative regret by round with its 95% band, a panel for each pair (refined, raw)."""
    summary = from_zero(estimates(summarise(runs), "regret"), "policy")
    last = summary[summary["t"] == summary["t"].max()].set_index("policy")["mean"]

    def panel(ax: Axes, pair: tuple[str, str]) -> None:
        refined, raw = pair
        look = {raw: RAW, refined: REFINED}
        lines(ax, summary[summary["policy"].isin(pair)], "t", look)
        ax.set(xlabel="round t", xlim=(0, summary["t"].max()), ylim=(0, None))
        named = {f"{policy}: {last[policy]:.0f}": one for policy, one in look.items()}
        legend(ax, named, loc="upper left", fontsize=8)

    figure, axes = grid([list(pairs.items())], panel, 2.8, title=" and ".join, sharey=True)
    axes[0, 0].set_ylabel("cumulative routing regret\n(departures)")
    seeds = summary["seeds"].max()
    words(figure, f"{name}: how fast ACQB learns; mean of {seeds} seeds, band: 95%")
    return figure


@style()
def differences(table: pd.DataFrame, name: str) -> Figure:
    """Paired differences to raw vectors of the same length, with 95% intervals, a panel per lam."""
    look = dict.fromkeys(table["policy"], Look(PINK))
    table = table.assign(mean=table["difference"])
    lams = sorted(set(table["lam"]), reverse=True)

    def panel(ax: Axes, lam: float) -> None:
        rows = table[table["lam"] == lam]
        raw = {row.policy: f"{row.raw:.0f}" for row in rows.itertuples()}
        forest(ax, rows, look, line=0.0, notes=raw)
        ax.set_title("raw", loc="right", size=8)

    def heading(lam: float) -> str:
        rate = table.loc[table["lam"] == lam, "arrival_rate"].iloc[0]
        return f"lam = {lam:g}, arrival rate {rate:g}"

    figure, _ = grid([lams], panel, 1.0 + 0.32 * len(look), title=heading, sharey=True)
    words(
        figure,
        f"{name}: refined less raw at the same length",
        "final cumulative regret less that on raw vectors of the same length, same seeds "
        "(departures); bar: 95% interval; left of the line is better; right: raw regret",
    )
    return figure


@style()
def planted(worlds: Sequence[Any], geometry: pd.DataFrame, table: pd.DataFrame) -> Figure:
    """Planted worlds: agreement of neighbours, and regret against raw, by the size of the nuisance.

    Parameters
    ----------
    worlds : with `name`, `nuisance` and `size`. geometry : of the study, the `agreement` of each
        policy. table : paired differences to raw, with `_share` columns.
    """
    about = pd.DataFrame([(w.name, w.nuisance, w.size) for w in worlds])
    about.columns = ["dataset", "nuisance", "size"]
    arms = list(dict.fromkeys(geometry["policy"]))
    look = dict(zip(arms, LOOKS, strict=False))
    agreement = geometry.groupby(["dataset", "policy"])["agreement"].mean().rename("mean")
    agreement = about.merge(agreement.reset_index(), on="dataset")
    shares = table.rename(columns={"difference_share": "share", "low_share": "share_low"})
    shares = estimates(shares.rename(columns={"high_share": "share_high"}), "share", 100)
    shares = about.merge(shares, on="dataset")
    shares["size"] *= 1.04 ** (shares["policy"].map(arms.index) - 2)  # side by side: bars show

    def panel(ax: Axes, key: tuple[str, int]) -> None:
        part, count = key
        if part == "shares":
            ax.axhline(0.0, color=LOOKS[0].colour, lw=1.0)
        rows, error = (shares, "bars") if part == "shares" else (agreement, None)
        lines(ax, rows[rows["nuisance"] == count], "size", look, error=error, markers=True)
        ticks(ax, about.loc[about["nuisance"] == count, "size"], log=True)

    counts = sorted(set(about["nuisance"]))
    keys = [[(part, count) for count in counts] for part in ("agreement", "shares")]
    figure, axes = grid(keys, panel, 2.5, title=lambda _: "", sharex=True, sharey="row")
    for column, count in enumerate(counts):
        axes[0, column].set_title(f"{count} nuisance directions")
        axes[1, column].set_xlabel("length of the nuisance against the signal")
    axes[0, 0].set_ylabel("agreement of the 10 nearest\nneighbours, unseen prompts")
    axes[1, 0].set_ylabel("regret against raw (%)\nbelow 0: refinement helps")
    named = {arm if arm == "raw" else f"refined, {arm}": one for arm, one in look.items()}
    legend(axes[0, 0], named, "line, marker", fontsize=8)
    seeds = table["seeds"].max()
    words(
        figure, f"Planted worlds (stand-ins): when refinement must help; {seeds} seeds, bars: 95%"
    )
    return figure


@style()
def diagnostic(points: dict[str, pd.DataFrame]) -> Figure:
    """Change of regret against change of neighbour agreement, a dot per arm and world.

    `points` holds for each study, by its printed name, a table with `change` and `difference_share`.
    """
    rows = pd.concat(points, names=["study"]).reset_index("study")
    rows = rows.assign(share=100 * rows["difference_share"])
    look = dict(zip(points, LOOKS, strict=False))

    def panel(ax: Axes, _: str) -> None:
        ax.axhline(0.0, color=FAINT, lw=0.8)
        ax.axvline(0.0, color=FAINT, lw=0.8)
        about = {"s": 32, "linewidth": 0, "alpha": 0.8, "legend": False, "ax": ax}
        sns.scatterplot(rows, x="change", y="share", **styled("study", look), **about)
        ax.set_xlabel("agreement of the 10 nearest neighbours on unseen prompts, refined less raw")
        ax.set_ylabel("regret against raw at length 1 (%)")
        legend(ax, look, "marker", fontsize=8)

    figure, _ = grid([[""]], panel, 3.4, width=0.62 * WIDTH)
    words(figure, "What the diagnostic says before any run, and what the runs say")
    return figure
