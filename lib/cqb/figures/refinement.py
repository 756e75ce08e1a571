"""The figures of notebook 02: what contrastive refinement does to vectors, and to regret."""

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
from ..tables import select
from .kinds import columns, dots, estimates, forest, from_zero, lines
from .sheets import Panel, each, legend, panel, sheet
from .style import AMBER, BLUE, DASHED, DOTTED, FAINT, GREEN, INK, PINK, SOLID, WIDTH, Look

LOOKS = (Look(BLUE), Look(AMBER, SOLID, "s"), Look(PINK, SOLID, "D"), Look(GREEN, SOLID, "^"))
AGREEMENT = {
    "agreement_trained": ("rows trained on", Look(PINK)),
    "agreement": ("pool, never seen in training", Look(BLUE, SOLID, "s")),
    "family": ("two random prompts of one family", Look(FAINT, DOTTED, "")),
}


def memorised(shape: pd.DataFrame, losses: np.ndarray, name: str) -> Figure:
    """The training loss by step, and how well neighbours agree on trained and on unseen prompts.

    `shape` has a row per number of epochs (its index) with `agreement_trained`, `agreement` (mean
    cosine of the profiles of neighbours) and `family`; `losses` is (steps,).
    """
    rows = shape.assign(family=shape["family"].iloc[0]).rename_axis("epochs").reset_index()
    low = min(0.0, rows[list(AGREEMENT)].min(axis=None))
    first = {"yscale": "log", "xlabel": "step", "ylabel": "InfoNCE loss of the batch (nats)"}
    second = {"xlabel": "epochs of training (0: raw vectors)", "ylabel": "mean cosine of profiles"}
    about = {"title": "agreement of the 10 nearest neighbours", "axis": second}
    second["ylim"] = (low, None)
    steps = np.arange(1, losses.size + 1)
    panels = [
        panel(Axes.plot, steps, losses, color=INK, title="training loss", axis=first),
        panel(columns, rows, "epochs", AGREEMENT, **about),
    ]
    return sheet([panels], 2.7, title=f"{name}: what the projection learns")


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
    scale = plt.cm.ScalarMappable(Normalize(-most, most), "coolwarm")
    axis = {"xticks": [], "yticks": [], "xlabel": "first principal component"}

    def cloud(ax: Axes, at: np.ndarray) -> None:
        about = {"palette": "coolwarm", "hue_norm": (-most, most), "legend": False, "ax": ax}
        for chosen, look in (
            (~trained, {"s": 11, "lw": 0, "alpha": 0.75}),
            (trained, {"s": 26, "lw": 0.7, "edgecolor": INK}),
        ):
            sns.scatterplot(x=at[chosen, 0], y=at[chosen, 1], hue=colour[chosen], **about, **look)

    def bar(figure: Figure) -> None:
        label = "which models suit the prompt (profile)"
        figure.colorbar(scale, ax=figure.axes, label=label, shrink=0.8)

    drawn = [panel(cloud, at, title=heading, axis=axis) for heading, at in panels.items()]
    heading = f"{name}: outlined dots were trained on, plain dots were not"
    return sheet([drawn], 3.9, ylabel="second principal component", title=heading, key=bar)


def learning(runs: pd.DataFrame, pairs: dict[str, str], name: str) -> Figure:
    """Mean cumulative regret by round with its 95% band, a panel for each pair (refined, raw)."""
    rows = from_zero(estimates(summarise(runs), "regret"), "policy")
    last = rows[rows["t"] == rows["t"].max()].set_index("policy")["mean"]
    axis = {"xlabel": "round t", "xlim": (0, rows["t"].max()), "ylim": (0, None)}

    def make(refined: str, raw: str) -> Panel:
        look = {raw: Look(BLUE), refined: Look(PINK, DASHED)}
        named = {f"{policy}: {last[policy]:.0f}": one for policy, one in look.items()}
        about = {"axis": axis, "key": legend(named, loc="upper left", fontsize=8)}
        here = select(rows, policy=list(look))
        return panel(lines, here, "t", look, title=f"{refined} and {raw}", **about)

    heading = f"{name}: how fast ACQB learns; mean of {rows['seeds'].max()} seeds, band: 95%"
    about = {"ylabel": "cumulative routing regret\n(departures)", "sharey": True}
    return sheet([[make(*pair) for pair in pairs.items()]], 2.8, title=heading, **about)


def differences(table: pd.DataFrame, name: str) -> Figure:
    """Paired differences to raw vectors of the same length, with 95% intervals, a panel per lam."""
    look = dict.fromkeys(table["policy"], Look(PINK))
    rows = table.assign(mean=table["difference"], note=table["raw"].map("{:.0f}".format))
    rows = rows.sort_values("lam", ascending=False, kind="stable")

    def make(lam: float, here: pd.DataFrame) -> Panel:
        heading = f"lam = {lam:g}, arrival rate {here['arrival_rate'].iloc[0]:g}"
        return panel(forest, here, look, title=heading, guides=[("x", 0.0, {})])

    return sheet(
        [each(rows, "lam", make)],
        1.0 + 0.32 * len(look),
        sharey=True,
        title=f"{name}: refined less raw at the same length",
        caption="final cumulative regret less that on raw vectors of the same length, same seeds "
        "(departures); bar: 95% interval; left of the line is better; at the right: raw regret",
    )


def planted(worlds: Sequence[Any], geometry: pd.DataFrame, table: pd.DataFrame) -> Figure:
    """Planted worlds: agreement of neighbours, and regret against raw, by the size of the nuisance.

    Parameters
    ----------
    worlds : with `name`, `nuisance` and `size`. geometry : of the study, the `agreement` of each
        policy. table : paired differences to raw, with `_share` columns.
    """
    place = pd.DataFrame(
        {"dataset": w.name, "nuisance": w.nuisance, "size": w.size} for w in worlds
    )
    look = dict(zip(dict.fromkeys(geometry["policy"]), LOOKS, strict=False))
    mean = geometry.groupby(["dataset", "policy"])["agreement"].mean().rename("mean")
    agreement = place.merge(mean.reset_index(), on="dataset").sort_values("nuisance")
    parts = {"difference_share": "share_mean", "low_share": "share_low", "high_share": "share_high"}
    shares = estimates(place.merge(table.rename(columns=parts), on="dataset"), "share", 100)
    apart = shares["policy"].map(list(look).index) - 2  # side by side, so that bars show
    shares = shares.assign(size=shares["size"] * 1.04**apart).sort_values("nuisance")
    named = {arm if arm == "raw" else f"refined, {arm}": one for arm, one in look.items()}
    key = legend(named, "line, marker", fontsize=8)
    zero = [("y", 0.0, {"color": BLUE, "lw": 1.0})]

    def above(count: int, rows: pd.DataFrame) -> Panel:
        about = {"title": f"{count} nuisance directions", "log": "x", "ticks": rows["size"]}
        about["key"] = key if count == place["nuisance"].min() else None
        return panel(lines, rows, "size", look, error=None, markers=True, **about)

    def below(count: int, rows: pd.DataFrame) -> Panel:
        sizes = select(place, nuisance=count)["size"]
        axis = {"xlabel": "length of the nuisance against the signal"}
        about = {"log": "x", "ticks": sizes, "axis": axis, "guides": zero}
        return panel(lines, rows, "size", look, error="bars", markers=True, **about)

    seeds = table["seeds"].max()
    return sheet(
        [each(agreement, "nuisance", above), each(shares, "nuisance", below)],
        2.5,
        sharex=True,
        sharey="row",
        ylabel=[
            "agreement of the 10 nearest\nneighbours, unseen prompts",
            "regret against raw (%)\nbelow 0: refinement helps",
        ],
        title=f"Planted worlds (stand-ins): when refinement must help; {seeds} seeds, bars: 95%",
    )


def diagnostic(points: dict[str, pd.DataFrame]) -> Figure:
    """Change of regret against change of neighbour agreement, a dot per arm and world.

    `points` holds for each study, by its printed name, a table with `change` and `difference_share`.
    """
    rows = pd.concat(points, names=["study"]).reset_index("study")
    rows = rows.assign(share=100 * rows["difference_share"])
    look = dict(zip(points, LOOKS, strict=False))
    change = "agreement of the 10 nearest neighbours on unseen prompts, refined less raw"
    axis = {"xlabel": change, "ylabel": "regret against raw at length 1 (%)"}
    about = {"guides": [("x", 0.0, {}), ("y", 0.0, {})], "axis": axis, "alpha": 0.8}
    about["key"] = legend(look, "marker", fontsize=8)
    one = panel(dots, rows, "change", "share", look, "study", **about)
    heading = "What the diagnostic says before any run, and what the runs say"
    return sheet([[one]], 3.4, width=0.62 * WIDTH, title=heading)
