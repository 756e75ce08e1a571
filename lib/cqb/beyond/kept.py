"""Pieces of a study kept as they are made, so that an interrupted study goes on where it stopped.

A piece is a small table. Its file is named by a hash of all that decides it; a piece of other settings,
data or code has another name and is never read. The finished study is one committed table
(:mod:`.studies`); pieces are only kept on the machine that makes them.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from typing import Any

import pandas as pd

from .. import paths
from ..experiment.provenance import digest
from ..files import write_bytes

FOLDER = "beyond"


def kept(make: Callable[[], pd.DataFrame], *what: Any) -> pd.DataFrame:
    """The table that `make` gives, from its file if it was made before.

    Parameters
    ----------
    what : all that decides the table: names, settings, hashes of data and code.
    """
    path = paths.runs_dir() / FOLDER / f"{digest(list(what))[:24]}.parquet"
    if path.exists():
        try:
            return pd.read_parquet(path)
        except (OSError, ValueError) as error:  # pyarrow's errors are ValueErrors
            warnings.warn(f"{path}: damaged ({error}); it is made again", stacklevel=2)
    table = make()
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    write_bytes(path, buffer.getvalue())
    return table
