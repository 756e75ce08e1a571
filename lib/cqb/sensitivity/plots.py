"""The figure and the table of one factor of a sensitivity study."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..experiment.summary import intervals
from ..figures import NAMES, title
from ..house_style import FAINT, INK, WIDTH, Look, error_line, style
from .points import FACTORS, Factor

CELL = ["lam", "arrival_rate"]
LOOKS = (Look("#0072B2", "-", "o"), Look("#D55E00", (0, (5, 1.6)), "s"))
MEASURES = ("regret", "gap")


def means(runs: pd.DataFrame, factor: str) -> pd.DataFrame:
    """Mean regret and gap with 95% t-intervals, a row per cell and value of `factor`."""
    rows = runs[runs["factor"] == factor]
    groups = rows.groupby([*CELL, "value"])
    count = groups["seed"].nunique()
    return pd.DataFrame({"seeds": count, **intervals(groups, MEASURES, count)}).reset_index()


def factor(runs: pd.DataFrame, name: str) -> Figure:
    """Final regret and queue-length regret against one setting, a line per service.

    A dotted line marks the paper's value. Where the setting is one of the refinement, pale lines show
    ACQB on raw vectors.
    """
    about, rows = FACTORS[name], means(runs, name)
    with style():
        figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 3.2), layout="constrained")
        for ax, measure in zip(axes, MEASURES, strict=True):
            for (cell, line), look in zip(rows.groupby(CELL), LOOKS, strict=False):
                _line(ax, line, measure, look, _service(cell, name))
                if about.refined:
                    raw = _raw(runs, cell)[f"{measure}_mean"].iloc[0]
                    ax.axhline(raw, color=look.colour, lw=3, alpha=0.25, label="ACQB, raw vectors")
            _axis(ax, about, rows)
            ax.set_ylabel(NAMES[measure])
            ax.set_ylim(bottom=0)
        policy = "ACQB-CL" if about.refined else "ACQB"
        figure.suptitle(title(runs, f"{policy} and its {name}"), color=INK)
        caption = f"{about.label}\nmean of {rows['seeds'].max()} seeds, bar: 95% interval"
        if about.default is not None:
            caption += "; dotted: the paper's value"
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(
            handles,
            labels,
            loc="outside lower center",
            ncols=len(labels),
            frameon=False,
            fontsize=8,
            title=caption,
            title_fontproperties={"size": 8.5},
            alignment="center",
        )
    return figure


def best_table(runs: pd.DataFrame) -> str:
    """For each factor and service: regret at the paper's value, at the best value, and which that is."""
    lines = []
    for name, about in FACTORS.items():
        for cell, rows in means(runs, name).groupby(CELL):
            best = rows.loc[rows["regret_mean"].idxmin()]
            line = {"factor": name, "service": _service(cell, name)}
            if about.default is None:
                continue
            default = rows[np.isclose(rows["value"], about.default)].iloc[0]
            lines.append(
                {
                    **line,
                    "paper's": f"{about.default:g}",
                    "regret": _spread(default),
                    "best": f"{best['value']:g}",
                    "its regret": _spread(best),
                    "difference": paired_difference(runs, name, cell, best["value"]),
                }
            )
    return pd.DataFrame(lines).to_string(index=False)


def paired_difference(
    runs: pd.DataFrame, name: str, cell: tuple[float, float], value: float
) -> str:
    """Regret at `value` less that at the paper's value on the same seeds, with half its interval."""
    rows = runs[(runs["factor"] == name) & (runs["lam"] == cell[0])]
    rows = rows[rows["arrival_rate"] == cell[1]]
    table = rows.pivot(index="seed", columns="value", values="regret")
    default = table.columns[np.argmin(np.abs(table.columns - FACTORS[name].default))]
    if value == default:
        return "-"
    difference = pd.DataFrame({"difference": table[value] - table[default], "all": 0})
    groups = difference.groupby("all")
    found = intervals(groups, ("difference",), groups.size())
    middle, high = found["difference_mean"].iloc[0], found["difference_high"].iloc[0]
    return f"{middle:+.0f} ± {high - middle:.0f}"


def _spread(row: pd.Series) -> str:
    return f"{row['regret_mean']:.0f} ± {row['regret_high'] - row['regret_mean']:.0f}"


def _raw(runs: pd.DataFrame, cell: tuple[float, float]) -> pd.DataFrame:
    """The means of ACQB at the paper's settings, which is the default of any factor of its own."""
    rows = means(runs, "lambda0")
    same = (rows["lam"] == cell[0]) & (rows["arrival_rate"] == cell[1])
    return rows[same & (rows["value"] == FACTORS["lambda0"].default)]


def _service(cell: tuple[float, float], name: str) -> str:
    lam, rate = cell
    return f"lam = {lam:g}" + ("" if name == "load" else f", arrival rate {rate:g}")


def _line(ax: Axes, rows: pd.DataFrame, measure: str, look: Look, label: str) -> None:
    mean = rows[f"{measure}_mean"].to_numpy()
    half = rows[f"{measure}_high"].to_numpy() - mean
    error_line(ax, rows["value"].to_numpy(), mean, half, look, label)


def _axis(ax: Axes, about: Factor, rows: pd.DataFrame) -> None:
    if about.default is not None:
        ax.axvline(about.default, color=FAINT, ls=":", lw=1.2, zorder=1)
    if about.log:
        ax.set_xscale("log")
    values = sorted(set(rows["value"]))
    ax.set_xticks(values, [f"{value:.3g}" for value in values])
    ax.minorticks_off()
