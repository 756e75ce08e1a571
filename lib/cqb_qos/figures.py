"""The figures of notebook 07, one function each. Every title says that the workload is synthetic."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cqb.figures.kinds import (
    estimates,
    forest,
    grid,
    legend,
    lines,
    log_axis,
    names_down,
    stacked,
    styled,
    words,
)
from cqb.figures.style import (
    BLUE,
    DASHED,
    DOTTED,
    FAINT,
    GREEN,
    INK,
    ORANGE,
    SOLID,
    WIDTH,
    Look,
    style,
)

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
    "DDQN (worst of 3)": Look("#000000", SOLID, "*"),
}
# Of trained policies, by what was trained; "DDQN arrived", which cannot tell experts apart, lies far
# below the rest and is left out.
TRAINED = {
    "DDQN": Look("#000000", SOLID, "*"),
    "DDQN impact 1": Look("#0072B2", SOLID, "o"),
    "DDQN flat": Look("#D55E00", DASHED, "s"),
}
SYSTEM = "default"
MILLI = 1000.0
LENGTHS = ("up to 60", "60 to 90", "90 to 150", "over 150")  # tokens of a response


def _looks(names: Iterable[str], looks: Mapping[str, Look] = LOOKS) -> dict[str, Look]:
    present = set(names)
    return {name: look for name, look in looks.items() if name in present}


def _loads(rows: pd.DataFrame) -> pd.Series:
    """The load of each row in words, such as "Poisson 3"."""
    return rows["kind"] + " " + rows["rate"].map("{:g}".format)


@style()
def one_expert(knee: pd.DataFrame, interference: pd.DataFrame, limit: float, most: float) -> Figure:
    """Latency against the rate up to the largest possible one, and against how many share a batch."""
    bound = {"limit L": Look(INK, (3.7, 1.6), "")}

    def latency(ax: Axes) -> None:
        rows = estimates(knee, "latency", MILLI).assign(what="simulated, 95% interval")
        look = {"simulated, 95% interval": Look(BLUE)}
        lines(ax, rows, "rate", look, by="what", markers=True)
        ax.axvline(most, color=FAINT, ls=":")
        ax.set(xlabel="arrival rate (requests per second)", ylabel="latency (ms per token)")
        log_axis(ax, "y")
        told = {"no batch can serve more than this": Look(FAINT, DOTTED, "")}
        legend(ax, look | told | bound, "line, marker")

    def together(ax: Axes) -> None:
        ax.plot(interference["requests"], MILLI * interference["closed form"], color=ORANGE)
        ax.plot(interference["requests"], MILLI * interference["simulated"], "o", color=BLUE)
        ax.set_xlabel("equal requests in one batch")
        told = {"closed form": Look(ORANGE, SOLID, ""), "simulated": Look(BLUE, (0, 9), "o")}
        legend(ax, told | bound, "line, marker")

    panels = {
        "one expert under Poisson arrivals": latency,
        "interference: requests that start together": together,
    }
    figure, axes = grid([list(panels)], lambda ax, heading: panels[heading](ax), 2.7)
    for ax in axes.flat:
        ax.axhline(MILLI * limit, color=INK, lw=0.8, ls="--")
    words(figure, "Synthetic workload: latency of a single expert")
    return figure


@style()
def impact(delays: pd.DataFrame, flags: pd.DataFrame) -> Figure:
    """Estimated delays against simulated ones, and what each form flags."""
    look = {"published": Look(ORANGE, SOLID, "v"), "ours": Look(BLUE)}
    colours = {"right": GREEN, "missed": "#56B4E9", "false": ORANGE}
    rows = MILLI * delays[["simulated", *look]]
    rows = rows.melt("simulated", var_name="form", value_name="estimate")

    def panel(ax: Axes, heading: str) -> None:
        if heading.startswith("delay"):
            ax.axline((0.0, 0.0), slope=1.0, color=FAINT, lw=0.8)
            about = {"s": 14, "linewidth": 0, "legend": False, "ax": ax}
            sns.scatterplot(rows, x="simulated", y="estimate", **styled("form", look), **about)
            ax.set(xlabel="simulated delay (ms per token)", ylabel="estimate (ms per token)")
            legend(ax, look, "marker")
            return
        table = flags[list(colours)].rename(lambda name: name.replace(", ", ",\n"))
        stacked(ax, table, list(colours.values()), height=0.55)
        ax.set_xlabel("requests made late, or said to be")
        legend(ax, colours)

    headings = ["delay of a running request, frozen system", "flags of each estimate"]
    figure, _ = grid([headings], panel, 2.7)
    words(figure, "Synthetic workload: the impact of one more request")
    return figure


@style()
def loads(summary: pd.DataFrame) -> Figure:
    """Average QoS against the rate, Poisson and Gamma arrivals, with 95% bands."""
    rows = estimates(summary[summary["system"] == SYSTEM], "qos")
    rows["low"] = rows["low"].clip(lower=0.0)

    def panel(ax: Axes, kind: str) -> None:
        here = rows[(rows["kind"] == kind) & rows["policy"].isin(LOOKS)]
        lines(ax, here, "rate", LOOKS, markers=True)
        ax.set_xticks(sorted(set(here["rate"])))
        ax.set_xlabel("arrival rate (requests per second)")

    kinds = list(dict.fromkeys(rows["kind"]))
    figure, axes = grid([kinds], panel, 3.8, title="{} arrivals".format, sharey=True)
    axes[0, 0].set_ylabel("average QoS over all arrivals")
    legend(figure, LOOKS, "line, marker", loc="outside right center", ncols=1)
    words(figure, f"Synthetic workload: average QoS, mean of {rows['seeds'].max()} seeds")
    return figure


@style()
def differences(
    paired: pd.DataFrame, against: str, loads: Sequence[object], looks: Mapping[str, Look] = LOOKS
) -> Figure:
    """Differences in average QoS to one policy on the same seeds, with 95% intervals, by load."""
    rows = paired[(paired["system"] == SYSTEM) & paired["policy"].isin(looks)]
    rows = rows.assign(load=_loads, mean=rows["difference"])
    look = _looks(rows["policy"], looks)

    def panel(ax: Axes, load: object) -> None:
        forest(ax, rows[rows["load"] == str(load)], look, line=0.0)
        ax.xaxis.set_major_locator(MaxNLocator(5))

    figure, _ = grid([loads], panel, 2.8, sharey=True)
    words(
        figure,
        f"Synthetic workload: average QoS less that of {against}",
        f"difference on the same {rows['seeds'].max()} seeds, mean and 95% interval; right of the "
        "line is better",
    )
    return figure


def learned_differences(paired: pd.DataFrame, against: str, loads: Sequence[object]) -> Figure:
    """Differences of all learned policies but the blind one to a rule on the same seeds."""
    return differences(paired, against, loads, _trained(paired))


def _trained(rows: pd.DataFrame) -> dict[str, Look]:
    """Looks of the trained policies in a table, which are named by kind and training seed."""
    kinds = {policy: policy.rpartition(" #")[0] for policy in sorted(set(rows["policy"]))}
    return {
        policy: look for kind, look in TRAINED.items() for policy in kinds if kinds[policy] == kind
    }


@style()
def training(histories: pd.DataFrame, rule: str, level: float) -> Figure:
    """Validation QoS of each training against the frames it has seen, and that of a rule."""
    look = _trained(histories)
    rows = histories[histories["policy"].isin(look)]
    rows = rows.assign(thousands=rows["frames"] / MILLI, mean=rows["validation"])
    own = {rule: Look(LOOKS[rule].colour, (3.7, 1.6), "")}

    def panel(ax: Axes, _: str) -> None:
        lines(ax, rows, "thousands", look, error=None, markers=True)
        ax.axhline(level, color=LOOKS[rule].colour, lw=1.2, ls="--")
        ax.set_xlabel("decisions trained on (thousands)")
        ax.set_ylabel("average QoS, validation workloads")
        kinds = {policy.rpartition(" #")[0] for policy in look}
        told = {f"{kind}, by training seed": TRAINED[kind] for kind in TRAINED if kind in kinds}
        legend(ax, told | own, "line, marker")

    figure, _ = grid([[""]], panel, 2.9, width=0.75 * WIDTH)
    words(figure, "Synthetic workload: training, mean of three loads")
    return figure


@style()
def waits(summary: pd.DataFrame, load: str) -> Figure:
    """Time to first token, time per later token and drops by length under one load."""
    rows = summary[(summary["system"] == SYSTEM) & (_loads(summary) == load)]
    rows = rows.set_index("policy")
    rows = rows.loc[list(_looks(rows.index))]

    def panel(ax: Axes, metric: str) -> None:
        if metric == "dropped":
            _drops(ax, rows)
            return
        about = {
            "first_token": "time to first token (ms)",
            "token_time": "time per later token (ms)",
        }
        for place, (name, row) in enumerate(rows.iterrows()):
            colour = LOOKS[name].colour
            ax.plot(MILLI * row[f"{metric}_mean"], place, "o", color=colour, ms=5)
            ax.plot(MILLI * row[f"{metric}_p95_mean"], place, "|", color=colour, ms=11, mew=1.8)
        names_down(ax, list(rows.index))
        ax.set(xlim=(0.0, None), xlabel=f"{about[metric]}\ndot: mean; upright: 95% quantile")

    metrics = ["first_token", "token_time", "dropped"]
    figure, axes = grid([metrics], panel, 3.0, title=lambda _: "")
    axes[0, 1].tick_params(labelleft=False)
    words(figure, f"Synthetic workload, {load}: waiting, and who is dropped")
    return figure


def _drops(ax: Axes, rows: pd.DataFrame) -> None:
    """The dropped share of each group of lengths, for the policies that drop."""
    columns = [f"dropped_{length.replace(' ', '_')}_mean" for length in LENGTHS]
    drops = 100.0 * rows.loc[rows["dropped_mean"] > 0.0, columns].set_axis(LENGTHS, axis=1)
    look = _looks(drops.index)
    part = drops.reset_index().melt("policy", var_name="length", value_name="mean")
    lines(ax, part, "length", look, error=None, markers=True)
    top = 1.9 * drops.to_numpy().max() if drops.to_numpy().any() else None  # room for the legend
    ax.set(xlabel="response length (tokens)", ylabel="dropped (%)", ylim=(0.0, top))
    legend(ax, look, "line, marker", loc="upper left")
