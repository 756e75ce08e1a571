"""Figures of an experiment: curves over the rounds, paired differences, repeats and long waits.

Every function takes tables of an experiment and returns a matplotlib figure; :func:`cqb.figures.save`
writes it. Titles name the data set and say if it was generated. The oracle is not drawn: its regret
and its gap are 0 by definition.
"""

from collections.abc import Callable
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..metrics import CELL, REFERENCE
from ..runs import Cell
from ..stats import final
from ..tables import select, spreads
from .kinds import estimates, forest, from_zero, label_ends, lines, over_seeds
from .sheets import Panel, legend, panel, sheet
from .style import looks

BASE = "ACQB"
KEYS = [*CELL, "policy"]
NAMES = {"regret": "cumulative routing regret (departures)", "gap": "queue-length regret (queries)"}
DECIMALS = {"regret": 0, "gap": 1}
SHARES = {
    "repeat_share": "serves of a retrying query that offer\na model which failed it before (%)",
    "wait_over_100": "queries that wait more\nthan 100 rounds (%)",
}
SHADES = (0.35, 0.65, 1.0)  # opacity of the first, second, third cell of a K
WIDE = 10.0  # queries: larger differences of queues are drawn on a logarithmic axis, 0 included


def title(table: pd.DataFrame, text: str) -> str:
    """`text` under the name of the data set, which says where the data was generated."""
    names = table[["dataset", "stand_in"]].drop_duplicates()
    if len(names) != 1:
        raise ValueError(f"expected results of one data set, found {sorted(set(names['dataset']))}")
    name, stand_in = names.iloc[0]
    return f"{name}{' (generated data)' if stand_in else ''}: {text}"


def by_cell(
    table: pd.DataFrame, make: Callable[[Cell, pd.DataFrame], Panel], line: str = "K"
) -> list[list[Panel]]:
    """A panel for each cell of a table, from the cell and its rows, and a row for each value of `line`.

    Cells are in order of K, arrival rate and lam.
    """
    panels: dict[float, list[Panel]] = {}
    for (K, rate, lam), rows in table.groupby(["K", "arrival_rate", "lam"]):
        panels.setdefault(rows[line].iloc[0], []).append(make(Cell(K, lam, rate), rows))
    return list(panels.values())


def heights(rows: pd.DataFrame, base: float, each: float) -> list[float]:
    """Heights of rows of panels, one for each K, with room for its policies."""
    return [base + each * count for count in rows.groupby("K")["policy"].nunique()]


def curves(summary: pd.DataFrame, *, K: int, value: str) -> Figure:
    """Mean regret or gap against the round with its 95% band: a row of panels for each arrival rate,
    in it a panel for each lam.

    Parameters
    ----------
    summary : mean and interval per cell, policy and round (:func:`cqb.stats.summarise`).
    K : the assortment size to draw. value : "regret" or "gap".

    Raises
    ------
    ValueError
        There are no results for this K.
    """
    rows = select(summary[summary["policy"] != REFERENCE], K=K)
    if rows.empty:
        known = sorted(set(summary["K"]))
        raise ValueError(f"K: found no results for {K}, expected one of {known}")
    rows = from_zero(estimates(rows, value), KEYS)
    limits: dict[str, Any] = {}
    if value == "regret":
        limits["ylim"] = (0, None)
    elif rows[["low", "high"]].abs().max().max() > WIDE:
        limits["yscale"] = "symlog"
    limits["xlim"] = (0, rows["t"].max())

    def make(cell: Cell, here: pd.DataFrame) -> Panel:
        ends = label_ends(here, "t", DECIMALS[value])
        return panel(lines, here, "t", title=str(cell), axis=limits, after=ends)

    return sheet(
        by_cell(rows, make, "arrival_rate"),
        3.0,
        ylabel=NAMES[value],
        title=title(rows, NAMES[value].partition(" (")[0]),
        caption=f"round t; mean of {rows['seeds'].max()} seeds, band: 95% interval",
    )


def differences(summary: pd.DataFrame, paired: pd.DataFrame, *, value: str) -> Figure:
    """Final values less ACQB's on the same seeds, as dots with 95% intervals; means in print.

    Rows of panels are K, columns the settings of a K. A policy left of the line beats ACQB.

    Parameters
    ----------
    summary, paired : of :func:`cqb.stats.summarise` and :func:`cqb.stats.paired`.
    value : "regret" or "gap".
    """
    last = final(summary[summary["policy"] != REFERENCE])
    last = last.assign(note=spreads(last[f"{value}_mean"], last[f"{value}_high"], DECIMALS[value]))
    dots = estimates(last[[*KEYS, "note"]].merge(paired, how="left", on=KEYS), value)
    dots.loc[dots["policy"] == BASE, "mean"] = 0.0

    def make(cell: Cell, here: pd.DataFrame) -> Panel:
        return panel(forest, here, title=str(cell), guides=[("x", 0.0, {})])

    name = NAMES[value].partition(" (")[0]
    return sheet(
        by_cell(dots, make),
        heights(last, 0.5, 0.21),
        sharey="row",
        title=title(last, f"final {name}, difference to {BASE}"),
        caption=f"{NAMES[value]} after {last['t'].max()} rounds, less that of {BASE} on the same seed"
        f"\nmean of {last['seeds'].max()} seeds, bar: 95% interval; left of the line is better than "
        f"{BASE}; at the right: mean and half of its interval",
    )


def waiting(tidy: pd.DataFrame) -> Figure:
    """What regret does not show: the same failing offer repeated, and long waits.

    Rows of panels are K. Each policy has a dot per setting, the mean over seeds with a 95% interval.

    Parameters
    ----------
    tidy : a row per run and round (:data:`cqb.metrics.COLUMNS`).
    """
    last = final(tidy)

    def make(K: int, here: pd.DataFrame, share: str) -> Panel:
        rates = ", ".join(f"{rate:g}" for rate in sorted(set(here["arrival_rate"])))
        axis = {"xlabel": SHARES[share]} if last["K"].max() == K else {}
        return panel(_shares, here, share, title=f"K = {K}, arrival rate {rates}", axis=axis)

    lams = ", ".join(f"{lam:g}" for lam in sorted(set(last["lam"])))
    return sheet(
        [[make(K, here, share) for share in SHARES] for K, here in last.groupby("K")],
        heights(last, 0.5, 0.3),
        sharex="col",
        title=title(last, "repeated failures and long waits"),
        caption=f"after {last['t'].max()} rounds; dot: mean of {last['seed'].nunique()} seeds, bar: "
        f"95% interval; within a policy, from light to dark: lam = {lams}",
    )


def _shares(ax: Axes, rows: pd.DataFrame, share: str) -> None:
    """One share for one K: a row per policy, in it a dot per cell, the later ones darker."""
    cells = list(rows.groupby(["arrival_rate", "lam"]))
    for number, (_, here) in enumerate(cells):
        dots = over_seeds(here, "policy", share, 100.0)
        dots[["low", "high"]] = dots[["low", "high"]].clip(0.0, 100.0)
        shift = 0.24 * (number - (len(cells) - 1) / 2)
        alpha = SHADES[min(number, len(SHADES) - 1)]
        forest(ax, dots, looks(rows["policy"]), shift=shift, alpha=alpha)


def bursts(rows: pd.DataFrame) -> Figure:
    """Queues over the rounds and waiting times, a column for each kind of arrivals.

    `rows` are those of the study `bursts` (:func:`cqb.studies.bursts.rows`).
    """
    queues = over_seeds(rows[rows["t"].notna()], ["arrivals", "policy", "t"], "queue")
    waits = rows[rows["t"].isna()]
    waits = over_seeds(waits, ["arrivals", "policy", "place"], "share", 100.0)
    look, kinds = looks(rows["policy"]), list(dict.fromkeys(rows["arrivals"]))

    def line(table: pd.DataFrame, x: str, low: float, **about: Any) -> list[Panel]:
        axis = {"xlim": (low, table[x].max()), "ylim": (0, 1.1 * table["high"].max())}
        return [
            panel(lines, select(table, arrivals=kind), x, look, axis=axis, title=kind, **about)
            for kind in kinds
        ]

    return sheet(
        [line(queues, "t", 0), line(waits, "place", 1, log="x")],
        2.2,
        extra=1.1,
        sharey="row",
        ylabel=["queue (queries)", "still waiting (%)"],
        title=title(rows, "the same load, evenly or in bursts"),
        key=legend(look, ncols=9, title="above: round; below: rounds since arrival; mean and 95%"),
    )
