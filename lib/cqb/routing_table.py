"""The routing table: the score and the cost of every model on every prompt.

All that the experiments know about real or generated data is in one `RoutingTable`. Utility,
splits and departure odds follow the experimental settings of the ACQB paper (Bae, Son and Lee,
"Learning to Route and Schedule LLMs from User Retrials via Contextual Queueing Bandits",
arXiv 2602.02061).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

UNIT_TOLERANCE = 1e-6  # how far the norm of an embedding row may lie from 1


@dataclass(frozen=True, eq=False)
class RoutingTable:
    """Scores and costs of N models on n prompts, validated when made and read-only after.

    Attributes
    ----------
    name : printed in the title of every figure, e.g. "RouterBench".
    stand_in : True for generated data, which must never pass for a real set.
    ids, prompts, families : n row ids (unique), prompt texts as encoded, evaluation families.
    models : N model names (unique).
    scores : float64, shape (n, N), in [0, 1].
    costs : float64, shape (n, N), US dollars for one query, at least 0; None if they are not known.
    embeddings : float64, shape (n, d), rows of unit length; None until the prompts are encoded.
    report : counts from the loader and the encoder (rows dropped, preambles removed, ...).

    >>> table = RoutingTable(
    ...     name="two prompts",
    ...     stand_in=True,
    ...     ids=("a", "b"),
    ...     prompts=("1 + 1 = ?", "Who wrote Emma?"),
    ...     families=("sums", "books"),
    ...     models=("small", "large"),
    ...     scores=np.array([[1.0, 1.0], [0.0, 1.0]]),
    ...     costs=np.array([[0.001, 0.01], [0.001, 0.01]]),
    ... )
    >>> table.utility(lam=10.0)  # a dollar weighs as much as ten points of score
    array([[ 0.99,  0.9 ],
           [-0.01,  0.9 ]])

    Raises
    ------
    ValueError
        A shape, a value, an id or a name is wrong; the message says which row and column.
    """

    name: str
    stand_in: bool
    ids: tuple[str, ...]
    prompts: tuple[str, ...]
    families: tuple[str, ...]
    models: tuple[str, ...]
    scores: np.ndarray
    costs: np.ndarray | None = None
    embeddings: np.ndarray | None = None
    report: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        for field in ("ids", "prompts", "families", "models"):
            object.__setattr__(self, field, tuple(getattr(self, field)))
        for field in ("scores", "costs", "embeddings"):
            if (value := getattr(self, field)) is not None:
                array = np.array(value, dtype=np.float64, order="C")
                array.setflags(write=False)
                object.__setattr__(self, field, array)
        _check_names(self)
        _check_matrix(self, "scores", 1.0, "a number in [0, 1]")
        if self.costs is not None:
            _check_matrix(self, "costs", np.inf, "a number of dollars, at least 0")
        if self.embeddings is not None:
            _check_embeddings(self)

    def __len__(self) -> int:
        return len(self.ids)

    def data_hash(self) -> str:
        """sha256 (hex) over everything a run can depend on: name, ids, models, scores, costs, vectors.

        Vectors that an encoder made count as the prompts and the encoder that they come from: their last
        bits may differ between processors.
        """
        digest = hashlib.sha256()
        about = [self.name, self.stand_in, self.ids, self.models]
        encoded = "encoder" in self.report
        if encoded:
            about += [self.prompts, self.report["encoder"], self.report["max_tokens"]]
        digest.update(json.dumps(about).encode())
        for array in (self.scores, self.costs, None if encoded else self.embeddings):
            if array is not None:
                digest.update(str(array.shape).encode())
                digest.update(array.astype("<f8").tobytes())
        return digest.hexdigest()

    def with_embeddings(self, embeddings: np.ndarray | None, **found: Any) -> RoutingTable:
        """The same table with unit rows, shape (n, d), and `found` added to its report."""
        report = {**self.report, **found}
        return dataclasses.replace(self, embeddings=embeddings, report=report)

    def utility(self, lam: float) -> np.ndarray:
        """Score minus `lam` (score per dollar) times cost: float64, shape (n, N)."""
        if not (np.isfinite(lam) and lam >= 0):
            raise ValueError(f"lam is {lam}; expected a finite number, at least 0")
        if self.costs is None:
            if lam > 0:
                raise ValueError(f"lam is {lam}, but {self.name} has no costs; expected 0")
            return self.scores
        return self.scores - lam * self.costs


@dataclass(frozen=True, eq=False)
class Split:
    """Row numbers (int64) of the three disjoint parts of a table that a run may touch."""

    tuning: np.ndarray
    pool: np.ndarray
    refinement: np.ndarray


def largest_pool(table: RoutingTable, most: int = 1000, refinement_size: int = 110) -> int:
    """The size of the job pool that the rows allow besides tuning and refinement rows, at most `most`.

    Raises ValueError if none is left; the message says how many rows are needed.
    """
    left = len(table) - len(table) // 5 - refinement_size
    if left < 1:
        raise ValueError(
            f"{table.name}: found {len(table)} rows, expected more than {refinement_size * 5 // 4} "
            f"(a fifth for tuning, {refinement_size} for refinement, the others for the pool)"
        )
    return min(most, left)


def split_rows(
    table: RoutingTable, seed: int, pool_size: int = 1000, refinement_size: int = 110
) -> Split:
    """Set the tuning fifth aside, then split the other rows by the run's seed.

    The tuning rows are those with the lowest sha256 of their id: the same fifth for every seed
    and every order of the rows, so nothing tuned on them was ever in a reported pool. The others
    are permuted by `seed`; the first `pool_size` are the job pool and the next
    `refinement_size` the refinement set of the contrastive projection (arXiv 2602.02061).

    Raises
    ------
    ValueError
        `pool_size` < 1, `refinement_size` < 0, or too few rows for both.
    """
    if pool_size < 1:
        raise ValueError(f"pool_size is {pool_size}; a job pool needs at least 1 row")
    if refinement_size < 0:
        raise ValueError(f"refinement_size is {refinement_size}; expected at least 0")
    keys = np.array([hashlib.sha256(row.encode()).hexdigest() for row in table.ids])
    by_key = np.argsort(keys, kind="stable")
    tuning, rest = (np.sort(part) for part in np.split(by_key, [len(table) // 5]))
    if pool_size + refinement_size > len(rest):
        raise ValueError(
            f"{table.name}: a pool of {pool_size} and a refinement set of {refinement_size} need "
            f"{pool_size + refinement_size} rows, but {len(rest)} of {len(table)} are left besides "
            f"the {len(tuning)} tuning rows; a pool of {max(0, len(rest) - refinement_size)} fits"
        )
    seeds = np.random.SeedSequence([seed, zlib.crc32(b"split")])
    order = np.random.Generator(np.random.Philox(seeds)).permutation(rest)
    pool, refinement, _ = np.split(order, [pool_size, pool_size + refinement_size])
    return Split(tuning, pool, refinement)


def departure_odds(utility: np.ndarray, r_low: float = 0.1, r_high: float = 0.99) -> np.ndarray:
    """Odds r / (1 - r) that a single offered model makes the query depart.

    Utility, shape (n, N), is stretched linearly to departure probabilities r in [r_low, r_high].
    Its minimum and maximum are taken over all rows given and all models, so give exactly the job
    pool. Returns float64 of shape (n, N); the odds play the part of exp(x' theta_j) in the
    multinomial-logit model (arXiv 2602.02061).

    Raises
    ------
    ValueError
        No rows, values that are not finite, a constant utility, or not 0 < r_low < r_high < 1.
    """
    utility = np.asarray(utility, dtype=np.float64)
    if not 0 < r_low < r_high < 1:
        raise ValueError(f"r_low is {r_low} and r_high {r_high}; expected 0 < r_low < r_high < 1")
    if utility.ndim != 2 or utility.size == 0:
        raise ValueError(f"utility has shape {utility.shape}; expected (rows, models), both >= 1")
    if not np.isfinite(utility).all():
        row, column = np.argwhere(~np.isfinite(utility))[0]
        raise ValueError(f"utility[{row}, {column}] is {utility[row, column]}; expected a number")
    low, high = utility.min(), utility.max()
    if not high > low:
        raise ValueError(f"utility is {low} in every row and model; there is nothing to route by")
    departure = r_low + (r_high - r_low) * ((utility - low) / (high - low))
    return departure / (1.0 - departure)


def _check_names(table: RoutingTable) -> None:
    if not table.name:
        raise ValueError("a routing table needs a name: it is printed in every title")
    for field in ("prompts", "families"):
        found = len(getattr(table, field))
        if found != len(table.ids):
            raise ValueError(f"{table.name}: {found} {field} for {len(table.ids)} row ids")
    if not table.ids or not table.models:
        found = f"{len(table.ids)} rows and {len(table.models)} models"
        raise ValueError(f"{table.name}: {found}; expected at least one of each")
    for what, names in (("row id", table.ids), ("model", table.models)):
        first: dict[str, int] = {}
        for place, name in enumerate(names):
            if first.setdefault(name, place) != place:
                raise ValueError(f"{table.name}: {what} {name!r} is at {first[name]} and {place}")


def _check_matrix(table: RoutingTable, field: str, high: float, wanted: str) -> None:
    values, expected = getattr(table, field), (len(table.ids), len(table.models))
    if values.shape != expected:
        says = f"{field} has shape {values.shape}; expected {expected}, rows and models"
        raise ValueError(f"{table.name}: {says}")
    bad = ~(np.isfinite(values) & (values >= 0) & (values <= high))
    if bad.any():
        row, column = np.argwhere(bad)[0]
        place = f"{field} of row {row} ({table.ids[row]!r}), model {table.models[column]!r}"
        raise ValueError(f"{table.name}: {place} is {values[row, column]}; expected {wanted}")


def _check_embeddings(table: RoutingTable) -> None:
    values = table.embeddings
    if values.ndim != 2 or values.shape[0] != len(table.ids) or values.shape[1] == 0:
        says = f"embeddings have shape {values.shape}; expected ({len(table.ids)}, d)"
        raise ValueError(f"{table.name}: {says}")
    norms = np.linalg.norm(values, axis=1)
    bad = ~(np.abs(norms - 1.0) <= UNIT_TOLERANCE)  # also true where a norm is NaN
    if bad.any():
        row = int(np.argmax(bad))
        says = f"the embedding of row {row} ({table.ids[row]!r}) has norm {norms[row]}"
        raise ValueError(f"{table.name}: {says}; expected rows of length 1")
