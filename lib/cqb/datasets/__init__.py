"""The data sets: each loader returns a :class:`~cqb.routing_table.RoutingTable`."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cqb.routing_table import RoutingTable

REAL = ("routerbench", "sprout", "embedllm")
STAND_INS = tuple(f"{name}-standin" for name in REAL)
COMMITTED = ("paretobandit", *STAND_INS, "persistence-standin")
NAMES = (*REAL, *COMMITTED, "table")


def load(name: str, folder: Path | str | None = None, **options: Any) -> RoutingTable:
    """Load the data set called `name`, one of :data:`NAMES`.

    "table" reads an evaluation table of your own: `folder` is a CSV or Parquet file or a folder of them,
    and `options` are those of :func:`cqb.datasets.table.load`.

    "routerbench" reads the CSV files or the published pickle in `folder`, "sprout" the published
    parquet files and "embedllm" the published CSV files. By default a set is read from the folder
    that CQB_ROUTERBENCH_DIR, CQB_SPROUT_DIR or CQB_EMBEDLLM_DIR names, or else from the one that
    `make data` downloads into. They come without embeddings: see `cqb.encoder`.
    A name with "-standin" is the generated table committed with the code, embeddings included;
    `folder` overrides where its file is looked for. "persistence-standin" is RouterBench's, with
    scores that persist from attempt to attempt as the real ones do.

    >>> table = load("routerbench-standin")
    >>> table.name, table.scores.shape, table.embeddings.shape
    ('RouterBench stand-in', (2400, 11), (2400, 384))

    Raises
    ------
    ValueError
        No such data set, or one with wrong content.
    FileNotFoundError
        The files are not there; the message says how to get them.
    """
    from cqb import paths

    if name not in NAMES:
        raise ValueError(f"no data set {name!r}; expected one of {', '.join(NAMES)}")
    if name in STAND_INS:
        from cqb.datasets import standin

        return standin.load(folder, name.removesuffix("-standin"))
    loader = importlib.import_module(f"cqb.datasets.{name.replace('-', '_')}")
    if name in COMMITTED:
        return loader.load(folder)
    if name == "table":
        if folder is None:
            raise ValueError("table: name the file or folder to read")
        return loader.load(folder, **options)
    return loader.load(folder or paths.dataset_dir(name) or paths.raw_dir() / name)
