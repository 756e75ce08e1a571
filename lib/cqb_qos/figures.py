"""The figures of notebook 07, one function each. Every title says that the workload is synthetic."""

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cqb.figures.kinds import columns, dots, estimates, forest, lines, names_down, stacked
from cqb.figures.sheets import Panel, each, legend, panel, sheet
from cqb.figures.style import BLUE, DASHED, DOTTED, FAINT, GREEN, INK, ORANGE, SOLID, WIDTH, Look
from cqb.tables import select

from .episodes import DROPPED
from .summaries import SYSTEM, WORST, load_names

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
# Of trained policies, by what was trained; "DDQN arrived", which cannot tell experts apart, lies far
# below the rest and is left out.
TRAINED = {
    "DDQN": Look("#000000", SOLID, "*"),
    "DDQN impact 1": Look("#0072B2", SOLID, "o"),
    "DDQN flat": Look("#D55E00", DASHED, "s"),
}
MILLI = 1000.0
TIMES = {"first_token": "time to first token", "token_time": "time per later token"}


def _looks(policies: Iterable[str]) -> dict[str, Look]:
    """Looks of the policies of a table: rules, then trained ones, which end in their training seed."""
    present = sorted(set(policies))
    kinds = {policy: policy.rpartition(" #")[0] for policy in present}
    trained = {p: look for kind, look in TRAINED.items() for p in present if kinds[p] == kind}
    return {name: look for name, look in LOOKS.items() if name in present} | trained


def one_expert(knee: pd.DataFrame, interference: pd.DataFrame, limit: float, most: float) -> Figure:
    """Latency against the rate up to the largest possible one, and against how many share a batch."""
    simulated, bound = "simulated, 95% interval", Look(INK, DASHED, "")
    look = {simulated: Look(BLUE)}
    named = look | {"no batch can serve more than this": Look(FAINT, DOTTED, ""), "limit L": bound}
    rows = estimates(knee, "latency", MILLI).assign(what=simulated)
    guides = [("y", MILLI * limit, {"color": INK, "ls": "--"}), ("x", most, {"ls": ":"})]
    axis = {"xlabel": "arrival rate (requests per second)", "ylabel": "latency (ms per token)"}
    first = {"axis": axis, "log": "y", "guides": guides, "key": legend(named, "line, marker")}
    both = {
        "closed form": ("closed form", Look(ORANGE, SOLID, "")),
        "simulated": ("simulated", Look(BLUE, None, "o")),
        "limit": ("limit L", bound),
    }
    batch = interference.assign(limit=limit)
    batch[list(both)] *= MILLI
    second = {"axis": {"xlabel": "equal requests in one batch"}}
    titles = "one expert under Poisson arrivals", "interference: requests that start together"
    panels = [
        panel(lines, rows, "rate", look, by="what", markers=True, title=titles[0], **first),
        panel(columns, batch, "requests", both, title=titles[1], **second),
    ]
    return sheet([panels], 2.7, title="Synthetic workload: latency of a single expert")


def impact(delays: pd.DataFrame, flags: pd.DataFrame) -> Figure:
    """Estimated delays against simulated ones, and what each form flags."""
    look = {"published": Look(ORANGE, SOLID, "v"), "ours": Look(BLUE)}
    colours = {"right": GREEN, "missed": "#56B4E9", "false": ORANGE}
    rows = MILLI * delays[["simulated", *look]]
    rows = rows.melt("simulated", var_name="form", value_name="estimate")
    axis = {"xlabel": "simulated delay (ms per token)", "ylabel": "estimate (ms per token)"}
    first = {"title": "delay of a running request, frozen system", "axis": axis}
    counts = flags[list(colours)].rename(lambda name: name.replace(", ", ",\n"))
    axis = {"xlabel": "requests made late, or said to be"}
    second = {"title": "flags of each estimate", "axis": axis, "height": 0.55}

    def diagonal(ax: Axes) -> None:
        ax.axline((0.0, 0.0), slope=1.0, color=FAINT, lw=0.8)
        dots(ax, rows, "simulated", "estimate", look, "form", s=14)

    panels = [
        panel(diagonal, key=legend(look, "marker"), **first),
        panel(stacked, counts, colours, key=legend(colours), **second),
    ]
    return sheet([panels], 2.7, title="Synthetic workload: the impact of one more request")


def loads(summary: pd.DataFrame) -> Figure:
    """Average QoS against the rate, Poisson and Gamma arrivals, with 95% bands.

    The simple rules are in the upper panels, the better policies below, on a scale of their own.
    """
    names = list(LOOKS)
    rows = estimates(select(summary, system=SYSTEM, policy=names), "qos")
    rows["low"] = rows["low"].clip(lower=0.0)

    def row(policies: list[str], title: str, xlabel: str) -> list[Panel]:
        def make(kind: str, here: pd.DataFrame) -> Panel:
            about = {"title": title.format(kind), "ticks": here["rate"], "axis": {"xlabel": xlabel}}
            return panel(lines, here, "rate", LOOKS, markers=True, **about)

        return each(select(rows, policy=policies), "kind", make)

    upper = row(names[:6], "{} arrivals", "")
    lower = row(names[6:], "", "arrival rate (requests per second)")
    return sheet(
        [upper, lower],
        2.3,
        sharey="row",
        sharex="col",
        ylabel="average QoS over all arrivals",
        title=f"Synthetic workload: average QoS, mean of {rows['seeds'].max()} seeds",
        key=legend(LOOKS, "line, marker", loc="outside right center", ncols=1),
    )


def differences(paired: pd.DataFrame, against: str, loads: Sequence[object]) -> Figure:
    """Differences in average QoS to one policy on the same seeds, with 95% intervals, by load.

    Learned policies are drawn but for those of the blind network.
    """
    look = _looks(paired["policy"])
    rows = select(paired, system=SYSTEM, policy=list(look))
    rows = rows.assign(load=load_names, mean=rows["difference"])

    def make(load: str) -> Panel:
        return panel(_forest, select(rows, load=load), look, title=load, guides=[("x", 0.0, {})])

    return sheet(
        [[make(str(load)) for load in loads]],
        2.8,
        sharey=True,
        title=f"Synthetic workload: average QoS less that of {against}",
        caption=f"difference on the same {rows['seeds'].max()} seeds, mean and 95% interval; right "
        "of the line is better",
    )


def _forest(ax: Axes, rows: pd.DataFrame, look: Mapping[str, Look]) -> None:
    forest(ax, rows, look)
    ax.xaxis.set_major_locator(MaxNLocator(5))


def training(histories: pd.DataFrame, rule: str, level: float) -> Figure:
    """Validation QoS of each training against the frames it has seen, and that of a rule."""
    look, colour = _looks(histories["policy"]), LOOKS[rule].colour
    rows = select(histories, policy=list(look))
    rows = rows.assign(thousands=rows["frames"] / 1000, mean=rows["validation"])
    present = set(look.values())
    named = {f"{kind}, by training seed": one for kind, one in TRAINED.items() if one in present}
    named[rule] = Look(colour, DASHED, "")
    axis = {"xlabel": "decisions trained on (thousands)"}
    guides = [("y", level, {"color": colour, "lw": 1.2, "ls": "--"})]
    about = {"error": None, "markers": True, "axis": axis, "guides": guides}
    one = panel(lines, rows, "thousands", look, key=legend(named, "line, marker"), **about)
    words = {"title": "Synthetic workload: training, mean of three loads"}
    words["ylabel"] = "average QoS, validation workloads"
    return sheet([[one]], 2.9, width=0.75 * WIDTH, **words)


def waits(summary: pd.DataFrame, load: str) -> Figure:
    """Time to first token, time per later token and drops by length under one load."""
    rows = select(summary.assign(load=load_names), system=SYSTEM, load=load).set_index("policy")
    rows = rows.loc[list(_looks(rows.index))]
    marks = "(ms)\ndot: mean; upright: 95% quantile"
    lengths = {"xlabel": "response length (tokens)", "ylabel": "dropped (%)"}
    panels = [
        *(
            panel(_times, rows, time, axis={"xlabel": f"{text} {marks}"})
            for time, text in TIMES.items()
        ),
        panel(_drops, rows[rows["dropped_mean"] > 0.0], axis=lengths),
    ]
    return sheet([panels], 3.0, title=f"Synthetic workload, {load}: waiting, and who is dropped")


def _times(ax: Axes, rows: pd.DataFrame, metric: str) -> None:
    """Mean and 95% quantile of a time for each policy, in milliseconds."""
    about = {"c": [LOOKS[policy].colour for policy in rows.index], "linewidths": 1.8}
    for column, marker, size in ((f"{metric}_mean", "o", 30), (f"{metric}_p95_mean", "|", 130)):
        ax.scatter(MILLI * rows[column], range(len(rows)), s=size, marker=marker, **about)
    names_down(ax, list(rows.index))
    ax.tick_params(labelleft=metric == "first_token")
    ax.set_xlim(0.0, None)


def _drops(ax: Axes, rows: pd.DataFrame) -> None:
    """The dropped share of each group of lengths, for the policies that drop."""
    look, drops = _looks(rows.index), 100.0 * rows[[f"{metric}_mean" for metric in DROPPED]]
    most = float(drops.to_numpy().max(initial=0.0))
    drops = drops.set_axis(list(DROPPED.values()), axis=1).reset_index()
    part = drops.melt("policy", var_name="length", value_name="mean")
    lines(ax, part, "length", look, error=None, markers=True)
    ax.set_ylim(0.0, 1.9 * most if most else None)  # room above the lines for the legend
    legend(look, "line, marker", loc="upper left")(ax)
