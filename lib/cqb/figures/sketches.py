"""The pictures of notebook 00: the problem, and the toy queue as it was played."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from ..simulate import RETRY
from ..toy import MODELS, Play, offer
from .style import FAINT, INK, LOOKS, WIDTH, style

ACCENT = LOOKS["ACQB"].colour
GOOD, BAD = LOOKS["CQB-eps"].colour, LOOKS["Q-ThS"].colour
MODEL_COLOURS = ("#0072B2", "#E69F00", "#CC79A7", "#009E73")
PALE = "#f2f2f2"
Point = tuple[float, float]


def problem() -> Figure:
    """The service: a queue, N models, an assortment of K, and a user who picks or retries."""
    with style():
        figure, ax = plt.subplots(figsize=(WIDTH, 3.5), layout="constrained")
        ax.set(xlim=(0, 100), ylim=(0, 35))
        ax.axis("off")
        _queue(ax)
        _models(ax)
        _user(ax)
        _learner(ax)
    return figure


def _queue(ax: Axes) -> None:
    _note(ax, (5.5, 18), "a query\narrives", size=9)
    _arrow(ax, (9.5, 18), (14, 18))
    _note(ax, (24.5, 25), "queue", size=10.5, weight="bold")
    for place, x in enumerate((15.5, 20, 24.5, 29)):
        served = place == 2
        _box(ax, (x, 15.5), 3.6, 5, face=ACCENT if served else PALE)
        _note(ax, (x + 1.8, 18), "?", size=12, colour="white" if served else INK)
    _note(ax, (26.3, 12.2), "1. whom to serve?", size=9, colour=ACCENT, weight="bold")
    _arrow(ax, (33.6, 18), (40, 18), colour=ACCENT)


def _models(ax: Axes) -> None:
    _note(ax, (48.5, 32.5), "N models", size=10.5, weight="bold")
    for place in range(5):
        offered = place in (1, 3)
        y = 26.2 - 4.6 * place
        _box(ax, (41.5, y), 14, 3.6, face=ACCENT if offered else PALE)
        name = f"model {place + 1}" if place < 4 else "model N"
        _note(ax, (48.5, y + 1.8), name, size=9, colour="white" if offered else INK)
    _note(
        ax, (48.5, 5.4), "2. which K to show?\n(here K = 2)", size=9, colour=ACCENT, weight="bold"
    )
    for y in (23.4, 14.2):
        _arrow(ax, (56, y), (65.5, 19 if y > 18 else 17.5), colour=ACCENT)


def _user(ax: Axes) -> None:
    _box(ax, (66.5, 14.2), 11, 8, face="white")
    _note(ax, (72, 18.2), "the user\nreads K\nanswers", size=9)
    _arrow(ax, (78.2, 19.5), (87, 24), colour=GOOD)
    _note(ax, (93.6, 25), "picks one\nand departs", size=9.5, colour=GOOD, weight="bold")
    _note(ax, (93.6, 15), "likes none\nand retries", size=9.5, colour=BAD, weight="bold")
    _arrow(ax, (78.2, 17), (87, 15), colour=BAD)
    ax.plot([93.6, 93.6, 12, 12], [12, 1.2, 1.2, 14], color=BAD, lw=1.2)
    _arrow(ax, (12, 14), (14.6, 16.4), colour=BAD)
    _note(ax, (30, 2.6), "back to the end of the queue", size=8.5, colour=BAD)


def _learner(ax: Axes) -> None:
    _note(
        ax,
        (84, 32),
        "3. learn: the pick or the retrial\nis all that the service ever hears",
        size=9,
        colour=ACCENT,
        weight="bold",
    )


def _box(ax: Axes, corner: Point, width: float, height: float, face: str) -> None:
    shape = FancyBboxPatch(
        corner,
        width,
        height,
        boxstyle="round,pad=0,rounding_size=0.7",
        facecolor=face,
        edgecolor=FAINT,
        lw=0.8,
    )
    ax.add_patch(shape)


def _arrow(ax: Axes, start: Point, end: Point, colour: str = INK) -> None:
    ax.add_patch(
        FancyArrowPatch(
            start,
            end,
            arrowstyle="-|>",
            mutation_scale=11,
            color=colour,
            lw=1.2,
            shrinkA=0,
            shrinkB=0,
        )
    )


def _note(
    ax: Axes, at: Point, text: str, size: float, colour: str = INK, weight: str = "normal"
) -> None:
    ax.text(*at, text, size=size, color=colour, weight=weight, ha="center", va="center")


def toy_queue(played: Play) -> Figure:
    """A toy run: every query's stay as a line with its serves, and the queue under it.

    A disc is a pick, in the colour of the model picked; a cross is a retrial. Above each stands what was
    offered. The lower panel compares the queue with the oracle's on the same arrivals.
    """
    run = played.trajectory
    queries = run.arrived.size
    with style():
        figure, (stays, lengths) = plt.subplots(
            2,
            1,
            figsize=(WIDTH, 1.9 + 0.42 * queries),
            height_ratios=[queries, 3.2],
            sharex=True,
            layout="constrained",
        )
        _stays(stays, played)
        _lengths(lengths, played)
        figure.suptitle("A toy queue (made-up models and users)", color=INK)
    return figure


def _stays(ax: Axes, played: Play) -> None:
    run = played.trajectory
    for query, (first, last) in enumerate(zip(run.arrived, run.departed, strict=True)):
        ax.plot([first + 0.4, last or played.T + 0.5], [query, query], color="#c9c9c9", lw=3)
    for i in np.flatnonzero(run.query >= 0):
        retries = run.pick[i] == RETRY
        colour = BAD if retries else MODEL_COLOURS[run.pick[i]]
        ax.plot(i + 1, run.query[i], "X" if retries else "o", color=colour, ms=9)
        text = offer(run, i) + ("*" if run.forced[i] else "")
        ax.text(i + 1, run.query[i] - 0.3, text, ha="center", va="bottom", size=7.5, color=INK)
    names = [f"q{number} {kind}" for number, kind in enumerate(played.kinds, start=1)]
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.5, -0.9)
    ax.grid(visible=False, axis="y")
    ax.tick_params(axis="y", length=0)
    marks = [
        Line2D([], [], marker="o", ls="", color=colour, ms=7, label=f"picks {name}")
        for name, colour in zip(MODELS, MODEL_COLOURS, strict=True)
    ]
    marks.append(Line2D([], [], marker="X", ls="", color=BAD, ms=7, label="retries"))
    marks.append(Line2D([], [], color="#c9c9c9", lw=3, label="waits"))
    marks.append(Line2D([], [], ls="", marker="$*$", color=INK, ms=5, label="exploring"))
    ax.legend(handles=marks, loc="lower left", ncols=2, fontsize=8, frameon=True, edgecolor="white")


def _lengths(ax: Axes, played: Play) -> None:
    t = np.append(np.arange(played.T + 1), played.T + 0.5)
    for name, run in (("ACQB", played.trajectory), ("ORACLE", played.oracle)):
        look = LOOKS[name]
        queue = np.append(run.queue, run.queue[-1])
        ax.plot(t, queue, color=look.colour, drawstyle="steps-post", label=name, lw=1.6)
    ax.set(xlabel="round", ylabel="queries\nwaiting", xlim=(0.4, played.T + 0.7))
    ax.set_xticks(range(1, played.T + 1))
    ax.set_yticks(range(int(played.trajectory.queue.max()) + 1))
    ax.legend(loc="upper left", ncols=2, fontsize=8, frameon=False)
