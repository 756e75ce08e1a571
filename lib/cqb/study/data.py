"""The data of a study by name: loaded once a process, and known by a hash without being encoded."""

from functools import lru_cache

from .. import datasets, encoder, paths
from ..arrivals import Trace
from ..routing_table import RoutingTable


@lru_cache(maxsize=4)
def load(name: str | None) -> RoutingTable | Trace | None:
    """The encoded table of the data set `name`, or the trace; None for None.

    Raises
    ------
    FileNotFoundError
        The files are not here; the message says how to get them.
    ImportError
        The prompts must be encoded and the extra `encode` is not installed.
    """
    if name is None:
        return None
    found = datasets.load(name)
    to_encode = isinstance(found, RoutingTable) and found.embeddings is None
    return encoder.encode_table(found) if to_encode else found


@lru_cache(maxsize=16)
def identity(name: str | None) -> str | None:
    """The hash of a data set: "" for None, and None if its files are not here.

    FileNotFoundError if a variable names a place for them (CQB_NAME_DIR) and they are not there.

    Prompts count with their encoder and not with the vectors that come of it, whose last bits may
    differ between processors. So nothing is encoded here.
    """
    if name is None:
        return ""
    try:
        found = datasets.load(name)
    except FileNotFoundError:
        if paths.dataset_dir(name):
            raise
        return None
    return (encoder.with_default(found) if isinstance(found, RoutingTable) else found).data_hash()
