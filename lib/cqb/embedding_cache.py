"""Vectors that were computed once, found again by the content they came from."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cqb.table_file import read_arrays, write_arrays


class DamagedCacheWarning(UserWarning):
    """A cache file does not hold what was once written to it, and is made again."""


@dataclass(frozen=True, eq=False)
class Encoded:
    """What an encoder made of n texts.

    Attributes
    ----------
    vectors : float32, shape (n, d), as the encoder gave them.
    tokens : int32, shape (n,), length of each text in tokens before any truncation.
    """

    vectors: np.ndarray
    tokens: np.ndarray


def cache_key(texts: Sequence[str], fingerprint: str, max_tokens: int) -> str:
    """sha256 (hex) over all that decides the vectors: weights, window and the texts in order."""
    return hashlib.sha256(json.dumps([fingerprint, max_tokens, *texts]).encode()).hexdigest()


def cache_file(folder: Path, key: str) -> Path:
    """Where the vectors of `key` are kept."""
    return folder / f"embeddings-{key[:32]}.npz"


def read_cache(folder: Path, key: str, rows: int) -> Encoded | None:
    """The vectors kept for `key`, verified; None if there are none or (with a warning) damaged."""
    path = cache_file(folder, key)
    if not path.exists():
        return None
    try:
        arrays = read_arrays(path)
        if str(arrays["key"]) != key:
            raise ValueError(f"it holds the vectors of key {arrays['key']}")
        encoded = Encoded(arrays["vectors"], arrays["tokens"])
        if len(encoded.vectors) != rows or encoded.tokens.shape != (rows,):
            raise ValueError(f"{len(encoded.vectors)} rows where {rows} are expected")
    except (ValueError, KeyError, OSError) as error:
        warnings.warn(
            f"damaged cache file {path} ({error}); its vectors are computed again",
            DamagedCacheWarning,
            stacklevel=3,
        )
        return None
    return encoded


def write_cache(folder: Path, key: str, encoded: Encoded) -> None:
    """Keep `encoded` for `key`, atomically. Raises OSError if the folder cannot be written to."""
    arrays = {"vectors": encoded.vectors, "tokens": encoded.tokens, "key": np.array(key)}
    write_arrays(cache_file(folder, key), arrays, compress=False)  # noise does not compress
