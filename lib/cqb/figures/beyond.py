"""The figures of notebook 09: the comparison, and the studies of laws, worlds, loads and tuning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator

from ..metrics import REFERENCE
from ..runs import Cell
from ..stats import final as after_last
from ..tables import select
from .experiments import cells, within
from .kinds import forest, grid, legend, lines, log_axis, names_down, over_seeds, styled, words
from .style import AMBER, BLUE, DASHED, DOTTED, FAINT, GREEN, INK, WIDTH, Look, looks, style

ABOUT = {
    "regret": ("final routing regret (departures)", "{:.0f}"),
    "queue_mean": ("mean queue (queries)", "{:.1f}"),
}
BELIEFS = {
    "fresh": ("nothing persists", Look(BLUE)),
    "half": ("half persists", Look(GREEN, DASHED)),
    "all": ("all persists", Look("#882255")),
    "prompt": ("belongs to the prompt", Look(AMBER, DOTTED)),
}
CELL = ["K", "lam", "arrival_rate"]
PLACE = ["world", "K", "lam", "arrival_rate"]
SHORT = {"alpha_coef": "alpha", "exploration_rate": "expl.", "sampling": "samp."}


@style()
def final(tidy: pd.DataFrame, K: int, name: str, value: str = "regret") -> Figure:
    """Final regret (or `queue_mean`) of every policy, a panel per cell: mean, 95% interval, number.

    Rows of panels are arrival rates, columns lam. `name` says whose data they are.
    """
    last = select(after_last(tidy), K=K)
    if value == "regret":
        last = last[last["policy"] != REFERENCE]
    what, form = ABOUT[value]
    look = looks(last["policy"])

    def panel(ax: Axes, cell: Cell) -> None:
        rows = over_seeds(within(last, cell), "policy", value)
        notes = dict(zip(rows["policy"], rows["mean"].map(form.format), strict=True))
        forest(ax, positive(rows, 0.3), look, notes=notes)
        log_axis(ax)

    height = 0.5 + 0.17 * len(look)
    figure, _ = grid(cells(last, "arrival_rate"), panel, height, title=_setting, sharey=True)
    words(
        figure,
        f"{name}: {what}, K = {K}",
        f"{what} after {last['t'].max()} rounds; mean of up to {last['seed'].nunique()} "
        "seeds, bar: 95% interval",
    )
    return figure


def _setting(cell: Cell) -> str:
    return str(cell).partition(", ")[2]


def positive(rows: pd.DataFrame, least: float) -> pd.DataFrame:
    """Cut intervals off at `least` times their mean, for a logarithmic axis."""
    return rows.assign(low=rows["low"].clip(lower=least * rows["mean"]))


@style()
def shares(ratios: pd.DataFrame, targets: Mapping[str, float], name: str) -> Figure:
    """Regret as a share of other policies', averaged over cells: a panel per policy with memory.

    Parameters
    ----------
    ratios : `policy`, `against`, `ratio`, `low`, `high`. targets : share wanted, by `against`.
    """
    rows = ratios.assign(mean=ratios["ratio"], target=ratios["against"].map(targets))
    look = looks(rows["against"])

    def panel(ax: Axes, policy: str) -> None:
        forest(ax, select(rows, policy=policy), look, by="against", line=1.0, mark="target")
        ax.set_xlim(0.0, None)

    policies = list(dict.fromkeys(rows["policy"]))
    figure, _ = grid([policies], panel, 0.5 + 0.24 * len(look), sharey=True)
    words(
        figure,
        f"{name}: regret as a share of another policy's",
        "mean over cells, then over seeds; bar: 95% interval, paired by seed; upright mark: target",
    )
    return figure


@style()
def survival(waits: pd.DataFrame, cells: Sequence[tuple[int, float, float]], name: str) -> Figure:
    """Share of queries that wait longer, against the wait (Kaplan-Meier), a panel per cell.

    `cells` are K, lam and arrival rate.
    """
    mean = waits.groupby([*CELL, "policy", "wait"], as_index=False)["longer"].mean()
    rows = mean.assign(mean=100.0 * mean["longer"].where(mean["longer"] > 0))

    def panel(ax: Axes, cell: Cell) -> None:
        lines(ax, within(rows, cell), "wait", error=None, markers=True, markersize=3, lw=1.1)
        ax.set(xscale="log", yscale="log", xlabel="wait (rounds)", ylim=(0.05, 100.0))
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_formatter("{x:g}")
        ax.axvline(100.0, color=FAINT, lw=0.8)

    figure, axes = grid([[Cell(*cell) for cell in cells]], panel, 3.3, sharey=True)
    axes[0, 0].set_ylabel("queries that wait longer (%)")
    look = looks(rows["policy"])
    legend(figure, look, "line, marker", loc="outside right center", ncols=1)
    words(figure, f"{name}: how long queries wait (Kaplan-Meier, mean of seeds)")
    return figure


@style()
def laws(scores: pd.DataFrame, name: str) -> Figure:
    """Mean predictive score of every law, a panel per kind of round: larger is better."""
    rows = scores.groupby(["kind", "log", "law"], sort=False, as_index=False)["score"].mean()
    logs, names = list(dict.fromkeys(rows["log"])), list(dict.fromkeys(rows["law"]))
    look = {
        log: Look(*about) for log, about in zip(logs, ((BLUE,), (AMBER, "", "s")), strict=False)
    }

    def panel(ax: Axes, kind: str) -> None:
        here = rows[rows["kind"] == kind]
        here = here.assign(place=here["law"].map(names.index))
        about = {"s": 32, "linewidth": 0, "legend": False, "ax": ax}
        sns.scatterplot(here, x="score", y="place", **styled("log", look), **about)
        names_down(ax, names)
        ax.set_xlabel("nats per round")

    def heading(kind: str) -> str:
        return "all rounds" if kind == "all" else f"{kind} after a failure"

    kinds = ["all", "another model", "same model"]
    figure, _ = grid([kinds], panel, 2.9, title=heading, sharey=True)
    legend(figure, {f"rounds of {log}": one for log, one in look.items()}, "marker")
    words(figure, f"{name}: how well each law foresees the next answer")
    return figure


@style()
def worlds(table: pd.DataFrame, name: str, base: str = "ACQB-tuned") -> Figure:
    """Final regret in each world as a share of `base` on the same seed: a panel per world."""
    last = table[table["t"] == table.groupby("world")["t"].transform("max")]
    own = last[last["policy"] == base].set_index(["world", "seed"])["regret"]
    same = pd.MultiIndex.from_frame(last[["world", "seed"]])
    last = last.assign(share=last["regret"] / own.reindex(same).to_numpy())
    look = looks(last["policy"])

    def panel(ax: Axes, world: str) -> None:
        rows = over_seeds(select(last, world=world), "policy", "share")
        forest(ax, positive(rows, 0.2), look, line=1.0)
        log_axis(ax)
        ax.xaxis.set_major_locator(FixedLocator([0.3, 0.5, 1.0, 2.0, 4.0, 8.0]))

    kinds = list(dict.fromkeys(last["world"]))
    figure, _ = grid([kinds], panel, 3.2, title=_broken, sharey=True)
    words(
        figure,
        f"{name}: regret as a share of {base}'s, by world",
        "mean of seeds, bar: 95% interval, paired by seed",
    )
    return figure


def _broken(world: str) -> str:
    return world.replace(", ", ",\n")


@style()
def beliefs(table: pd.DataFrame, name: str, policies: Sequence[str]) -> Figure:
    """What the policies with memory believe of persistence, by round: a panel per world and policy."""
    mean = table.groupby(["world", "policy", "t"], as_index=False)[list(BELIEFS)].mean()
    rows = mean.melt(["world", "policy", "t"], var_name="belief", value_name="mean")
    look = {belief: one for belief, (_, one) in BELIEFS.items()}

    def panel(ax: Axes, key: tuple[str, str]) -> None:
        policy, world = key
        here = select(rows, policy=policy, world=world)
        lines(ax, here, "t", look, by="belief", error=None)
        ax.set_ylim(-0.03, 1.03)

    kinds = list(dict.fromkeys(table["world"]))
    keys = [[(policy, world) for world in kinds] for policy in policies]
    figure, axes = grid(keys, panel, 1.6, extra=0.8, title=lambda _: "", sharey=True)
    for ax, world in zip(axes[0], kinds, strict=True):
        ax.set_title(_broken(world), size=8.5)
    for ax, policy in zip(axes[:, 0], policies, strict=True):
        ax.set_ylabel(f"{policy}\nprobability")
    for ax in axes[-1]:
        ax.set_xlabel("round t")
    legend(figure, dict(BELIEFS.values()), fontsize=8)
    words(figure, f"{name}: what is believed about persistence (mean of seeds)")
    return figure


@style()
def stability(table: pd.DataFrame, marks: Sequence[float], name: str) -> Figure:
    """The largest rate each policy sustains, with a 95% interval; a cross is the closed form."""
    rows = over_seeds(table, "policy", "rate")
    rows["closed"] = rows["policy"].map(table.groupby("policy")["closed"].first())
    look = looks(rows["policy"])

    def panel(ax: Axes, _: str) -> None:
        for mark in marks:
            ax.axvline(mark, color=FAINT, lw=0.8, ls=":")
        forest(ax, rows, look)
        places = rows["policy"].map(list(look).index)
        ax.plot(rows["closed"], places, "x", color=INK, ms=7, mew=1.4, zorder=4)
        ax.set_xlabel("arrival rate (queries per round); dotted: the rates of the comparison")

    height = 0.5 + 0.24 * len(look)
    title = f"{name}: largest rate sustained (cross: closed form)"
    figure, _ = grid([[title]], panel, height, width=0.75 * WIDTH)
    return figure


@style()
def tuning(scores: pd.DataFrame, name: str) -> Figure:
    """Every candidate's final regret on the tuning rows, a panel per policy and a dot per place."""
    groups = scores.groupby([*PLACE, "policy", "setting"], sort=False)["regret"]
    rows = pd.DataFrame({"mean": groups.mean(), "error": groups.sem()}).reset_index()
    rows = rows.assign(low=rows["mean"] - rows["error"], high=rows["mean"] + rows["error"])
    rows["place"] = [_place(*place) for place in rows[PLACE].itertuples(index=False)]
    places = list(dict.fromkeys(rows["place"]))
    colours = sns.color_palette("colorblind").as_hex()
    look = {place: Look(colour) for place, colour in zip(places, colours, strict=False)}

    def panel(ax: Axes, policy: str) -> None:
        here = select(rows, policy=policy)
        settings = list(dict.fromkeys(here["setting"]))
        for place, one in look.items():
            forest(ax, select(here, place=place), dict.fromkeys(settings, one), by="setting")
        ax.set_yticks(range(len(settings)), [_short(setting) for setting in settings], size=6.5)
        log_axis(ax)

    policies = list(dict.fromkeys(rows["policy"]))
    half = -(-len(policies) // 2)
    figure, _ = grid([policies[:half], policies[half:]], panel, 2.3)
    legend(figure, look, "marker", ncols=2, fontsize=8)
    words(figure, f"{name}, tuning rows: final regret of every setting (bar: ± 1 s.e.)")
    return figure


def _place(world: str, K: int, lam: float, rate: float) -> str:
    text = f"{world}, K = {K}, rate {rate:g}"
    return text + (f", lam = {lam:g}" if world == "recorded" else "")


def _short(setting: str) -> str:
    for long, short in SHORT.items():
        setting = setting.replace(long, short)
    return setting
