"""The data sets, each a loader that returns a `RoutingTable`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cqb.routing_table import RoutingTable

STAND_INS = ("routerbench-standin", "sprout-standin", "embedllm-standin")
NAMES = ("routerbench", "sprout", "embedllm", *STAND_INS, "persistence-standin")


def load(name: str, folder: Path | str | None = None) -> RoutingTable:
    """Load the data set called `name`.

    "routerbench" reads the CSV files or the published pickle in `folder`, "sprout" the published
    parquet files and "embedllm" the published CSV files. By default a set is read from the folder
    that CQB_ROUTERBENCH_DIR, CQB_SPROUT_DIR or CQB_EMBEDLLM_DIR names, or else from the one that
    `make data` downloads into. They come without embeddings: see `cqb.encoder`.
    A name with "-standin" is the generated table committed with the code, embeddings included;
    `folder` overrides where its file is looked for. "persistence-standin" is RouterBench's, with
    scores that persist from attempt to attempt as the real ones do.

    Raises
    ------
    ValueError
        No such data set, or one whose content is wrong.
    FileNotFoundError
        The files are not there.
    """
    from cqb import paths

    if name == "routerbench":
        from cqb.datasets import routerbench

        return routerbench.load(folder or paths.routerbench_dir() or paths.raw_dir() / name)
    if name == "sprout":
        from cqb.datasets import sprout

        return sprout.load(folder or paths.sprout_dir() or paths.raw_dir() / name)
    if name == "embedllm":
        from cqb.datasets import embedllm

        return embedllm.load(folder or paths.embedllm_dir() or paths.raw_dir() / name)
    if name == "persistence-standin":
        from cqb.datasets import persistence_standin

        return persistence_standin.load(folder)
    if name in STAND_INS:
        from cqb.datasets import standin

        return standin.load(folder, name.removesuffix("-standin"))
    raise ValueError(f"no data set {name!r}; expected one of {', '.join(NAMES)}")
