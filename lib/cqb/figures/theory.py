"""The figures of notebook 01, from the tables of the checks."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .kinds import against, grid, legend, lines, log_axis, ticks
from .style import BLUE, DOTTED, FAINT, GREEN, INK, ORANGE, PINK, SOLID, WIDTH, Look, looks, style

SHADES = (BLUE, GREEN, PINK, ORANGE)


@style()
def queues(law: pd.DataFrame, orders: pd.DataFrame) -> Figure:
    """E3 and E4: simulated shares with intervals against closed forms, and the orders' queues."""

    def panel(ax: Axes, heading: str) -> None:
        if heading.startswith("E3"):
            against(ax, law.iloc[:3])
            ax.set_xlabel("share of rounds (upright mark: closed form)")
        elif heading.startswith("E4: P"):
            against(ax, orders)
            ax.set(xlim=(0.0, 2.0 * orders["predicted"].iloc[0]), xlabel="share of rounds")
        else:
            sns.barplot(orders, x="mean queue", y="quantity", color=BLUE, width=0.6, ax=ax)
            ax.set(xlabel="", ylabel="")

    headings = ["E3: one departure rate", "E4: P(Q = 0), six orders of service"]
    return grid([[*headings, "E4: mean queue (queries)"]], panel, 2.5)[0]


@style()
def memory(table: pd.DataFrame) -> Figure:
    """E10: mean serves per query under three rules, simulated against the recursions."""

    def panel(ax: Axes, N: int) -> None:
        against(ax, table[table["N"] == N].rename(columns={"rule": "quantity"}))
        ax.set(xlim=(0.0, None), xlabel="serves per query (upright mark: recursion)")

    sizes = sorted(set(table["N"]))
    return grid([sizes], panel, 2.3, title=lambda N: f"N = {N} models")[0]


@style()
def divergence(table: pd.DataFrame) -> Figure:
    """E7 and R7: psi against its bound, and the two factors of the bound, by round."""
    panels = {
        "E7: what a round's decision adds to the queue at T": {
            "psi": ("E[psi(t, T)] with its 95% interval", Look(BLUE)),
            "m delta": ("bound m delta", Look(ORANGE)),
        },
        "R7: the two factors": {
            "m": ("m, departure-rate gap", Look(GREEN)),
            "delta": ("delta, survival of a divergence", Look(INK)),
        },
    }

    def panel(ax: Axes, heading: str) -> None:
        _columns(ax, table, "t", panels[heading])
        if "psi" in panels[heading]:
            about = {"color": BLUE, "alpha": 0.2, "lw": 0}
            ax.fill_between(table["t"], table["low"], table["high"], **about)
        ax.set_xlabel("round t")

    return grid([list(panels)], panel, 2.5)[0]


def _columns(ax: Axes, table: pd.DataFrame, x: str, told: Mapping[str, tuple[str, Look]]) -> None:
    """A line for each column of `told`, which gives its label and look."""
    rows = (
        table.set_index(x)[list(told)]
        .stack()
        .rename("mean")
        .rename_axis([x, "column"])
        .reset_index()
    )
    look = {column: one for column, (_, one) in told.items()}
    lines(ax, rows, x, look, by="column", error=None)
    legend(ax, dict(told.values()))


@style()
def rates(frame: pd.DataFrame) -> Figure:
    """R1 to R4: mean regret and queue-length regret against the horizon, on log-log axes.

    `frame` has `policy`, `seed` (of the instance), `T`, `regret` and `gap`; bars are standard errors.
    """
    panels = {
        "cumulative routing regret (departures)": ("regret", 0.5, "slope 1/2"),
        "queue-length regret at T (queries)": ("gap", -0.25, "slope -1/4"),
    }
    look = looks(frame["policy"])

    def panel(ax: Axes, heading: str) -> None:
        value, exponent, name = panels[heading]
        groups = frame.groupby(["policy", "T"])[value]
        rows = pd.DataFrame({"mean": groups.mean(), "error": groups.sem()}).reset_index()
        rows = rows[rows["mean"] > 0.0]
        low = rows["mean"] - rows["error"].clip(upper=0.9 * rows["mean"])
        rows = rows.assign(low=low, high=rows["mean"] + rows["error"])
        lines(ax, rows, "T", look, error="bars", markers=True)
        T = np.array([frame["T"].min(), frame["T"].max()], float)
        top = rows.loc[rows["T"] == T[0], "mean"].max()
        ax.plot(T, 1.2 * top * (T / T[0]) ** exponent, color=FAINT, lw=0.9, ls=":")
        ticks(ax, frame["T"], "{:,}", log=True)
        log_axis(ax, "y")
        ax.set_xlabel("horizon T (rounds)")
        guide = {name: Look(FAINT, DOTTED, "")}
        legend(ax, {**look, **guide} if value == "regret" else guide, "line, marker")

    return grid([list(panels)], panel, 3.0)[0]


@style()
def overload(table: pd.DataFrame) -> Figure:
    """R6: predicted and simulated growth of the queue."""
    names = table["world"] + ", " + table["order"] + ", rho " + table["rho"].round(2).astype(str)
    rows = table.assign(quantity=names)
    heading = "R6: growth of the queue (queries per round)"
    return grid([[heading]], lambda ax, _: against(ax, rows), 2.5)[0]


@style()
def information(eigenvalues: pd.DataFrame, distances: pd.DataFrame) -> Figure:
    """R8 and R9: eigenvalues against their bound, and distances within the radius."""
    told = {
        "bound": ("lambda0 + sigma0^2 n / 2", Look(ORANGE)),
        "mean": ("mean growth", Look(FAINT, DOTTED)),
    }

    def panel(ax: Axes, heading: str) -> None:
        if heading.startswith("R8"):
            _columns(ax, eigenvalues, "n", told)
            about = {"color": BLUE, "s": 14, "linewidth": 0, "label": "simulated", "ax": ax}
            sns.scatterplot(eigenvalues, x="n", y="smallest eigenvalue", **about)
            ax.set(xlabel="exploration samples n_j", ylabel="")
            return
        about = {"bins": np.linspace(0, 1.1, 23), "color": BLUE, "alpha": 1, "ax": ax}
        sns.histplot(distances, x="largest ratio", **about)
        ax.axvline(1.0, color=ORANGE)
        ax.set_xlabel("largest distance in a run / theoretical radius (line: the radius)")
        ax.set_ylabel("runs")

    headings = ["R8: smallest eigenvalue of V_j", "R9: coverage"]
    return grid([headings], panel, 2.5)[0]


@style()
def plateau(curves: pd.DataFrame, table: pd.DataFrame) -> Figure:
    """R10: mean queue of CQB-eps by round for each slackness, and of the oracle."""
    headings = {
        False: "R10: stable preset (dotted: oracle; upright: tau)",
        True: "the preset as published, lambda = .7",
    }
    shades = dict(zip(dict.fromkeys(curves["epsilon"]), SHADES, strict=False))
    rows = curves.melt(["epsilon", "t"], ["learner", "oracle"], value_name="mean")

    def panel(ax: Axes, published: bool) -> None:
        here = {name: one for name, one in shades.items() if (name == "published") is published}
        for who, dash in (("learner", SOLID), ("oracle", DOTTED)):
            look = {name: Look(colour, dash) for name, colour in here.items()}
            part = rows[(rows["variable"] == who) & rows["epsilon"].isin(here)]
            lines(
                ax, part, "t", look, by="epsilon", error=None, lw=1.3 if who == "learner" else 0.9
            )
        for name, colour in here.items():
            tau = int(table.loc[table["epsilon"] == name, "tau"].iloc[0])
            ax.axvline(tau, color=colour, lw=0.6, alpha=0.6)
        told = {
            "CQB-eps" if published else f"epsilon = {name}": Look(c) for name, c in here.items()
        }
        legend(ax, told)
        ax.set_xlabel("round t")

    figure, axes = grid([[False, True]], panel, 2.8, title=headings.get)
    axes[0, 0].set_ylabel("mean queue (queries)")
    return figure


@style()
def radius(table: pd.DataFrame) -> Figure:
    """R11: final regret against the factor on the theoretical radius."""

    def panel(ax: Axes, _: str) -> None:
        sns.lineplot(table, x="alpha_coef", y="regret", marker="o", color=BLUE, ax=ax)
        label = "alpha_coef (1: the theoretical radius)"
        ax.set(xscale="log", xlabel=label, ylabel="", ylim=(0.0, None))

    heading = "R11: ACQB's cumulative routing regret (departures)"
    return grid([[heading]], panel, 2.5, width=0.6 * WIDTH)[0]
