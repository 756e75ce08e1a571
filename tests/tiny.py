"""A table and settings so small that a whole experiment takes a moment; worker processes import it."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from cqb.environment import Environment, from_table
from cqb.experiments import Experiment
from cqb.routing_table import RoutingTable
from cqb.runs import Cell

POOL = 40
FATAL = "CQB_TEST_FATAL"  # names a file; where it stands, a fatal world ends its process


def table(rows: int = 200, d: int = 6, models: int = 4) -> RoutingTable:
    """A routing table of random prompts whose scores depend on their vectors."""
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(rows, d))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    skill = vectors @ rng.normal(size=(d, models)) + 0.3 * rng.normal(size=(rows, models))
    return RoutingTable(
        name="Tiny stand-in",
        stand_in=True,
        ids=tuple(f"row {row}" for row in range(rows)),
        prompts=tuple(f"prompt {row}" for row in range(rows)),
        families=("tiny",) * rows,
        models=tuple("ABCDEFG"[:models]),
        scores=1.0 / (1.0 + np.exp(-2.0 * skill)),
        costs=rng.uniform(0.001, 0.02, size=(rows, models)),
        embeddings=vectors,
    )


SETTINGS = Experiment(
    dataset="tiny",
    cells=(Cell(1, 0.0, 0.3), Cell(2, 5.0, 0.5)),
    policies=("RANDOM", "ACQB", "Q-UCB"),
    seeds=(43, 42),
    T=200,
    pool_size=POOL,
    checkpoints=7,
)


CLUSTER = {"K": 2, "lam": 1.0, "arrival_rate": 0.5, "T": 100, "seeds": range(6), "pool_size": POOL}


class FatalWorld(Environment):
    """An environment that ends the process it is used in while a marker file stands.

    The marker holds how many processes are still to be ended.
    """

    def departure_rates(self, K: int) -> np.ndarray:
        marker = Path(os.environ[FATAL])
        left = int(marker.read_text())
        if left:
            marker.write_text(str(left - 1))
            os._exit(9)
        return super().departure_rates(K)


def fatal_world() -> FatalWorld:
    """The environment of seed 42 in its fatal form."""
    e = from_table(table(), 42, 0.0, POOL)
    return FatalWorld(e.contexts, e.context_of, e.odds, e.name, e.stand_in, e.rows)


@contextmanager
def full_disk(size: int = 500) -> Iterator[None]:
    """Within the block no file may grow beyond `size` bytes, as if the disk were full then."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
