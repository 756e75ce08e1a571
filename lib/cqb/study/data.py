"""The data of a study by name: loaded once a process, and known by a hash without being encoded."""

from __future__ import annotations

from functools import lru_cache

from .. import datasets, encoder
from ..routing_table import RoutingTable


@lru_cache(maxsize=4)
def load(name: str | None) -> RoutingTable | None:
    """The encoded table of the data set `name`; None for None.

    Raises
    ------
    FileNotFoundError
        The files are not here; the message says how to get them.
    ImportError
        The prompts must be encoded and the extra `encode` is not installed.
    """
    if name is None:
        return None
    table = datasets.load(name)
    return table if table.embeddings is not None else encoder.encode_table(table)


@lru_cache(maxsize=16)
def identity(name: str | None) -> str | None:
    """The hash of a data set: "" for None, and None if its files are not here.

    Prompts count with their encoder and not with the vectors that come of it, whose last bits may
    differ between processors. So nothing is encoded here.
    """
    if name is None:
        return ""
    try:
        return encoder.with_default(datasets.load(name)).data_hash()
    except FileNotFoundError:
        return None
