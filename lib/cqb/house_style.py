"""How every figure looks, and how it is kept: fonts, one colour per policy, labels, files.

A policy has the same colour, dash and marker in every figure. Colours come from palettes made for
colour-blind readers (Okabe and Ito; Tol), and the dash and marker repeat what they say: ACQB is
solid and round, its relatives dashed and square, baselines dotted and triangular.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from .files import write_bytes, write_text

WIDTH = 10.0  # inches: the width of a notebook column
DPI = 150  # of the saved PNG
INK, FAINT = "#222222", "#8a8a8a"
SOLID, DASHED, DOTTED = "-", (0, (5, 1.6)), (0, (1.2, 1.4))

STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.labelsize": 9.0,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.6,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "figure.titlesize": 11.0,
    "lines.linewidth": 1.3,
    "pdf.fonttype": 42,
}


class Look(NamedTuple):
    """How a policy is drawn."""

    colour: str
    dash: Any
    marker: str


# In the order in which figures and tables list them.
LOOKS = {
    "ORACLE": Look("#000000", SOLID, "*"),
    "ACQB": Look("#0072B2", SOLID, "o"),
    "ACQB-T": Look("#56B4E9", DASHED, "s"),
    "ACQB-online": Look("#332288", DASHED, "s"),
    "ACQB-tuned": Look("#117733", SOLID, "o"),
    "ACQB-CL": Look("#CC79A7", SOLID, "o"),
    "ACQB-CL-LN": Look("#B5438F", DASHED, "s"),
    "CQB-eps": Look("#009E73", DASHED, "s"),
    "CQB-eps-UCB": Look("#44AA99", DASHED, "s"),
    "CQB-Opt": Look("#999933", DASHED, "D"),
    "CQB-eta-2": Look("#AA4499", DASHED, "D"),
    "ACQB-P": Look("#88CCEE", SOLID, "P"),
    "ACQB-P-tuned": Look("#004488", DASHED, "P"),
    "ACQB-M": Look("#882255", SOLID, "P"),
    "ACQB-M-query": Look("#BB5566", DASHED, "P"),
    "ACQB-M-aged": Look("#DDAA33", DASHED, "P"),
    "ACQB-W": Look("#CC6677", SOLID, "P"),
    "ACQB-MW": Look("#661100", SOLID, "P"),
    "ACQB-MW-query": Look("#994455", DASHED, "P"),
    "TS-memory": Look("#6699CC", DASHED, "X"),
    "Q-UCB": Look("#E69F00", DOTTED, "^"),
    "Q-ThS": Look("#D55E00", DOTTED, "v"),
    "CYCLE": Look("#B39B2E", DOTTED, ">"),
    "RANDOM": Look("#777777", DOTTED, "d"),
    "INFORMED": Look("#444444", SOLID, "*"),
}
# For policies that are not on the list, in the order of their names.
SPARE = (
    Look("#4477AA", DASHED, "h"),
    Look("#EE6677", DASHED, "h"),
    Look("#228833", DASHED, "h"),
    Look("#AA3377", DASHED, "h"),
)


def in_order(policies: Sequence[str]) -> list[str]:
    """The distinct names among `policies`: listed ones in the order of LOOKS, then the others."""
    return [p for p in LOOKS if p in set(policies)] + sorted(set(policies) - set(LOOKS))


def looks(policies: Sequence[str]) -> dict[str, Look]:
    """How to draw each policy, in order; an unlisted one gets a spare look."""
    unlisted = sorted(set(policies) - set(LOOKS))
    spare = {name: SPARE[i % len(SPARE)] for i, name in enumerate(unlisted)}
    return {name: LOOKS.get(name) or spare[name] for name in in_order(policies)}


def ink(colour: str) -> tuple[float, ...]:
    """A colour for words: the policy's own, darkened, since thin strokes look paler than lines."""
    return tuple(0.75 * part for part in to_rgb(colour))


@contextmanager
def style() -> Iterator[None]:
    """Within the block, new figures have the house style.

    Only these settings are put back afterwards: the first figure of a notebook loads its backend, and
    what that sets (`rc_context` would undo it) makes the later figures appear.
    """
    before = {key: mpl.rcParams[key] for key in STYLE}
    mpl.rcParams.update(STYLE)
    try:
        yield
    finally:
        mpl.rcParams.update(before)


def error_line(
    ax: Axes, x: np.ndarray, y: np.ndarray, error: np.ndarray, look: Look, label: str
) -> None:
    """A policy's line through points (n,) with error bars: `error` is (n,), or (2, n) down and up."""
    ax.errorbar(
        x,
        y,
        yerr=error,
        color=look.colour,
        ls=look.dash,
        marker=look.marker,
        ms=4,
        elinewidth=0.8,
        label=label,
    )


def label_ends(ax: Axes, ends: Mapping[str, float], text: Mapping[str, str], size: float) -> None:
    """Name each line at its right end, in its colour, moved apart where lines end close together.

    Parameters
    ----------
    ends : the last value of each policy's line; the axes' limits and size must be final.
    text : what to write for each policy.
    size : height of a label, in points.
    """
    low, high = ax.get_ylim()
    height = ax.get_window_extent().height * 72.0 / ax.figure.dpi  # points
    names = sorted(ends, key=lambda name: (ends[name], name))
    at = (np.array([ends[name] for name in names]) - low) / (high - low)
    look = looks(names)
    for name, true, moved in zip(names, at, spread(at, 1.3 * size / height), strict=True):
        ax.plot(
            [1.0, 1.035, 1.05],
            [true, moved, moved],
            transform=ax.transAxes,
            clip_on=False,
            color=look[name].colour,
            lw=0.6,
        )
        ax.text(
            1.06,
            moved,
            text[name],
            transform=ax.transAxes,
            va="center",
            size=size,
            color=ink(look[name].colour),
        )


def spread(at: np.ndarray, gap: float) -> np.ndarray:
    """Ascending positions (n,) moved as little as need be to lie at least `gap` apart.

    Least squares under the gaps: after taking off the gaps that lie below, isotonic regression (pool
    adjacent violators) of what is left. All stay in [0, 1] as long as there is room.
    """
    steps = gap * np.arange(len(at))
    blocks: list[list[float]] = []
    for value in np.asarray(at, dtype=float) - steps:
        blocks.append([value])
        while len(blocks) > 1 and np.mean(blocks[-2]) > np.mean(blocks[-1]):
            last = blocks.pop()
            blocks[-1] += last
    level = np.concatenate([np.full(len(block), np.mean(block)) for block in blocks])
    return np.clip(level, 0.0, max(0.0, 1.0 - steps[-1])) + steps


def save(figure: Figure, name: str, provenance: Mapping[str, Any], folder: Path | str) -> Path:
    """Write `name`.png, `name`.pdf and the record `name`.json; returns the path of the PNG.

    The pictures hold no date, so the same figure gives the same bytes. Each file is written whole
    or not at all, and the record last.

    Parameters
    ----------
    provenance : how the figure was made (:func:`cqb.experiment.provenance.stamp`), JSON values.
    folder : made if it is not there.

    Raises
    ------
    OSError
        The folder cannot be made or written to; the message names it.
    """
    folder = Path(folder)
    record = json.dumps({"figure": name, **provenance}, indent=1, sort_keys=True) + "\n"
    metadata = {"png": {"Software": None}, "pdf": {"CreationDate": None}}
    pictures = {}
    for kind, about in metadata.items():
        buffer = io.BytesIO()
        with style():
            figure.savefig(buffer, format=kind, dpi=DPI, metadata=about, bbox_inches="tight")
        pictures[kind] = buffer.getvalue()
    for kind, content in pictures.items():
        write_bytes(folder / f"{name}.{kind}", content)
    write_text(folder / f"{name}.json", record)
    return folder / f"{name}.png"
