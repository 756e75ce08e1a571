"""Arrays in one .npz file with a hash of the whole: routing tables and the cache of encoded prompts.

Nothing is pickled, files are written atomically, and a damaged file is an error (or, in the cache, a
warning) that names it.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cqb.files import atomic_writer

FORMAT = "cqb routing table 1"
ARRAYS = ("scores", "costs", "embeddings")
TEXTS = ("name", "stand_in", "ids", "prompts", "families", "models", "report")


def write_table(path: Path | str, fields: Mapping[str, Any]) -> None:
    """Write a routing table's fields to `path` atomically; no pickle is involved."""
    arrays = {field: fields[field] for field in ARRAYS if fields[field] is not None}
    text = {field: fields[field] for field in TEXTS} | {"format": FORMAT}
    text["report"] = dict(fields["report"])
    arrays["text"] = np.frombuffer(json.dumps(text).encode(), dtype=np.uint8)
    write_arrays(path, arrays)


def read_table(path: Path | str) -> dict[str, Any]:
    """The fields of the table at `path`, verified against the hash written with them.

    Raises
    ------
    OSError
        The file cannot be opened.
    ValueError
        It is not a routing table, or is damaged; the message names it.
    """
    arrays = read_arrays(path)
    text = json.loads(arrays.pop("text").tobytes()) if "text" in arrays else {}
    if text.pop("format", None) != FORMAT:
        raise ValueError(f"{path}: not a file of format {FORMAT!r}")
    return {**text, **arrays}


def write_arrays(path: Path | str, arrays: dict[str, np.ndarray], compress: bool = True) -> None:
    """Write `arrays` to the .npz file `path` atomically, with the sha256 of their content."""
    save = np.savez_compressed if compress else np.savez
    with atomic_writer(path) as handle:
        save(handle, **arrays, sha256=np.array(content_hash(arrays)))


def read_arrays(path: Path | str) -> dict[str, np.ndarray]:
    """The arrays that `write_arrays` wrote to `path`, verified, without their sha256.

    Raises
    ------
    OSError
        The file cannot be opened.
    ValueError
        It is not such a file, or is damaged; the message names it.
    """
    try:
        with open(path, "rb") as handle, np.load(handle, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
    except Exception as error:  # zip, its codecs and array headers fail in too many ways to list
        if isinstance(error, OSError) and error.errno is not None:
            raise  # from the system; bz2 says OSError of bad content too
        raise ValueError(f"{path}: not a readable .npz file ({error})") from error
    if "sha256" not in arrays:
        raise ValueError(f"{path}: no sha256 in it; not a file that cqb wrote")
    if str(arrays.pop("sha256")) != content_hash(arrays):
        raise ValueError(f"{path}: the content does not match its own sha256; the file is damaged")
    return arrays


def content_hash(arrays: dict[str, np.ndarray]) -> str:
    """sha256 (hex) over names, dtypes, shapes and bytes, whatever the order of the names."""
    digest = hashlib.sha256()
    for key in sorted(arrays):
        array = np.ascontiguousarray(arrays[key])
        little = array.astype(array.dtype.newbyteorder("<"), copy=False)
        digest.update(f"{key} {little.dtype.str} {array.shape}\n".encode())
        digest.update(little.tobytes())
    return digest.hexdigest()


class DamagedCacheWarning(UserWarning):
    """A cache file does not hold what was written to it; its vectors are computed again."""


@dataclass(frozen=True, eq=False)
class Encoded:
    """The output of an encoder for n texts.

    Attributes
    ----------
    vectors : float32, shape (n, d), as the encoder returned them.
    tokens : int32, shape (n,), length of each text in tokens before any truncation.
    """

    vectors: np.ndarray
    tokens: np.ndarray


def cache_key(texts: Sequence[str], fingerprint: str, max_tokens: int) -> str:
    """sha256 (hex) over what determines the vectors: weights, window and the texts in order."""
    return hashlib.sha256(json.dumps([fingerprint, max_tokens, *texts]).encode()).hexdigest()


def cache_file(folder: Path, key: str) -> Path:
    """The cache file of `key`."""
    return folder / f"embeddings-{key[:32]}.npz"


def read_cache(folder: Path, key: str, rows: int) -> Encoded | None:
    """The vectors stored for `key`, verified; None if there are none or (with a warning) damaged."""
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
    """Store `encoded` for `key`, atomically. Raises OSError if the folder cannot be written to."""
    arrays = {"vectors": encoded.vectors, "tokens": encoded.tokens, "key": np.array(key)}
    write_arrays(cache_file(folder, key), arrays, compress=False)  # noise does not compress
