"""The data sets, each a loader that returns a `RoutingTable`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cqb.routing_table import RoutingTable

NAMES = ("routerbench", "routerbench-standin")


def load(name: str, folder: Path | str | None = None) -> RoutingTable:
    """Load the data set called `name`.

    "routerbench" reads the CSV files or the published pickle in `folder` (default: the folder
    that `make data` downloads into) and comes without embeddings: see `cqb.encoder`.
    "routerbench-standin" is the generated table committed with the code, embeddings included;
    `folder` overrides where its file is looked for.

    Raises
    ------
    ValueError
        No such data set, or one whose content is wrong.
    FileNotFoundError
        The files are not there.
    """
    from cqb import paths
    from cqb.datasets import routerbench, standin

    if name == "routerbench":
        return routerbench.load(folder if folder is not None else paths.raw_dir() / "routerbench")
    if name == "routerbench-standin":
        return standin.load(folder)
    raise ValueError(f"no data set {name!r}; expected one of {', '.join(NAMES)}")
