"""Our runs against the decisions that the authors' implementation took, given the same random numbers.

The authors' simulator and learners (arXiv 2602.02061, single precision) were run on the RouterBench
stand-in, lam 5, with the job pool, arrivals, outcome uniforms, coins and posterior normals of our
streams. The fixture holds, for each run, the query served, the assortment and the queue after every
round, and the cumulative regret after every hundredth.
"""

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from cqb import datasets
from cqb.files import read_arrays
from cqb.policies import LearnerSettings
from cqb.routing_table import RoutingTable
from cqb.runs import Cell, Task, play

FIXTURE = Path(__file__).parent / "fixtures" / "authors_decisions.npz"
EVERY = 100  # rounds between two stored regrets
CELLS = {1: Cell(1, 5.0, 0.5), 2: Cell(2, 5.0, 0.65)}
# Policy, K, seed, and the first round in which a near-tie of their single precision goes another way.
RUNS = [
    ("RANDOM", 1, 42, None),
    ("RANDOM", 2, 42, None),
    ("Q-UCB", 1, 42, None),
    ("Q-ThS", 1, 42, None),
    ("CQB-eps", 1, 42, None),
    ("ACQB-T", 2, 42, None),
    ("ACQB-T", 1, 42, 2485),
    ("ACQB-T", 1, 43, 1180),
]


@cache
def theirs() -> dict[str, np.ndarray]:
    return read_arrays(FIXTURE)


@cache
def table() -> RoutingTable:
    return datasets.load("routerbench-standin")


@pytest.mark.parametrize(("policy", "K", "seed", "near_tie"), RUNS)
def test_decisions_are_the_authors_in_every_round(policy, K, seed, near_tie):
    run = f"{policy}_K{K}_seed{seed}"
    query, assortment, queue, regret = (
        theirs()[f"{run}/{name}"] for name in ("query", "assortment", "queue", "regret")
    )
    # The horizon enters c1 and the radius, so ours is theirs.
    task = Task(CELLS[K], policy, seed, query.size, 1000, LearnerSettings())
    ours = play(task, table()).trajectory
    rounds = query.size if near_tie is None else near_tie - 1
    different = (ours.query != query) | (ours.assortment != assortment).any(axis=1)
    assert np.flatnonzero(different[:rounds]).size == 0
    assert (ours.queue[1:] == queue)[:rounds].all()
    count = rounds // EVERY
    found = ours.regret.cumsum()[EVERY - 1 :: EVERY][:count]
    assert found == pytest.approx(regret[:count], abs=2e-4)
