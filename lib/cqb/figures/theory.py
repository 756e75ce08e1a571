"""The figures of notebook 01, from the tables of the checks."""

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .kinds import against, around, columns, lines
from .sheets import Panel, each, legend, panel, sheet
from .style import BLUE, DOTTED, FAINT, GREEN, INK, ORANGE, PINK, SOLID, WIDTH, Look, looks

SHADES = (BLUE, GREEN, PINK, ORANGE)


def queues(law: pd.DataFrame, orders: pd.DataFrame) -> Figure:
    """E3 and E4: simulated shares with intervals against closed forms, and the orders' queues."""
    first = {"xlabel": "share of rounds (upright mark: closed form)"}
    second = {"xlim": (0.0, 2.0 * orders["predicted"].iloc[0]), "xlabel": "share of rounds"}
    lengths = {"x": "mean queue", "y": "quantity", "color": BLUE, "width": 0.6, "saturation": 1}
    panels = [
        panel(against, law.iloc[:3], title="E3: one departure rate", axis=first),
        panel(against, orders, title="E4: P(Q = 0), six orders of service", axis=second),
        panel(lambda ax: sns.barplot(orders, ax=ax, **lengths), title="E4: mean queue (queries)"),
    ]
    return sheet([panels], 2.5)


def memory(table: pd.DataFrame) -> Figure:
    """E10: mean serves per query under three rules, simulated against the recursions."""
    axis = {"xlim": (0.0, None), "xlabel": "serves per query (upright mark: recursion)"}

    def make(N: int, rows: pd.DataFrame) -> Panel:
        return panel(against, rows, title=f"N = {N} models", axis=axis)

    return sheet([each(table.rename(columns={"rule": "quantity"}), "N", make)], 2.3)


def divergence(table: pd.DataFrame) -> Figure:
    """E7 and R7: psi against its bound, and the two factors of the bound, by round."""
    psi = {
        "psi": ("E[psi(t, T)] with its 95% interval", Look(BLUE, SOLID, "")),
        "m delta": ("bound m delta", Look(ORANGE, SOLID, "")),
    }
    factors = {
        "m": ("m, departure-rate gap", Look(GREEN, SOLID, "")),
        "delta": ("delta, survival of a divergence", Look(INK, SOLID, "")),
    }
    shared, factor = {"xlabel": "round t"}, {"ylabel": "root mean square"}
    first = "E7: what a round's decision adds to the queue at T"
    panels = [
        panel(_with_band, table, psi, title=first, axis=shared | {"ylabel": "queries"}),
        panel(columns, table, "t", factors, title="R7: the two factors", axis=shared | factor),
    ]
    return sheet([panels], 2.5)


def _with_band(ax: Axes, table: pd.DataFrame, named: dict[str, tuple[str, Look]]) -> None:
    ax.fill_between(table["t"], table["low"], table["high"], color=BLUE, alpha=0.2, lw=0)
    columns(ax, table, "t", named)


def rates(frame: pd.DataFrame) -> Figure:
    """R1 to R4: mean regret and queue-length regret against the horizon, on log-log axes.

    `frame` has `policy`, `seed` (of the instance), `T`, `regret` and `gap`; bars are standard errors.
    """
    look, guide = looks(frame["policy"]), Look(FAINT, DOTTED, "")
    panels = (
        ("regret", "cumulative routing regret (departures)", 0.5, look | {"slope 1/2": guide}),
        ("gap", "queue-length regret at T (queries)", -0.25, {"slope -1/4": guide}),
    )

    def make(value: str, heading: str, exponent: float, named: dict[str, Look]) -> Panel:
        rows = around(frame.groupby(["policy", "T"])[value]).query("mean > 0")
        # Intervals are cut off for the logarithmic axis.
        rows = rows.assign(low=rows["low"].clip(lower=0.1 * rows["mean"]))
        about = {"log": "xy", "ticks": frame["T"], "axis": {"xlabel": "horizon T (rounds)"}}
        key = legend(named, "line, marker")
        return panel(_rates, rows, look, exponent, title=heading, key=key, **about)

    return sheet([[make(*one) for one in panels]], 3.0)


def _rates(ax: Axes, rows: pd.DataFrame, look: dict[str, Look], exponent: float) -> None:
    """Lines of all policies, and above them one of the predicted slope."""
    lines(ax, rows, "T", look, error="bars", markers=True)
    T = np.array([rows["T"].min(), rows["T"].max()], float)
    top = 1.2 * rows.loc[rows["T"] == T[0], "mean"].max()
    ax.plot(T, top * (T / T[0]) ** exponent, color=FAINT, lw=0.9, ls=":")


def overload(table: pd.DataFrame) -> Figure:
    """R6: predicted and simulated growth of the queue."""
    names = table["world"] + ", " + table["order"] + ", rho " + table["rho"].round(2).astype(str)
    axis = {"xlabel": "queries per round (upright mark: predicted)"}
    rows = table.assign(quantity=names)
    return sheet([[panel(against, rows, title="R6: growth of the queue", axis=axis)]], 2.5)


def information(eigenvalues: pd.DataFrame, distances: pd.DataFrame) -> Figure:
    """R8 and R9: eigenvalues against their bound, and distances within the radius."""
    named = {
        "smallest eigenvalue": ("simulated", Look(BLUE, None, "o")),
        "bound": ("half the mean growth: the bound", Look(ORANGE, SOLID, "")),
        "mean": ("mean growth, one variance a sample", Look(FAINT, DOTTED, "")),
    }
    first = {"xlabel": "exploration samples of a model", "ylabel": "smallest eigenvalue"}
    radius = "largest distance in a run / theoretical radius (line: the radius)"
    second = {"xlabel": radius, "ylabel": "runs"}
    guides = [("x", 1.0, {"color": ORANGE, "lw": 1.3})]
    about = {"bins": np.linspace(0, 1.1, 23), "color": BLUE}
    ratios, heading = distances["largest ratio"], "R8: what exploration tells about a model"
    panels = [
        panel(columns, eigenvalues, "n", named, title=heading, axis=first),
        panel(Axes.hist, ratios, title="R9: coverage", axis=second, guides=guides, **about),
    ]
    return sheet([panels], 2.5)


def plateau(curves: pd.DataFrame, table: pd.DataFrame) -> Figure:
    """R10: mean queue of CQB-eps by round for each slackness, and of the oracle."""
    shades = dict(zip(dict.fromkeys(curves["epsilon"]), SHADES, strict=False))
    tau = table.drop_duplicates("epsilon").set_index("epsilon")["tau"]
    titles = dict.fromkeys(shades, "") | {"published": "as published, lambda = .7"}
    titles[curves["epsilon"].iloc[0]] = "R10 (dotted: oracle; upright: tau)"

    def make(name: str, rows: pd.DataFrame) -> Panel:
        text, colour = "CQB-eps" if name == "published" else f"epsilon = {name}", shades[name]
        about = {"title": titles[name], "key": legend({text: Look(colour)})}
        guides = [("x", tau[name], {"color": colour, "lw": 0.6, "alpha": 0.6})]
        return panel(_queues, rows, shades, guides=guides, axis={"xlabel": "round t"}, **about)

    return sheet([each(curves, "epsilon", make)], 2.8, ylabel="mean queue (queries)")


def _queues(ax: Axes, rows: pd.DataFrame, shades: dict[str, str]) -> None:
    for column, dash, width in (("learner", SOLID, 1.3), ("oracle", DOTTED, 0.9)):
        look = {name: Look(colour, dash) for name, colour in shades.items()}
        part = rows.assign(mean=rows[column])
        lines(ax, part, "t", look, by="epsilon", error=None, lw=width)


def radius(table: pd.DataFrame) -> Figure:
    """R11: final regret against the factor on the theoretical radius."""
    named = {"regret": ("ACQB", Look(BLUE))}
    axis = {"xlabel": "alpha_coef (1: the theoretical radius)", "xscale": "log", "ylim": (0, None)}
    heading = "R11: ACQB's cumulative routing regret (departures)"
    one = panel(columns, table, "alpha_coef", named, title=heading, axis=axis)
    return sheet([[one]], 2.5, width=0.6 * WIDTH)
