"""The figures of notebook 09: the comparison, robustness, loads, tuning, and repeated attempts."""

from collections.abc import Sequence

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..metrics import REFERENCE
from ..stats import final
from .kinds import around, estimates, forest, lines, over_seeds
from .sheets import Panel, each, legend, panel, sheet
from .style import AMBER, BLUE, INK, SOLID, WIDTH, Look, looks

PLACE = ["world", "K", "lam", "arrival_rate"]
SHORT = {"alpha_coef": "alpha", "exploration_rate": "expl."}


def standings(table: pd.DataFrame) -> Figure:
    """Our regret less that of the best simple rule of its class: a panel per class, a line per setting.

    `table` is that of :func:`cqb.studies.beyond.verdict.standings`.
    """
    parts = zip(table["dataset"], table["regime"], table["K"], strict=True)
    rows = table.assign(
        mean=table["difference"], setting=[f"{d}, {r}, K = {K}" for d, r, K in parts]
    )
    rows["class"] = rows["ours"] + ": " + rows["knowledge"]
    look = dict.fromkeys(rows["setting"].unique(), Look(BLUE))
    heading = "final routing regret less that of the best simple rule with the same knowledge"
    caption = "mean of seeds, bar: 95% interval, paired by seed; left of 0: ours is better"
    return _forests(rows, "class", look, 0.0, 0.6, by="setting", title=heading, caption=caption)


def _forests(
    rows: pd.DataFrame,
    column: str,
    look: dict[str, Look],
    zero: float,
    base: float = 0.5,
    by: str = "policy",
    **about: str,
) -> Figure:
    """A panel of intervals for each value of a column, with a line where nothing differs."""

    def make(value: str, here: pd.DataFrame) -> Panel:
        return panel(forest, here, look, by=by, title=value, guides=[("x", zero, {})])

    return sheet([each(rows, column, make)], base + 0.24 * len(look), sharey=True, **about)


def robust(tidy: pd.DataFrame, base: str) -> Figure:
    """Final regret as a share of that of the policy `base` on the same seed: a panel per data set."""
    last = final(tidy[tidy["policy"] != REFERENCE])
    own = last[last["policy"] == base].set_index(["dataset", "seed"])["regret"]
    same = pd.MultiIndex.from_frame(last[["dataset", "seed"]])
    last = last.assign(share=last["regret"] / own.reindex(same).to_numpy())
    rows, look = over_seeds(last, ["dataset", "policy"], "share"), looks(last["policy"])
    heading = f"final routing regret as a share of {base}'s"
    caption = "mean of seeds, bar: 95% interval, paired by seed; right of 1: worse"
    return _forests(rows, "dataset", look, 1.0, title=heading, caption=caption)


def stability(table: pd.DataFrame, marks: Sequence[float], name: str) -> Figure:
    """The largest rate each policy sustains, with a 95% interval; a cross is the closed form, the
    mean over the seeds' pools."""
    rows = over_seeds(table, "policy", "rate")
    rows["closed"] = rows["policy"].map(table.groupby("policy")["closed"].mean())
    guides = [("x", mark, {"ls": ":"}) for mark in marks]
    axis = {"xlabel": "arrival rate (queries per round); dotted: rates of the experiments"}
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
    rows["setting"] = rows["setting"].replace(SHORT, regex=True)
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
    rows = estimates(differences, "regret")
    rows["pair"] = rows["policy"] + " less " + rows["against"]
    policies = looks(rows["policy"])
    look = {pair: policies[name] for pair, name in zip(rows["pair"], rows["policy"], strict=True)}
    caption = f"mean of {rows['seeds'].max()} seeds, bar: 95% interval, paired by seed"
    heading = f"routing regret after {rows['t'].max()} rounds, difference (departures)"
    return _forests(rows, "dataset", look, 0.0, by="pair", title=heading, caption=caption)


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
    draw, key = panel(lines, rows, "failures", look, **about), legend(look, "line, marker", ncols=3)
    return sheet([[draw]], 2.6, width=0.6 * WIDTH, ylabel="next attempt succeeds (%)", key=key)
