"""The figures of notebook 09: the comparison, and the studies of laws, worlds, loads and tuning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..metrics import REFERENCE
from ..runs import Cell
from ..stats import final as after_last
from ..tables import select
from .experiments import by_cell
from .kinds import around, dots, forest, lines, names_down, over_seeds, positive
from .sheets import Panel, each, legend, panel, sheet
from .style import AMBER, BLUE, DASHED, DOTTED, GREEN, INK, SOLID, WIDTH, Look, looks

BELIEFS = {
    "fresh": ("nothing persists", Look(BLUE)),
    "half": ("half persists", Look(GREEN, DASHED)),
    "all": ("all persists", Look("#882255")),
    "prompt": ("belongs to the prompt", Look(AMBER, DOTTED)),
}
PLACE = ["world", "K", "lam", "arrival_rate"]
SHORT = {"alpha_coef": "alpha", "exploration_rate": "expl.", "sampling": "samp."}
ONE = [("x", 1.0, {})]


def final(tidy: pd.DataFrame, K: int, name: str) -> Figure:
    """Final regret of every policy, a panel per cell: mean, 95% interval, number.

    Rows of panels are arrival rates, columns lam. `name` says whose data they are.
    """
    last = select(after_last(tidy), K=K)
    last = last[last["policy"] != REFERENCE]
    what, look = "final routing regret (departures)", looks(last["policy"])

    def make(cell: Cell, here: pd.DataFrame) -> Panel:
        rows = positive(over_seeds(here, "policy", "regret"), 0.3)
        notes = rows.set_index("policy")["mean"].map("{:.0f}".format)
        heading = f"lam = {cell.lam:g}, arrival rate {cell.arrival_rate:g}"
        return panel(forest, rows, look, notes=notes, title=heading, log="x")

    panels, height = by_cell(last, make, "arrival_rate"), 0.5 + 0.17 * len(look)
    seeds, heading = last["seed"].nunique(), f"{name}: {what}, K = {K}"
    caption = (
        f"{what} after {last['t'].max()} rounds; mean of up to {seeds} seeds, bar: 95% interval"
    )
    return sheet(panels, height, sharey=True, title=heading, caption=caption)


def shares(ratios: pd.DataFrame, targets: Mapping[str, float], name: str) -> Figure:
    """Regret as a share of other policies', averaged over cells: a panel per policy with memory.

    Parameters
    ----------
    ratios : `policy`, `against`, `ratio`, `low`, `high`. targets : share wanted, by `against`.
    """
    rows = ratios.assign(mean=ratios["ratio"], target=ratios["against"].map(targets))
    look = looks(rows["against"])

    def make(policy: str, here: pd.DataFrame) -> Panel:
        about = {"by": "against", "mark": "target", "guides": ONE, "axis": {"xlim": (0.0, None)}}
        return panel(forest, here, look, title=policy, **about)

    caption = (
        "mean over cells, then over seeds; bar: 95% interval, paired by seed; upright mark: target"
    )
    heading = f"{name}: regret as a share of another policy's"
    panels, height = [each(rows, "policy", make)], 0.5 + 0.24 * len(look)
    return sheet(panels, height, sharey=True, title=heading, caption=caption)


def survival(waits: pd.DataFrame, cells: Sequence[tuple[int, float, float]], name: str) -> Figure:
    """Share of queries that wait longer, against the wait (Kaplan-Meier), a panel per cell.

    `cells` are K, lam and arrival rate.
    """
    mean = waits.groupby([*PLACE[1:], "policy", "wait"], as_index=False)["longer"].mean()
    rows = mean.assign(mean=100.0 * mean["longer"].where(mean["longer"] > 0))
    axis = {"xlabel": "wait (rounds)", "ylim": (0.05, 100.0)}
    about = {"error": None, "markers": True, "markersize": 3, "lw": 1.1, "axis": axis, "log": "xy"}

    def make(K: int, lam: float, rate: float) -> Panel:
        here, heading = select(rows, K=K, lam=lam, arrival_rate=rate), str(Cell(K, lam, rate))
        return panel(lines, here, "wait", title=heading, guides=[("x", 100.0, {})], **about)

    heading = f"{name}: how long queries wait (Kaplan-Meier, mean of seeds)"
    key = legend(looks(rows["policy"]), "line, marker", loc="outside right center", ncols=1)
    label = "queries that wait longer (%)"
    panels = [[make(*cell) for cell in cells]]
    return sheet(panels, 3.3, sharey=True, ylabel=label, title=heading, key=key)


def laws(scores: pd.DataFrame, name: str) -> Figure:
    """Mean predictive score of every law, a panel per kind of round: larger is better."""
    rows = scores.groupby(["kind", "log", "law"], sort=False, as_index=False)["score"].mean()
    names = list(dict.fromkeys(rows["law"]))
    rows = rows.assign(place=rows["law"].map(names.index), log="rounds of " + rows["log"])
    both = (Look(BLUE), Look(AMBER, SOLID, "s"))
    look = dict(zip(dict.fromkeys(rows["log"]), both, strict=False))

    def make(kind: str) -> Panel:
        heading = "all rounds" if kind == "all" else f"{kind} after a failure"
        axis = {"xlabel": "nats per round"}
        return panel(_laws, select(rows, kind=kind), names, look, title=heading, axis=axis)

    panels = [make(kind) for kind in ("all", "another model", "same model")]
    heading = f"{name}: how well each law foresees the next answer"
    return sheet([panels], 2.9, sharey=True, title=heading, key=legend(look, "marker"))


def _laws(ax: Axes, rows: pd.DataFrame, names: list[str], look: dict[str, Look]) -> None:
    dots(ax, rows, "score", "place", look, "log")
    names_down(ax, names)
    ax.grid(visible=True, axis="y")
    ax.set_ylabel("")


def worlds(table: pd.DataFrame, name: str) -> Figure:
    """Final regret in each world as a share of ACQB-tuned's on the same seed: a panel per world."""
    last = table[table["t"] == table.groupby("world")["t"].transform("max")]
    own = select(last, policy="ACQB-tuned").set_index(["world", "seed"])["regret"]
    same = pd.MultiIndex.from_frame(last[["world", "seed"]])
    last = last.assign(share=last["regret"] / own.reindex(same).to_numpy())
    look = looks(last["policy"])

    def make(world: str, here: pd.DataFrame) -> Panel:
        rows = positive(over_seeds(here, "policy", "share"), 0.2)
        return panel(forest, rows, look, title=_broken(world), guides=ONE, log="x")

    heading = f"{name}: regret as a share of ACQB-tuned's, by world"
    caption = "mean of seeds, bar: 95% interval, paired by seed"
    panels = [each(last, "world", make)]
    return sheet(panels, 3.2, sharey=True, title=heading, caption=caption)


def _broken(world: str) -> str:
    return world.replace(", ", ",\n")


def beliefs(table: pd.DataFrame, name: str, policies: Sequence[str]) -> Figure:
    """What the policies with memory believe of persistence, by round: a panel per world and policy."""
    mean = table.groupby(["policy", "world", "t"], sort=False, as_index=False)[list(BELIEFS)].mean()
    rows = mean.melt(["policy", "world", "t"], var_name="belief", value_name="mean")
    look = {belief: one for belief, (_, one) in BELIEFS.items()}
    about = {"by": "belief", "error": None}

    def make(world: str, here: pd.DataFrame) -> Panel:
        first, last = (here["policy"].iloc[0] == policies[end] for end in (0, -1))
        axis = {"ylim": (-0.03, 1.03), "xlabel": "round t" if last else ""}
        heading = _broken(world) if first else ""
        return panel(lines, here, "t", look, title=heading, axis=axis, **about)

    panels = [each(select(rows, policy=policy), "world", make) for policy in policies]
    labels = [f"{policy}\nprobability" for policy in policies]
    heading = f"{name}: what is believed about persistence (mean of seeds)"
    key = legend(dict(BELIEFS.values()), fontsize=8)
    return sheet(panels, 1.6, extra=0.8, sharey=True, ylabel=labels, title=heading, key=key)


def stability(table: pd.DataFrame, marks: Sequence[float], name: str) -> Figure:
    """The largest rate each policy sustains, with a 95% interval; a cross is the closed form, the
    mean over the seeds' pools."""
    rows = over_seeds(table, "policy", "rate")
    rows["closed"] = rows["policy"].map(table.groupby("policy")["closed"].mean())
    guides = [("x", mark, {"ls": ":"}) for mark in marks]
    axis = {"xlabel": "arrival rate (queries per round); dotted: the rates of the comparison"}
    heading = f"{name}: largest rate sustained (cross: closed form)"
    one = panel(_sustained, rows, title=heading, guides=guides, axis=axis)
    return sheet([[one]], 0.5 + 0.24 * len(rows), width=0.75 * WIDTH)


def _sustained(ax: Axes, rows: pd.DataFrame) -> None:
    forest(ax, rows)
    places = rows["policy"].map(list(looks(rows["policy"])).index)
    ax.plot(rows["closed"], places, "x", color=INK, ms=7, mew=1.4, zorder=4)


def tuning(scores: pd.DataFrame, name: str) -> Figure:
    """Every candidate's final regret on the tuning rows, a panel per policy and a dot per place."""
    rows = around(scores.groupby([*PLACE, "policy", "setting"], sort=False)["regret"])
    rows["place"] = [_place(*place) for place in rows[PLACE].itertuples(index=False)]
    for long, short in SHORT.items():
        rows["setting"] = rows["setting"].str.replace(long, short)
    colours = map(Look, sns.color_palette("colorblind").as_hex())
    look = dict(zip(dict.fromkeys(rows["place"]), colours, strict=False))

    def make(policy: str, here: pd.DataFrame) -> Panel:
        return panel(_settings, here, look, title=policy, log="x")

    panels = each(rows, "policy", make)
    half = -(-len(panels) // 2)
    heading = f"{name}, tuning rows: final regret of every setting (bar: ± 1 s.e.)"
    key = legend(look, "marker", ncols=2, fontsize=8)
    return sheet([panels[:half], panels[half:]], 2.2, extra=0.9, title=heading, key=key)


def _settings(ax: Axes, rows: pd.DataFrame, look: dict[str, Look]) -> None:
    settings = list(dict.fromkeys(rows["setting"]))
    for place, here in rows.groupby("place"):
        forest(ax, here, dict.fromkeys(settings, look[place]), by="setting")
    ax.tick_params(axis="y", labelsize=6.5)


def _place(world: str, K: int, lam: float, rate: float) -> str:
    text = f"{world}, K = {K}, rate {rate:g}"
    return text + (f", lam = {lam:g}" if world == "recorded" else "")


def memory(differences: pd.DataFrame) -> Figure:
    """What a policy's memory of failures changes in regret, a panel per version of the retries.

    `differences` are those of :func:`cqb.studies.pass_rates.effect_of_memory`.
    """
    ends = {"mean": "regret_difference", "low": "regret_low", "high": "regret_high"}
    rows = differences.assign(**{end: differences[column] for end, column in ends.items()})
    rows["pair"] = rows["policy"] + " less " + rows["against"]
    of = rows.drop_duplicates("pair").set_index("pair")["policy"]
    policies = looks(of)
    look = {pair: policies[policy] for pair, policy in of.items()}

    def make(dataset: str, here: pd.DataFrame) -> Panel:
        return panel(forest, here, look, by="pair", title=dataset, guides=[("x", 0.0, {})])

    caption = f"mean of {rows['seeds'].max()} seeds, bar: 95% interval, paired by seed"
    heading = f"routing regret after {rows['t'].max()} rounds, difference (departures)"
    panels, height = [each(rows, "dataset", make)], 0.5 + 0.24 * len(look)
    return sheet(panels, height, sharey=True, title=heading, caption=caption)


def attempts(rows: pd.DataFrame) -> Figure:
    """How often an attempt succeeds after so many failures, by data set and by who tries again.

    `rows` are those of the studies of repeated attempts (:func:`cqb.studies.attempts.rows`).
    """
    rows = rows.assign(mean=100 * rows["share"], low=100 * rows["low"], high=100 * rows["high"])
    rows["line"] = rows["dataset"] + ", " + rows["who"]
    colours = dict(zip(dict.fromkeys(rows["dataset"]), (BLUE, AMBER), strict=False))
    look = {
        name: Look(colours[name.split(",")[0]], SOLID, "D" if "another" in name else "o")
        for name in dict.fromkeys(rows["line"])
    }
    axis = {"ylim": (0, 100), "xlabel": "failures of the model at this task so far"}
    about = {"by": "line", "error": "bars", "markers": True, "axis": axis}
    draw = panel(lines, rows, "failures", look, **about)
    return sheet(
        [[draw]],
        2.6,
        width=0.6 * WIDTH,
        ylabel="next attempt succeeds (%)",
        key=legend(look, "line, marker", ncols=3),
    )
