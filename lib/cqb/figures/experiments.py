"""Figures of an experiment: curves over the rounds, paired differences, repeats and long waits.

Every function takes tables of an experiment and returns a matplotlib figure; :func:`cqb.figures.save`
writes it. Titles name the data set and say if it was generated. The oracle is not drawn: its regret
and its gap are 0 by definition.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..metrics import CELL, REFERENCE
from ..runs import Cell
from ..stats import final
from ..tables import select, spreads
from .kinds import estimates, forest, from_zero, grid, label_ends, lines, over_seeds, words
from .style import looks, style

BASE = "ACQB"
KEYS = [*CELL, "policy"]
NAMES = {"regret": "cumulative routing regret (departures)", "gap": "queue-length regret (queries)"}
DECIMALS = {"regret": 0, "gap": 1}
SHARES = {
    "repeat_share": "serves of a retrying query that offer\na model which failed it before (%)",
    "wait_over_100": "queries that wait more\nthan 100 rounds (%)",
}
SHADES = (0.35, 0.65, 1.0)  # opacity of the first, second, third cell of a K


def title(table: pd.DataFrame, text: str) -> str:
    """`text` under the name of the data set, which says where the data was generated."""
    names = table[["dataset", "stand_in"]].drop_duplicates()
    if len(names) != 1:
        raise ValueError(f"expected results of one data set, found {sorted(set(names['dataset']))}")
    name, stand_in = names.iloc[0]
    return f"{name}{' (generated data)' if stand_in else ''}: {text}"


def cells(table: pd.DataFrame, by: str = "K") -> list[list[Cell]]:
    """The cells of a table in order of K, arrival rate and lam, a list for each value of `by`."""
    found = table[["K", "arrival_rate", "lam"]].drop_duplicates()
    found = found.sort_values(["K", "arrival_rate", "lam"])
    return [
        [Cell(K, lam, rate) for K, rate, lam in rows.itertuples(index=False)]
        for _, rows in found.groupby(by)
    ]


def within(table: pd.DataFrame, cell: Cell) -> pd.DataFrame:
    """The rows of one cell."""
    return select(table, **asdict(cell))


@style()
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
        raise ValueError(
            f"K: found no results for {K}, expected one of {sorted(set(summary['K']))}"
        )
    rows = from_zero(estimates(rows, value), KEYS)

    def panel(ax: Axes, cell: Cell) -> None:
        lines(ax, within(rows, cell), "t")
        ax.set_xlim(0, rows["t"].max())
        if value == "regret":
            ax.set_ylim(bottom=0.0)

    by_rate = cells(rows, "arrival_rate")
    figure, axes = grid(by_rate, panel, 3.0)
    for ax in axes[:, 0]:
        ax.set_ylabel(NAMES[value])
    words(
        figure,
        title(rows, NAMES[value].partition(" (")[0]),
        f"round t; mean of {rows['seeds'].max()} seeds, band: 95% interval",
    )
    name_lines(figure, axes, by_rate, rows, DECIMALS[value])
    return figure


def name_lines(
    figure: Figure, axes: np.ndarray, keys: list[list[Cell]], rows: pd.DataFrame, digits: int
) -> None:
    """Policies and their final values, at the ends of their lines, in every panel."""
    figure.draw_without_rendering()  # gives the panels the size that labels are placed by
    last = final(rows)
    for line, here in zip(axes, keys, strict=True):
        for ax, cell in zip(line, here, strict=False):
            ends = within(last, cell).set_index("policy")["mean"].to_dict()
            label_ends(ax, ends, {name: f"{name} {end:.{digits}f}" for name, end in ends.items()})


@style()
def differences(summary: pd.DataFrame, paired: pd.DataFrame, *, value: str) -> Figure:
    """Final values less ACQB's on the same seeds, as dots with 95% intervals; means in print.

    Rows of panels are K, columns the settings of a K. A policy left of the line beats ACQB.

    Parameters
    ----------
    summary, paired : of :func:`cqb.stats.summarise` and :func:`cqb.stats.paired`.
    value : "regret" or "gap".
    """
    last = estimates(final(summary[summary["policy"] != REFERENCE]), value)
    paired = paired.rename(columns={f"{value}_difference": f"{value}_mean"})
    dots = estimates(last[[*KEYS]].merge(paired, how="left", on=KEYS), value)
    dots.loc[dots["policy"] == BASE, "mean"] = 0.0

    def panel(ax: Axes, cell: Cell) -> None:
        here = within(last, cell).set_index("policy")
        notes = spreads(here["mean"], here["high"], DECIMALS[value])
        notes = dict(zip(here.index, notes, strict=True))
        forest(ax, within(dots, cell), line=0.0, notes=notes)
        if ax.get_subplotspec().colspan.start:
            ax.tick_params(labelleft=False)

    figure, _ = grid(cells(last), panel, heights(last, 0.5, 0.21), extra=1.0)
    name = NAMES[value].partition(" (")[0]
    words(
        figure,
        title(last, f"final {name}, difference to {BASE}"),
        f"{NAMES[value]} after {last['t'].max()} rounds, less that of {BASE} on the same seed\n"
        f"mean of {last['seeds'].max()} seeds, bar: 95% interval; left of the line is better than "
        f"{BASE}; at the right: mean and half of its interval",
    )
    return figure


def heights(rows: pd.DataFrame, base: float, each: float) -> list[float]:
    """Heights of rows of panels, one for each K, with room for its policies."""
    return [base + each * count for count in rows.groupby("K")["policy"].nunique()]


@style()
def waiting(tidy: pd.DataFrame) -> Figure:
    """What regret does not show: the same failing offer repeated, and long waits.

    Rows of panels are K. Each policy has a dot per setting, the mean over seeds with a 95% interval.

    Parameters
    ----------
    tidy : a row per run and round (:data:`cqb.metrics.COLUMNS`).
    """
    last = final(tidy)

    def panel(ax: Axes, key: tuple[Sequence[Cell], str]) -> None:
        here, share = key
        look = looks(select(last, K=here[0].K)["policy"])
        for number, cell in enumerate(here):
            rows = over_seeds(within(last, cell), "policy", share, 100.0)
            rows[["low", "high"]] = rows[["low", "high"]].clip(0.0, 100.0)
            shift = 0.24 * (number - (len(here) - 1) / 2)
            forest(ax, rows, look, shift=shift, alpha=SHADES[min(number, len(SHADES) - 1)])

    def heading(key: tuple[Sequence[Cell], str]) -> str:
        rates = ", ".join(f"{rate:g}" for rate in sorted({cell.arrival_rate for cell in key[0]}))
        return f"K = {key[0][0].K}, arrival rate {rates}"

    keys = [[(here, share) for share in SHARES] for here in cells(last)]
    figure, axes = grid(keys, panel, heights(last, 0.5, 0.3), title=heading, sharex="col")
    for ax, text in zip(axes[-1], SHARES.values(), strict=True):
        ax.set_xlabel(text)
    lams = ", ".join(f"{lam:g}" for lam in sorted(set(last["lam"])))
    words(
        figure,
        title(last, "repeated failures and long waits"),
        f"after {last['t'].max()} rounds; dot: mean of {last['seed'].nunique()} seeds, bar: 95% "
        f"interval; within a policy, from light to dark: lam = {lams}",
    )
    return figure
