"""Seconds per run on the stand-in: every policy, and the plain reference beside the fast learner.

`make bench` runs this and keeps the record in .benchmarks/bench.json. Compare within one record
only: the machine differs from one to the next.
"""

import sys
from pathlib import Path

import pytest

from cqb import datasets
from cqb.environment import draw, from_table
from cqb.policies import POLICIES, Service
from cqb.simulate import simulate
from cqb.streams import Streams

sys.path.insert(0, str(Path(__file__).parents[1]))
from reference_learner import ReferenceLearner
from sliders import picture

RATES = {1: 0.5, 2: 0.65}


@pytest.fixture(scope="module")
def world():
    return from_table(datasets.load("routerbench-standin", None), seed=42, lam=5.0)


def _run(world, make, K, T):
    """A run of T rounds of a horizon of 5,000, so that settings do not depend on T."""
    service = Service(world.contexts, world.n_models, K, 5000, RATES[K])
    draws = draw(Streams(42), world.pool_size, RATES[K], T)
    return simulate(world, make(service), K, draws)


@pytest.mark.parametrize("K", [1, 2])
@pytest.mark.parametrize("name", ["ORACLE", "ACQB", "CQB-eps", "Q-UCB", "Q-ThS", "RANDOM"])
def test_a_whole_run(benchmark, world, name, K):
    entry = POLICIES[name]
    if entry.k1_only and K != 1:
        pytest.skip("defined for K = 1 only")
    benchmark.group = f"whole run, K = {K}, T = 5000"
    benchmark.pedantic(
        _run, (world, lambda s: entry.make(s, Streams(42), world), K, 5000), rounds=2
    )


@pytest.mark.parametrize("K", [1, 2])
@pytest.mark.parametrize("form", ["fast", "reference"])
def test_the_first_rounds(benchmark, world, form, K):
    T = 400 if K == 1 else 150
    benchmark.group = f"first {T} rounds, K = {K}: fast learner and plain reference"
    makers = {
        "fast": lambda s: POLICIES["ACQB"].make(s, Streams(42), world),
        "reference": lambda s: ReferenceLearner(s, Streams(42)),
    }
    run = benchmark.pedantic(_run, (world, makers[form], K, T), rounds=2)
    benchmark.extra_info["served"] = int((run.query >= 0).sum())


def test_the_sliders_answer_within_a_second(benchmark):
    settings = {"seed": 2, "arrival_rate": 0.95, "K": 2, "exploring": 0.15, "ridge": 0.25}
    benchmark.pedantic(picture, (300,), settings, rounds=3, warmup_rounds=1)
    assert benchmark.stats.stats.min < 1.0
