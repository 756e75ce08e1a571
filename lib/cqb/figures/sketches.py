"""The pictures of notebook 00: the problem, and the toy queue as it was played."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from ..simulate import RETRY
from ..toy import MODELS, Play, offer
from .kinds import names_down
from .sheets import legend
from .style import FAINT, INK, LOOKS, SOLID, WIDTH, Look, style

ACCENT = LOOKS["ACQB"].colour
GOOD, BAD = LOOKS["CQB-eps"].colour, LOOKS["Q-ThS"].colour
MODEL_COLOURS = ("#0072B2", "#E69F00", "#CC79A7", "#009E73")
PALE = "#f2f2f2"
Pair = tuple[float, float]
LEARNING = "3. learn: the pick or the retrial\nis all that the service ever hears"


# Where, what, size, colour and weight.
NOTES = (
    ((5.5, 18), "a query\narrives", 9, INK, "normal"),
    ((24.5, 25), "queue", 10.5, INK, "bold"),
    ((26.3, 12.2), "1. whom to serve?", 9, ACCENT, "bold"),
    ((48.5, 32.5), "N models", 10.5, INK, "bold"),
    ((48.5, 5.4), "2. which K to show?\n(here K = 2)", 9, ACCENT, "bold"),
    ((72, 18.2), "the user\nreads K\nanswers", 9, INK, "normal"),
    ((93.6, 25), "picks one\nand departs", 9.5, GOOD, "bold"),
    ((93.6, 15), "likes none\nand retries", 9.5, BAD, "bold"),
    ((30, 2.6), "back to the end of the queue", 8.5, BAD, "normal"),
    ((84, 32), LEARNING, 9, ACCENT, "bold"),
)
ARROWS = (
    ((9.5, 18), (14, 18), INK),
    ((33.6, 18), (40, 18), ACCENT),
    ((56, 23.4), (65.5, 19), ACCENT),
    ((56, 14.2), (65.5, 17.5), ACCENT),
    ((78.2, 19.5), (87, 24), GOOD),
    ((78.2, 17), (87, 15), BAD),
    ((12, 14), (14.6, 16.4), BAD),
)


@style()
def problem() -> Figure:
    """The service: a queue, N models, an assortment of K, and a user who picks or retries."""
    figure, ax = plt.subplots(figsize=(WIDTH, 3.5), layout="constrained")
    ax.set(xlim=(0, 100), ylim=(0, 35))
    ax.axis("off")
    for place, x in enumerate((15.5, 20, 24.5, 29)):
        _box(ax, (x, 15.5), (3.6, 5), "?", size=12, chosen=place == 2)
    for place in range(5):
        name = f"model {place + 1}" if place < 4 else "model N"
        _box(ax, (41.5, 26.2 - 4.6 * place), (14, 3.6), name, size=9, chosen=place in (1, 3))
    _box(ax, (66.5, 14.2), (11, 8))
    for at, text, size, colour, weight in NOTES:
        about = {"size": size, "color": colour, "weight": weight}
        ax.text(*at, text, ha="center", va="center", **about)
    about = {"arrowstyle": "-|>", "mutation_scale": 11, "lw": 1.2, "shrinkA": 0, "shrinkB": 0}
    for start, end, colour in ARROWS:
        ax.add_patch(FancyArrowPatch(start, end, color=colour, **about))
    ax.plot([93.6, 93.6, 12, 12], [12, 1.2, 1.2, 14], color=BAD, lw=1.2)
    return figure


def _box(
    ax: Axes, corner: Pair, extent: Pair, text: str = "", size: float = 9, chosen: bool = False
) -> None:
    face = ACCENT if chosen else PALE if text else "white"
    about = {"boxstyle": "round,pad=0,rounding_size=0.7", "edgecolor": FAINT, "lw": 0.8}
    ax.add_patch(FancyBboxPatch(corner, *extent, facecolor=face, **about))
    x, y = (start + length / 2 for start, length in zip(corner, extent, strict=True))
    ax.text(x, y, text, size=size, color="white" if chosen else INK, ha="center", va="center")


@style()
def toy_queue(played: Play) -> Figure:
    """A toy run: every query's stay as a line with its serves, and the queue under it.

    A disc is a pick, in the colour of the model picked; a cross is a retrial. Above each is what was
    offered. The lower panel compares the queue with the oracle's on the same arrivals.
    """
    run = played.trajectory
    queries = run.arrived.size
    about = {"figsize": (WIDTH, 1.9 + 0.42 * queries), "height_ratios": [queries, 3.2]}
    figure, (stays, lengths) = plt.subplots(2, 1, sharex=True, layout="constrained", **about)
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
    names_down(ax, [f"q{number} {kind}" for number, kind in enumerate(played.kinds, start=1)])
    ax.set_ylim(top=-0.9)
    key = {f"picks {name}": Look(c, None) for name, c in zip(MODELS, MODEL_COLOURS, strict=True)}
    key |= {"retries": Look(BAD, None, "X"), "waits": Look("#c9c9c9", SOLID, "")}
    key["exploring"] = Look(INK, None, "$*$")
    about = {"loc": "lower left", "ncols": 2, "fontsize": 8, "frameon": True, "edgecolor": "white"}
    legend(key, "line, marker", **about)(ax)


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


@style()
def toy_run(played: Play) -> Figure:
    """A longer toy run: the queue and the oracle's, and the regret that adds up."""
    figure, (lengths, regret) = plt.subplots(1, 2, figsize=(WIDTH, 2.8), layout="constrained")
    t = np.arange(played.T + 1)
    for name, run in (("ACQB", played.trajectory), ("ORACLE", played.oracle)):
        about = {"color": LOOKS[name].colour, "label": name, "lw": 1.4}
        lengths.plot(t, run.queue, drawstyle="steps-post", **about)
        regret.plot(t, np.append(0.0, run.regret.cumsum()), **about)
    lengths.set(xlabel="round", title="queries waiting", ylim=(0, None))
    regret.set(xlabel="round", title="routing regret so far (departures)", ylim=(0, None))
    regret.legend(loc="center right")
    return figure
