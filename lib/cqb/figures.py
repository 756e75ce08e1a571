"""The figures of an experiment, one function for each kind.

Every function takes the frames that :mod:`cqb.experiment.results` makes and returns a matplotlib figure;
:func:`save` keeps it. Titles say where the data was generated. The oracle is not drawn: its regret and
its gap are 0 by definition.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .experiment.cell_rows import cells_of, pick
from .experiment.findings import DECIMALS, last_round
from .experiment.summary import half_width
from .house_style import FAINT, INK, WIDTH, in_order, ink, label_ends, looks, save, style

__all__ = ["curves", "differences", "save", "title", "waiting"]

REFERENCE, BASE = "ORACLE", "ACQB"
NAMES = {"regret": "cumulative routing regret (departures)", "gap": "queue-length regret (queries)"}
LABEL_SIZE = 7.5
SHARES = {
    "repeat_share": "serves of a retrying query that offer\na model which failed it before (%)",
    "wait_over_100": "queries that wait more\nthan 100 rounds (%)",
}
SHADES = (0.35, 0.65, 1.0)  # opacity of the first, second, third cell of a K


def title(frame: pd.DataFrame, text: str) -> str:
    """`text` under the name of the data set, which says where the data was generated."""
    names = frame[["dataset", "stand_in"]].drop_duplicates()
    if len(names) != 1:
        raise ValueError(f"expected results of one data set, found {sorted(set(names['dataset']))}")
    name, stand_in = names.iloc[0]
    return f"{name}{' (generated data)' if stand_in else ''}: {text}"


def curves(summary: pd.DataFrame, *, K: int, value: str) -> Figure:
    """Mean regret or gap against the round with its 95% band: a row of panels for each arrival rate,
    in it a panel for each lam.

    Parameters
    ----------
    summary : mean and interval per cell, policy and round (:func:`cqb.experiment.summary.summarise`).
    K : the assortment size to draw. value : "regret" or "gap".

    Raises
    ------
    ValueError
        There are no results for this K.
    """
    rows = summary[(summary["K"] == K) & (summary["policy"] != REFERENCE)]
    if rows.empty:
        raise ValueError(
            f"K: found no results for {K}, expected one of {sorted(set(summary['K']))}"
        )
    cells = cells_of(rows, K)
    lines = len({cell.arrival_rate for cell in cells})
    with style():
        figure, axes = plt.subplots(
            lines,
            -(-len(cells) // lines),
            figsize=(WIDTH, 0.4 + 3.0 * lines),
            layout="constrained",
            squeeze=False,
        )
        for ax in axes.flat[len(cells) :]:
            ax.set_axis_off()
        for ax, cell in zip(axes.flat, cells, strict=False):
            _lines(ax, pick(rows, cell), value)
            ax.set_title(str(cell), loc="left")
        for ax in axes[:, 0]:
            ax.set_ylabel(NAMES[value])
        figure.suptitle(title(rows, NAMES[value].partition(" (")[0]), color=INK)
        figure.supxlabel(
            f"round t; mean of {rows['seeds'].max()} seeds, band: 95% interval", size=9, color=INK
        )
        figure.draw_without_rendering()  # gives the panels the size that labels are placed by
        for ax, cell in zip(axes.flat, cells, strict=False):
            _label_lines(ax, last_round(pick(rows, cell)), value)
    return figure


def _lines(ax: Axes, rows: pd.DataFrame, value: str) -> None:
    """The lines of one cell, each with its band."""
    for name, look in looks(rows["policy"]).items():
        line = rows[rows["policy"] == name].sort_values("t")
        t = np.append(0, line["t"])
        mean, low, high = (
            np.append(0.0, line[f"{value}_{part}"]) for part in ("mean", "low", "high")
        )
        ax.plot(t, mean, color=look.colour, ls=look.dash)
        ax.fill_between(t, low, high, color=look.colour, alpha=0.13, lw=0)
    ax.set_xlim(0, rows["t"].max())
    if value == "regret":
        ax.set_ylim(bottom=0.0)


def _label_lines(ax: Axes, last: pd.DataFrame, value: str) -> None:
    """Policies and their final values, at the ends of their lines."""
    ends = last.set_index("policy")[f"{value}_mean"].to_dict()
    text = {name: f"{name} {end:.{DECIMALS[value]}f}" for name, end in ends.items()}
    label_ends(ax, ends, text, LABEL_SIZE)


def differences(summary: pd.DataFrame, paired: pd.DataFrame, *, value: str) -> Figure:
    """Final values less ACQB's on the same seeds, as dots with 95% intervals; means in print.

    Rows of panels are K, columns the settings of a K. A policy left of the line beats ACQB.

    Parameters
    ----------
    summary, paired : of :mod:`cqb.experiment.summary`, by ``summarise`` and ``paired``.
    value : "regret" or "gap".
    """
    last = last_round(summary)
    last = last[last["policy"] != REFERENCE]
    sizes = {K: len(set(rows["policy"])) for K, rows in last.groupby("K")}
    columns = max(len(cells_of(last, K)) for K in sizes)
    with style():
        figure, axes = plt.subplots(
            len(sizes),
            columns,
            figsize=(WIDTH, 0.9 + sum(0.55 + 0.21 * size for size in sizes.values())),
            height_ratios=[size + 1 for size in sizes.values()],
            layout="constrained",
            squeeze=False,
        )
        for line, K in zip(axes, sizes, strict=True):
            cells = cells_of(last, K)
            for ax in line[len(cells) :]:
                ax.set_axis_off()
            for ax, cell in zip(line, cells, strict=False):
                _difference_panel(ax, pick(last, cell), pick(paired, cell), value)
                ax.set_title(str(cell), loc="left")
            for ax in line[1:]:
                ax.tick_params(labelleft=False)
        name = NAMES[value].partition(" (")[0]
        figure.suptitle(title(last, f"final {name}, difference to {BASE}"), color=INK)
        figure.supxlabel(
            f"{NAMES[value]} after {last['t'].max()} rounds, less that of {BASE} on the same seed\n"
            f"mean of {last['seeds'].max()} seeds, bar: 95% interval; left of the line is better than "
            f"{BASE}; beside the panels: mean and half of its interval",
            size=8.5,
            color=INK,
        )
    return figure


def _difference_panel(ax: Axes, last: pd.DataFrame, paired: pd.DataFrame, value: str) -> None:
    """One cell: a dot and an interval for each policy, and its final mean beside it."""
    names = in_order(last["policy"])
    last, paired = last.set_index("policy"), paired.set_index("policy")
    decimals = DECIMALS[value]
    ax.axvline(0.0, color=FAINT, lw=0.8, zorder=1)
    for place, (name, look) in enumerate(looks(names).items()):
        mean, high = last.loc[name, [f"{value}_mean", f"{value}_high"]]
        if name in paired.index:
            middle, low, top = paired.loc[
                name, [f"{value}_difference", f"{value}_low", f"{value}_high"]
            ]
            ax.plot([low, top], [place, place], color=look.colour, lw=1.6, solid_capstyle="butt")
        else:
            middle = 0.0
        ax.plot(middle, place, look.marker, color=look.colour, ms=5)
        ax.text(
            1.02,
            place,
            f"{mean:.{decimals}f} ± {high - mean:.{decimals}f}",
            transform=ax.get_yaxis_transform(),
            va="center",
            size=LABEL_SIZE,
            color=ink(look.colour),
        )
    _policy_axis(ax, names)


def waiting(tidy: pd.DataFrame) -> Figure:
    """What regret does not show: the same failing offer repeated, and long waits.

    Rows of panels are K. Each policy has a dot per setting, the mean over seeds with a 95% interval.

    Parameters
    ----------
    tidy : a row per run and round (:func:`cqb.experiment.results.results`).
    """
    last = last_round(tidy)
    sizes = {K: len(set(rows["policy"])) for K, rows in last.groupby("K")}
    with style():
        figure, axes = plt.subplots(
            len(sizes),
            len(SHARES),
            figsize=(WIDTH, 0.9 + sum(0.5 + 0.3 * size for size in sizes.values())),
            height_ratios=[size + 1 for size in sizes.values()],
            sharex="col",
            layout="constrained",
            squeeze=False,
        )
        for line, (K, rows) in zip(axes, last.groupby("K"), strict=True):
            for ax, share in zip(line, SHARES, strict=True):
                _share_panel(ax, rows, share)
                rates = ", ".join(f"{rate:g}" for rate in sorted(set(rows["arrival_rate"])))
                ax.set_title(f"K = {K}, arrival rate {rates}", loc="left")
        for ax, text in zip(axes[-1], SHARES.values(), strict=True):
            ax.set_xlabel(text)
        figure.suptitle(title(last, "repeated failures and long waits"), color=INK)
        lams = ", ".join(f"{lam:g}" for lam in sorted(set(last["lam"])))
        figure.supxlabel(
            f"after {last['t'].max()} rounds; dot: mean of {last['seed'].nunique()} seeds, bar: 95% "
            f"interval; within a policy, from light to dark: lam = {lams}",
            size=8.5,
            color=INK,
        )
    return figure


def _share_panel(ax: Axes, rows: pd.DataFrame, share: str) -> None:
    """One share for one K: a row per policy, in it a dot per cell, the later ones darker."""
    names = in_order(rows["policy"])
    cells = cells_of(rows, rows["K"].iloc[0])
    look = looks(names)
    for number, cell in enumerate(cells):
        groups = pick(rows, cell).groupby("policy")[share]
        mean, half = 100.0 * groups.mean(), 100.0 * half_width(groups.std(), groups.count())
        shade = SHADES[min(number, len(SHADES) - 1)]
        for place, name in enumerate(names):
            y = place + 0.24 * (number - (len(cells) - 1) / 2)
            about = {"color": look[name].colour, "alpha": shade}
            ends = np.clip([mean[name] - half[name], mean[name] + half[name]], 0.0, 100.0)
            ax.plot(ends, [y, y], lw=1.2, **about)
            ax.plot(mean[name], y, "o", ms=4, **about)
    _policy_axis(ax, names)


def _policy_axis(ax: Axes, names: list[str]) -> None:
    """Policies downwards, in order."""
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.grid(visible=False, axis="y")
    ax.tick_params(axis="y", length=0)
