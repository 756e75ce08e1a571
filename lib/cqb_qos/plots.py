"""The figures of notebook 07, one function each. Every title says that the workload is synthetic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from cqb.house_style import DASHED, DOTTED, FAINT, INK, SOLID, WIDTH, Look, style

from .metrics import LENGTH_GROUPS
from .studies import DEFAULT
from .summaries import WORST, load_names
from .synthetic import Load

BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"
LOOKS = {
    "RANDOM": Look("#777777", DOTTED, "d"),
    "RR": Look("#B39B2E", DOTTED, ">"),
    "SQF": Look("#E69F00", DOTTED, "^"),
    "BR": Look("#D55E00", DOTTED, "v"),
    "Feasible": Look("#999933", DASHED, "D"),
    "Feasible+drop": Look("#44AA99", DASHED, "s"),
    "Impact-greedy": Look("#009E73", DASHED, "s"),
    "Impact-greedy-R": Look("#117733", DASHED, "D"),
    "Priced Feasible+drop": Look("#56B4E9", SOLID, "o"),
    "Priced Impact-greedy": Look("#0072B2", SOLID, "o"),
    "Priced rollout": Look("#882255", SOLID, "P"),
    WORST: Look("#000000", SOLID, "*"),
}
SMALL = 7.5


def one_expert(knee: pd.DataFrame, interference: pd.DataFrame, limit: float, most: float) -> Figure:
    """Latency against the rate up to the largest possible one, and against how many share a batch."""
    with style():
        figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.1), layout="constrained")
        _band(left, knee["rate"], knee, "latency", 1000.0, BLUE, "simulated, 95% interval")
        left.axvline(most, color=FAINT, ls=":", label="no batch can serve more than this")
        left.set_xlabel("arrival rate (requests per second)")
        left.set(yscale="log", ylabel="latency (ms per token)")
        _plain_ticks(left.yaxis)
        left.set_title("one expert under Poisson arrivals", loc="left")
        right.plot(
            interference["requests"],
            1000.0 * interference["closed form"],
            color=ORANGE,
            label="closed form",
        )
        right.plot(
            interference["requests"],
            1000.0 * interference["simulated"],
            "o",
            ms=4,
            color=BLUE,
            label="simulated",
        )
        right.set_xlabel("equal requests in one batch")
        right.set_title("interference: requests that start together", loc="left")
        for ax in (left, right):
            ax.axhline(1000.0 * limit, color=INK, lw=0.8, ls="--", label="limit L")
            ax.legend(frameon=False, fontsize=SMALL)
        figure.suptitle("Synthetic workload: latency of a single expert", color=INK)
    return figure


def impact(delays: pd.DataFrame, flags: pd.DataFrame) -> Figure:
    """Estimated delays against simulated ones, and what each form flags."""
    with style():
        figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.1), layout="constrained")
        simulated = 1000.0 * delays["simulated"]
        left.axline((0.0, 0.0), slope=1.0, color=FAINT, lw=0.8)
        for name, colour, marker in (("published", ORANGE, "v"), ("ours", BLUE, "o")):
            left.plot(simulated, 1000.0 * delays[name], marker, ms=3, color=colour, label=name)
        left.set(xlabel="simulated delay (ms per token)", ylabel="estimate (ms per token)")
        left.set_title("delay of a running request, frozen system", loc="left")
        left.legend(frameon=False, fontsize=SMALL)
        at, start = np.arange(len(flags))[::-1], np.zeros(len(flags))
        for column, colour in (("right", GREEN), ("missed", "#56B4E9"), ("false", ORANGE)):
            right.barh(at, flags[column], left=start, height=0.55, color=colour, label=column)
            start = start + flags[column].to_numpy()
        right.set_yticks(at, [name.replace(", ", ",\n") for name in flags.index])
        right.set_xlabel("requests made late, or said to be")
        right.set_title("flags of each estimate", loc="left")
        right.legend(frameon=False, fontsize=SMALL)
        figure.suptitle("Synthetic workload: the impact of one more request", color=INK)
    return figure


def loads(summary: pd.DataFrame) -> Figure:
    """Average QoS against the rate, Poisson and Gamma arrivals, with 95% bands."""
    rows = summary[summary["system"] == DEFAULT]
    kinds = list(dict.fromkeys(rows["kind"]))
    with style():
        figure, axes = plt.subplots(
            1, len(kinds), figsize=(WIDTH, 4.2), layout="constrained", sharey=True, squeeze=False
        )
        for ax, kind in zip(axes[0], kinds, strict=True):
            for name, look in LOOKS.items():
                line = rows[(rows["kind"] == kind) & (rows["policy"] == name)].sort_values("rate")
                _band(ax, line["rate"], line, "qos", 1.0, look.colour, name, look)
            ax.set_title(f"{kind} arrivals", loc="left")
            ax.set_xticks(sorted(set(rows.loc[rows["kind"] == kind, "rate"])))
            ax.set_xlabel("arrival rate (requests per second)")
        axes[0, 0].set_ylabel("average QoS over all arrivals")
        figure.legend(
            *axes[0, 0].get_legend_handles_labels(),
            loc="outside right center",
            frameon=False,
            fontsize=SMALL,
        )
        figure.suptitle(
            f"Synthetic workload: average QoS, mean of {rows['seeds'].max()} seeds", color=INK
        )
    return figure


def differences(
    paired: pd.DataFrame, against: str, loads: Sequence[Load], looks: Mapping[str, Look] = LOOKS
) -> Figure:
    """Differences in average QoS to one policy on the same seeds, with 95% intervals, by load."""
    rows = paired[paired["system"] == DEFAULT].assign(load=load_names)
    panels = [str(load) for load in loads]
    names = [name for name in looks if name in set(rows["policy"])]
    with style():
        figure, axes = plt.subplots(
            1, len(panels), figsize=(WIDTH, 3.2), layout="constrained", sharey=True, squeeze=False
        )
        for ax, panel in zip(axes[0], panels, strict=True):
            here = rows[rows["load"] == panel].set_index("policy")
            ax.axvline(0.0, color=FAINT, lw=0.8)
            for place, name in enumerate(names):
                look, row = looks[name], here.loc[name]
                ax.plot([row["low"], row["high"]], [place, place], color=look.colour, lw=1.6)
                ax.plot(row["difference"], place, look.marker, color=look.colour, ms=5)
            ax.set_title(panel, loc="left")
            ax.xaxis.set_major_locator(MaxNLocator(5))
            ax.grid(visible=False, axis="y")
        axes[0, 0].set_yticks(range(len(names)), names)
        axes[0, 0].invert_yaxis()
        figure.suptitle(f"Synthetic workload: average QoS less that of {against}", color=INK)
        figure.supxlabel(
            f"difference on the same {rows['seeds'].max()} seeds, mean and 95% interval; right of the "
            "line is better",
            size=8.5,
            color=INK,
        )
    return figure


def waits(summary: pd.DataFrame, load: str) -> Figure:
    """Time to first token, time per later token and drops by length under one load."""
    rows = summary[(summary["system"] == DEFAULT) & (load_names(summary) == load)]
    rows = rows.set_index("policy")
    names = [name for name in LOOKS if name in rows.index]
    with style():
        figure, axes = plt.subplots(1, 3, figsize=(WIDTH, 3.4), layout="constrained")
        _time_panel(axes[0], rows.loc[names], "first_token", "time to first token (ms)")
        _time_panel(axes[1], rows.loc[names], "token_time", "time per later token (ms)")
        axes[1].tick_params(labelleft=False)
        _drop_panel(axes[2], rows.loc[names])
        figure.suptitle(f"Synthetic workload, {load}: waiting, and who is dropped", color=INK)
    return figure


def _time_panel(ax: Axes, rows: pd.DataFrame, metric: str, text: str) -> None:
    """Mean and 95% quantile of a time for each policy, in milliseconds."""
    for place, (name, row) in enumerate(rows.iterrows()):
        colour = LOOKS[name].colour
        ax.plot(1000.0 * row[f"{metric}_mean"], place, "o", color=colour, ms=5)
        ax.plot(1000.0 * row[f"{metric}_p95_mean"], place, "|", color=colour, ms=11, mew=1.8)
    ax.set(xlim=(0.0, None), xlabel=f"{text}\ndot: mean; upright: 95% quantile")
    ax.set_yticks(range(len(rows)), rows.index)
    ax.invert_yaxis()
    ax.grid(visible=False, axis="y")


def _drop_panel(ax: Axes, rows: pd.DataFrame) -> None:
    """The dropped share of each group of lengths, for the policies that drop."""
    columns = [f"dropped_{group.replace(' ', '_')}_mean" for group in LENGTH_GROUPS]
    for name, row in rows[rows["dropped_mean"] > 0.0].iterrows():
        look = LOOKS[name]
        about = {"color": look.colour, "ls": look.dash, "marker": look.marker}
        ax.plot(
            range(len(columns)), 100.0 * row[columns].to_numpy(float), ms=4, label=name, **about
        )
    ax.set_xticks(range(len(columns)), LENGTH_GROUPS)
    most = float(rows[columns].to_numpy().max())
    top = 190.0 * most if most > 0.0 else None  # room above the lines for the legend
    ax.set(xlabel="response length (tokens)", ylabel="dropped (%)", ylim=(0.0, top))
    ax.legend(frameon=False, fontsize=SMALL, loc="upper left")


def _plain_ticks(axis: Axis) -> None:
    """Ticks of a log axis at 1, 2 and 5 times powers of ten, as plain numbers."""
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_locator(NullLocator())


def _band(
    ax: Axes,
    x: pd.Series,
    rows: pd.DataFrame,
    name: str,
    unit: float,
    colour: str,
    label: str,
    look: Look | None = None,
) -> None:
    """A line of means with its 95% band; columns NAME (or NAME_mean), NAME_low and NAME_high."""
    mean = unit * rows[name if name in rows else f"{name}_mean"]
    dash, marker = (look.dash, look.marker) if look else (SOLID, "o")
    ax.plot(x, mean, color=colour, ls=dash, marker=marker, ms=3.5, label=label)
    low, high = unit * rows[f"{name}_low"], unit * rows[f"{name}_high"]
    ax.fill_between(x, np.maximum(low, 0.0), high, color=colour, alpha=0.13, lw=0)
