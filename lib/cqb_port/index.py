"""An approximate index behind the call of the exact one: inverted lists of the library Faiss."""

from __future__ import annotations

from typing import Any

import numpy as np

from .features import check_k

TRAINING = 64  # historical rows per list that its centre is learnt from, at most


class ApproximateIndex:
    """Searches only the lists whose centres are nearest to the query.

    Parameters
    ----------
    vectors : (E, D) float32 unit rows.
    lists : how many; by default about the square root of E. probes : lists searched per query.

    Raises
    ------
    ImportError
        The extra `index` is not installed.
    """

    def __init__(self, vectors: np.ndarray, lists: int | None = None, probes: int = 8) -> None:
        faiss = _faiss()
        lists = lists or max(1, int(np.sqrt(len(vectors))))
        self._size, d = vectors.shape
        self._coarse = faiss.IndexFlatIP(d)
        self._index = faiss.IndexIVFFlat(self._coarse, d, lists, faiss.METRIC_INNER_PRODUCT)
        self._index.cp.max_points_per_centroid = TRAINING
        self._index.cp.min_points_per_centroid = 1
        self._index.train(vectors)
        self._index.add(vectors)
        self._index.nprobe = min(probes, lists)
        self._lists = lists

    def nearest(self, queries: np.ndarray, k: int) -> np.ndarray:
        """Rows of the history, int64 (n, k); queries that found too few search every list."""
        check_k(k, self._size)
        _, found = self._index.search(queries, k)
        short = (found < 0).any(axis=1)
        if short.any():
            probes, self._index.nprobe = self._index.nprobe, self._lists
            found[short] = self._index.search(queries[short], k)[1]
            self._index.nprobe = probes
        return found


def recall(found: np.ndarray, exact: np.ndarray) -> float:
    """The share of the exact neighbours (n, k) that are among those found (n, k)."""
    return float(
        np.mean([len(set(a) & set(b)) / len(b) for a, b in zip(found, exact, strict=True)])
    )


def _faiss() -> Any:
    try:
        import faiss
    except ImportError as error:
        raise ImportError(
            "the approximate index needs Faiss: install it with `pip install 'cqb[index]'`, or use "
            f"the exact search ({error})"
        ) from error
    return faiss
