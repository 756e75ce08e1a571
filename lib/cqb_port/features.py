"""Estimated scores and costs of a query: means over the most similar queries of the history.

Step 1 of the online algorithm of arXiv 2509.02718. Similarity is the cosine. The exact search
works through chunks of the product of all pairs in float32, in NumPy or on a GPU; the few
candidates that survive are compared again in float64, pair by pair, so that neither the chunk nor
the batch nor the backend can change which rows are the nearest.

The published code searches an HNSW graph for every router; here only Greedy-* do
(:class:`ApproximateIndex`), with its settings. The others take exact neighbours: of 882 queries of
RouterBench the graph changes the neighbours of 1 to 8 (20 deals).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import threadpoolctl

from cqb import arrays

from . import checks

CHUNK = 512  # queries in one product: 54 MB against 26,497 historical rows
PAIRS = 16_384  # pairs compared again at a time
BLOCKS = 16  # historical rows per block maximum
# Of the published code: links per row, candidates while the graph is built, candidates of a search.
LINKS, BUILD_CANDIDATES, CANDIDATES = 32, 200, 50


class Estimates(NamedTuple):
    """Estimated scores and costs, float64 (M, n) each; predictions may lie outside [0, 1]."""

    scores: np.ndarray
    costs: np.ndarray

    def at(self, queries: slice | np.ndarray) -> Estimates:
        """Those of some queries, in their order."""
        return Estimates(self.scores[:, queries], self.costs[:, queries])


class History:
    """Queries whose outcomes with every model are on record.

    Attributes
    ----------
    vectors : (E, D) float32 rows of length 1. scores : (M, E) in [0, 1].
    costs : (M, E) dollars, at least 0.

    Parameters
    ----------
    embeddings : (E, D) vectors of any length but 0.

    Raises
    ------
    ValueError
        No queries, NaN, a zero vector, values out of range or shapes that do not fit.
    """

    def __init__(self, embeddings: np.ndarray, scores: np.ndarray, costs: np.ndarray) -> None:
        self.scores = checks.numbers("history scores", scores, (None, None), 0.0, 1.0)
        self.costs = checks.numbers("history costs", costs, self.scores.shape, 0.0)
        if self.scores.size == 0:
            raise ValueError("history: found no queries, expected at least one")
        shape = (self.scores.shape[1], None)
        self.vectors = checks.unit_rows("history embeddings", embeddings, shape)

    def __len__(self) -> int:
        return len(self.vectors)


class ExactIndex:
    """Brute force over unit rows (E, D) float32, in the array module (NumPy, CuPy) that holds them."""

    def __init__(self, vectors: Any) -> None:
        self._host = arrays.to_numpy(vectors)
        # A row of zeros never wins: the length becomes a multiple of the number of blocks.
        padding = np.zeros((-len(self._host) % BLOCKS, self._host.shape[1]), np.float32)
        self._vectors = arrays.asarray(np.concatenate([self._host, padding]), vectors)

    def nearest(self, queries: np.ndarray, k: int, exclude: np.ndarray | None = None) -> np.ndarray:
        """The k most similar rows of the history, ties to the lowest: int64 (n, k).

        Parameters
        ----------
        queries : (n, D) float32 unit rows, in host memory.
        exclude : (n,) a row of the history that each query must not find (leave one out).

        Raises
        ------
        ValueError
            k is less than 1 or more than the rows there are to find.
        """
        check_k(k, len(self._host) - (exclude is not None))
        parts = [slice(at, at + CHUNK) for at in range(0, len(queries), CHUNK)]
        found = [
            self._chunk_nearest(queries[part], k, None if exclude is None else exclude[part])
            for part in parts
        ]
        return np.concatenate(found) if found else np.empty((0, k), np.int64)

    def _chunk_nearest(self, queries: np.ndarray, k: int, exclude: np.ndarray | None) -> np.ndarray:
        xp = arrays.namespace(self._vectors)
        similar = arrays.asarray(queries, self._vectors) @ self._vectors.T
        similar[:, len(self._host) :] = -2.0
        # No rounding of a float32 sum of D products of unit vectors is larger than this.
        error = 2.0 * queries.shape[1] * float(np.finfo(np.float32).eps)
        edge = xp.clip(_kth_largest(xp, similar, k + (exclude is not None)) - error, min=-1.5)
        row, column = map(arrays.to_numpy, xp.nonzero(similar >= edge[:, None]))
        if exclude is not None:
            other = column != exclude[row]
            row, column = row[other], column[other]
        return _by_true_similarity(self._host, queries, row, column, k)


def _by_true_similarity(
    vectors: np.ndarray, queries: np.ndarray, row: np.ndarray, column: np.ndarray, k: int
) -> np.ndarray:
    """The k best of the candidate pairs of each query, compared in float64, ties to the lowest.

    `row` (pairs,) are places in `queries`, `column` those in `vectors`; every query has at least k.
    """
    true = np.empty(len(row))
    for at in range(0, len(row), PAIRS):
        pairs = slice(at, at + PAIRS)
        left = queries[row[pairs]].astype(np.float64)
        true[pairs] = (left * vectors[column[pairs]]).sum(axis=1)
    order = np.lexsort((column, -true, row))
    first = np.searchsorted(row[order], np.arange(len(queries)))
    return column[order][first[:, None] + np.arange(k)]


def _kth_largest(xp: Any, similar: Any, k: int) -> Any:
    """A lower bound of the k-th largest value of each row, (n,): that of maxima over blocks."""
    n, E = similar.shape
    if k > E // BLOCKS:
        return xp.sort(similar, axis=1)[:, E - k]
    maxima = xp.max(xp.reshape(similar, (n, BLOCKS, E // BLOCKS)), axis=1)
    return xp.sort(maxima, axis=1)[:, E // BLOCKS - k]


def hnsw(vectors: np.ndarray, threads: int = 1) -> Any:
    """Faiss's HNSW graph (arXiv 1603.09320) over unit rows (E, D) float32, with PORT's settings.

    One thread adds the rows in their order, so that equal rows give equal graphs. Several threads are
    faster and give a graph that depends on their timing.

    Raises
    ------
    ImportError
        The extra `index` is not installed.
    """
    try:
        import faiss
    except ImportError as error:
        raise ImportError(
            "the approximate index needs Faiss: install it with `pip install 'cqb[index]'`, or "
            f"use the exact search ({error})"
        ) from error
    index = faiss.IndexHNSWFlat(vectors.shape[1], LINKS, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction, index.hnsw.efSearch = BUILD_CANDIDATES, CANDIDATES
    with threadpoolctl.threadpool_limits(limits=threads, user_api="openmp"):
        index.add(vectors)
    return index


class ApproximateIndex:
    """The search of the published Greedy-*: follows the links of :func:`hnsw` (which raises).

    Parameters
    ----------
    vectors : (E, D) float32 unit rows. threads : of the construction.
    """

    def __init__(self, vectors: np.ndarray, threads: int = 1) -> None:
        self._vectors, self._graph = vectors, hnsw(vectors, threads)

    def nearest(self, queries: np.ndarray, k: int) -> np.ndarray:
        """Rows of the history, int64 (n, k), most similar first, ties to the lowest.

        A query that reaches fewer than k rows gets the exact ones.
        """
        check_k(k, len(self._vectors))
        _, found = self._graph.search(queries, k)
        short = (found < 0).any(axis=1)
        if short.any():
            found[short] = ExactIndex(self._vectors).nearest(queries[short], k)
        row = np.repeat(np.arange(len(queries)), k)
        return _by_true_similarity(self._vectors, queries, row, found.reshape(-1), k)


Index = ExactIndex | ApproximateIndex


def recall(found: np.ndarray, exact: np.ndarray) -> float:
    """The share of the exact neighbours (n, k) that are among those found (n, k)."""
    return float((found[:, :, None] == exact[:, None, :]).any(axis=1).mean())


def check_k(k: int, available: int) -> None:
    """Raise ValueError unless 1 <= k <= available."""
    if not 1 <= k <= available:
        raise ValueError(f"k: found {k}, expected from 1 to the {available} historical queries")


class NearestNeighbours:
    """The published estimator: unweighted means over the k nearest historical queries.

    Parameters
    ----------
    index : how neighbours are found; the exact search on NumPy by default.
    """

    def __init__(self, history: History, k: int = 5, index: Index | None = None) -> None:
        check_k(k, len(history))
        self.history, self.k = history, k
        self._index = index or ExactIndex(history.vectors)

    def estimate(self, embeddings: np.ndarray) -> Estimates:
        """Estimates for queries with the vectors (n, D), of any length but 0."""
        shape = (None, self.history.vectors.shape[1])
        queries = checks.unit_rows("embeddings", embeddings, shape)
        return self._means(self._index.nearest(queries, self.k))

    def leave_one_out(self) -> Estimates:
        """Estimates for the history itself, each query without its own outcome."""
        vectors = self.history.vectors
        exact = ExactIndex(vectors)
        return self._means(exact.nearest(vectors, self.k, exclude=np.arange(len(vectors))))

    def _means(self, nearest: np.ndarray) -> Estimates:
        """Means over neighbours (n, k), added up in their order."""
        known = (self.history.scores, self.history.costs)
        return Estimates(*(sum(v[:, rank] for rank in nearest.T) / self.k for v in known))
