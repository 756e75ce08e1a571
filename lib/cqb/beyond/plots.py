"""The figures of the comparison: final regret, shares against targets, waits."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..house_style import FAINT, INK, WIDTH, in_order, ink, looks, style
from ..stats import half_width
from ..studies.beyond.comparison import CELL

YARDSTICK = "ORACLE"
SIZE = 7.0


def final(tidy: pd.DataFrame, K: int, name: str, value: str = "regret") -> Figure:
    """Final regret (or `queue_mean`) of every policy, a panel per cell: mean, 95% interval, number.

    Rows of panels are arrival rates, columns lam. `name` says whose data they are.
    """
    last = tidy[(tidy["t"] == tidy["t"].max()) & (tidy["K"] == K)]
    if value == "regret":
        last = last[last["policy"] != YARDSTICK]
    rates, lams = sorted(set(last["arrival_rate"])), sorted(set(last["lam"]))
    policies = in_order(list(last["policy"]))
    with style():
        figure, axes = plt.subplots(
            len(rates),
            len(lams),
            figsize=(WIDTH, 0.8 + len(rates) * (0.5 + 0.17 * len(policies))),
            layout="constrained",
            squeeze=False,
            sharey=True,
        )
        for line, rate in zip(axes, rates, strict=True):
            for ax, lam in zip(line, lams, strict=True):
                cell = last[(last["arrival_rate"] == rate) & (last["lam"] == lam)]
                if cell.empty:
                    ax.set_axis_off()
                    continue
                _dots(ax, cell.groupby("policy")[value], policies, 1 if value != "regret" else 0)
                ax.set_title(f"lam = {lam:g}, arrival rate {rate:g}", loc="left")
        what = {"regret": "final routing regret (departures)", "queue_mean": "mean queue (queries)"}
        figure.suptitle(f"{name}: {what[value]}, K = {K}", color=INK)
        figure.supxlabel(
            f"{what[value]} after {last['t'].max()} rounds; mean of up to {last['seed'].nunique()} "
            "seeds, bar: 95% interval",
            size=8.5,
            color=INK,
        )
    return figure


def _dots(ax: Axes, groups: pd.api.typing.SeriesGroupBy, policies: list[str], digits: int) -> None:
    """A dot with its interval and its number for each policy, on a logarithmic axis."""
    mean, half = groups.mean(), half_width(groups.std(), groups.count())
    for place, (policy, look) in enumerate(looks(policies).items()):
        if policy not in mean.index:
            continue
        m, h = mean[policy], np.nan_to_num(half[policy])
        low = max(m - h, 0.3 * m)
        ax.plot([low, m + h], [place, place], color=look.colour, lw=1.5)
        ax.plot(m, place, look.marker, color=look.colour, ms=4.5)
        ax.text(
            1.01,
            place,
            f"{m:.{digits}f}",
            transform=ax.get_yaxis_transform(),
            va="center",
            size=SIZE,
            color=ink(look.colour),
        )
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(plt.LogLocator(subs=(1.0, 2.0, 5.0)))
    ax.xaxis.set_major_formatter("{x:g}")
    ax.xaxis.set_minor_locator(plt.NullLocator())
    policy_axis(ax, policies)


def policy_axis(ax: Axes, policies: list[str]) -> None:
    """Policies downwards, in order."""
    ax.set_yticks(range(len(policies)), policies, size=SIZE)
    ax.set_ylim(len(policies) - 0.4, -0.6)
    ax.grid(visible=False, axis="y")
    ax.tick_params(axis="y", length=0)


def shares(ratios: pd.DataFrame, targets: dict[str, float], name: str) -> Figure:
    """Regret as a share of other policies', averaged over cells: a panel per policy with memory.

    Parameters
    ----------
    ratios : of :func:`.claims.ratios`, of one or more policies. targets : share wanted, by `against`.
    """
    policies = list(dict.fromkeys(ratios["policy"]))
    others = in_order(list(ratios["against"]))
    with style():
        figure, axes = plt.subplots(
            1,
            len(policies),
            figsize=(WIDTH, 0.9 + 0.24 * len(others)),
            layout="constrained",
            squeeze=False,
            sharey=True,
        )
        for ax, policy in zip(axes[0], policies, strict=True):
            rows = ratios[ratios["policy"] == policy].set_index("against")
            for place, (other, look) in enumerate(looks(others).items()):
                if other not in rows.index:
                    continue
                row = rows.loc[other]
                ax.plot([row["low"], row["high"]], [place, place], color=look.colour, lw=1.6)
                ax.plot(row["ratio"], place, look.marker, color=look.colour, ms=5)
                if other in targets:
                    ax.plot(targets[other], place, "|", color=INK, ms=13, mew=1.4)
            ax.axvline(1.0, color=FAINT, lw=0.8)
            ax.set_xlim(0.0, None)
            ax.set_title(policy, loc="left")
            policy_axis(ax, others)
        figure.suptitle(f"{name}: regret as a share of another policy's", color=INK)
        figure.supxlabel(
            "mean over cells, then over seeds; bar: 95% interval, paired by seed; upright mark: target",
            size=8.5,
            color=INK,
        )
    return figure


def survival(waits: pd.DataFrame, cells: list[tuple[int, float, float]], name: str) -> Figure:
    """Share of queries that wait longer, against the wait (Kaplan-Meier), a panel per cell."""
    with style():
        figure, axes = plt.subplots(
            1, len(cells), figsize=(WIDTH, 3.6), layout="constrained", squeeze=False, sharey=True
        )
        for ax, cell in zip(axes[0], cells, strict=True):
            rows = waits[(waits[CELL] == list(cell)).all(axis=1)]
            curves = rows.groupby(["policy", "wait"])["longer"].mean()
            for policy, look in looks(list(rows["policy"])).items():
                curve = curves[policy]
                ax.plot(
                    curve.index,
                    100.0 * curve.where(curve > 0),
                    color=look.colour,
                    ls=look.dash,
                    marker=look.marker,
                    ms=2.5,
                    lw=1.1,
                    label=policy,
                )
            ax.set(xscale="log", yscale="log", xlabel="wait (rounds)", ylim=(0.05, 100.0))
            ax.yaxis.set_major_formatter("{x:g}")
            ax.xaxis.set_major_formatter("{x:g}")
            ax.axvline(100.0, color=FAINT, lw=0.8)
            ax.set_title(f"K = {cell[0]}, lam = {cell[1]:g}, arrival rate {cell[2]:g}", loc="left")
        axes[0, 0].set_ylabel("queries that wait longer (%)")
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside right center", frameon=False, fontsize=7.5)
        figure.suptitle(f"{name}: how long queries wait (Kaplan-Meier, mean of seeds)", color=INK)
    return figure
