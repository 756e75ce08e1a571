"""How every figure looks and how it is saved: theme, one look per policy, files and records.

A policy has the same colour, dash and marker in every figure. Colours come from palettes made for
colour-blind readers (Okabe and Ito; Tol), and dash and marker repeat the distinction: ACQB is solid
and round, its relatives dashed and square, baselines dotted and triangular.
"""

import fcntl
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import seaborn as sns
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from .. import paths
from ..files import write_bytes, write_text

WIDTH = 10.0  # inches: the width of a notebook column
DPI = 150  # of the saved PNG
MANIFEST = "manifest.json"  # the records of all figures in a folder
VOLATILE = ("created", "git", "machine", "packages", "python", "cqb")  # differ where no number does
INK, FAINT = "#222222", "#8a8a8a"
BLUE, ORANGE, GREEN, PINK, AMBER = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00"
SMALL = 7.5  # points: labels in panels and legends
SOLID, DASHED, DOTTED = "", (5, 1.6), (1.2, 1.4)  # as seaborn names dashes

THEME = {
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.labelsize": 9.0,
    "axes.linewidth": 0.7,
    **dict.fromkeys(("axes.spines.top", "axes.spines.right"), False),
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.6,
    **dict.fromkeys(("axes.edgecolor", "xtick.color", "ytick.color"), FAINT),
    **dict.fromkeys(("axes.labelcolor", "xtick.labelcolor", "ytick.labelcolor"), INK),
    **dict.fromkeys(("xtick.labelsize", "ytick.labelsize"), 8.0),
    "figure.titlesize": 11.0,
    "legend.fontsize": SMALL,
    "legend.title_fontsize": 8.5,
    "legend.frameon": False,
    "lines.linewidth": 1.3,
    "lines.solid_capstyle": "butt",
    "patch.force_edgecolor": False,
    "pdf.fonttype": 42,
}
STYLE = {**sns.axes_style("ticks"), **sns.plotting_context("paper"), **THEME}


class Look(NamedTuple):
    """How a series is drawn; `dash` is SOLID, DASHED, DOTTED or None, which draws no line."""

    colour: str
    dash: Any = SOLID
    marker: str = "o"

    def line(self, marker: bool = True) -> dict[str, Any]:
        """Arguments that give a matplotlib line this look."""
        dash = "" if self.dash is None else (0, self.dash) if self.dash else "-"
        shape = self.marker if marker else ""
        return {"color": self.colour, "ls": dash, "marker": shape, "ms": 4.5}


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
    "ACQB-P-tuned-prompt": Look("#994455", DASHED, "P"),
    "ACQB-recall": Look("#882255", SOLID, "P"),
    "ACQB-recall-rows": Look("#661100", SOLID, "P"),
    "TS-memory": Look("#6699CC", DASHED, "X"),
    "TS-memory-prompt": Look("#3B6FA0", DASHED, "X"),
    "Q-UCB": Look("#E69F00", DOTTED, "^"),
    "Q-ThS": Look("#D55E00", DOTTED, "v"),
    "CYCLE": Look("#B39B2E", DOTTED, ">"),
    "RANDOM": Look("#777777", DOTTED, "d"),
    "INFORMED": Look("#444444", SOLID, "*"),
}
# For policies that are not on the list, in the order of their names.
SPARE = tuple(Look(c, DASHED, "h") for c in ("#4477AA", "#EE6677", "#228833", "#AA3377"))


def in_order(policies: Iterable[str]) -> list[str]:
    """The distinct names among `policies`: listed ones in the order of LOOKS, then the others."""
    found = set(policies)
    return [p for p in LOOKS if p in found] + sorted(found - set(LOOKS))


def looks(policies: Iterable[str]) -> dict[str, Look]:
    """How to draw each policy, in order; an unlisted one gets a spare look."""
    spare = cycle(SPARE)
    return {name: LOOKS.get(name) or next(spare) for name in in_order(policies)}


def dark(colour: str) -> tuple[float, ...]:
    """A colour for text: the policy's own, darkened, since thin strokes look paler than lines."""
    return tuple(0.75 * part for part in to_rgb(colour))


@contextmanager
def style() -> Iterator[None]:
    """Give new figures the house style within the block, or within a function it decorates.

    Only these settings are put back afterwards: the first figure of a notebook loads its backend, and
    what that sets (`rc_context` would undo it) makes the later figures appear.
    """
    before = {key: mpl.rcParams[key] for key in STYLE}
    mpl.rcParams.update(STYLE)
    try:
        yield
    finally:
        mpl.rcParams.update(before)


def save(figure: Figure, name: str, record: Mapping[str, Any], folder: Path | str) -> Path:
    """Write `name`.png and `name`.pdf, and the record into the manifest; returns the PNG's path.

    The pictures hold no date, so the same figure gives the same bytes. A file whose bytes would not
    change is left alone, as is a record that differs only in when and where it was made.

    Parameters
    ----------
    record : how the figure was made (:func:`cqb.study.provenance.stamp`), JSON values.
    folder : made if it does not exist.

    Raises
    ------
    OSError
        The folder cannot be made or written to; the message names it.
    TypeError
        The record is not JSON; nothing is written.
    """
    folder = Path(folder)
    json.dumps(record)
    metadata = {"png": {"Software": None}, "pdf": {"CreationDate": None}}
    for kind, about in metadata.items():
        buffer, path = io.BytesIO(), folder / f"{name}.{kind}"
        with style():
            figure.savefig(buffer, format=kind, dpi=DPI, metadata=about, bbox_inches="tight")
        if not path.is_file() or path.read_bytes() != buffer.getvalue():
            write_bytes(path, buffer.getvalue())
    write_record(folder / name, record)
    return folder / f"{name}.png"


def write_record(figure: Path, record: Mapping[str, Any]) -> None:
    """Write the record of the figure at `figure` (a path without ending) into the manifest.

    That is the manifest of the figures folder, or outside it the one next to the figure. An old record
    stays if it differs only in when, where and with which commit it was made. Several processes may
    write at once.
    """
    home = paths.figures_dir()
    if not figure.is_relative_to(home):
        home = figure.parent
    name, path = figure.relative_to(home).as_posix(), home / MANIFEST
    home.mkdir(parents=True, exist_ok=True)
    lock = os.open(home, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        records = _records(path)
        if _lasting(records.get(name, {})) != _lasting(record):
            records[name] = dict(record)
            write_text(path, json.dumps(records, indent=1, sort_keys=True) + "\n")
    finally:
        os.close(lock)


def read_record(figure: str, folder: Path | None = None) -> dict[str, Any]:
    """The record of a figure, named by its path in the figures folder without its ending.

    Raises
    ------
    ValueError
        There is none; the message names the file.
    """
    path = (folder or paths.figures_dir()) / MANIFEST
    records = _records(path)
    if figure not in records:
        raise ValueError(f"{figure}: no stored table and no record in {path}")
    return records[figure]


def _records(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except ValueError as error:
        raise ValueError(
            f"{path}: not the records of figures ({error}); remove it, or restore it with git"
        ) from error


def _lasting(record: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key not in VOLATILE}
