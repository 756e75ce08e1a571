"""Arrivals from arrays and traces: what the simulator does with several in a round."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cqb
from cqb.arrivals import Trace
from cqb.environment import Environment, draw
from cqb.experiments import OverloadWarning
from cqb.policies import POLICIES, Service
from cqb.simulate import simulate
from cqb.streams import Streams

T = 60


def environment(P=7, N=3, seed=0):
    rng = np.random.default_rng(seed)
    odds = rng.uniform(0.2, 3.0, (P, N))
    return Environment(np.eye(P), np.arange(P), odds, "small", True)


def play(name, draws, fresh_rate=None, seed=1):
    here = environment()
    service = Service(here.contexts, here.n_models, 1, T, 0.5, fresh_rate=fresh_rate)
    return simulate(here, POLICIES[name].make(service, Streams(seed), here), 1, draws)


@pytest.mark.parametrize("name", ["ACQB", "ORACLE", "RANDOM", "TS-memory", "Q-UCB"])
def test_bernoulli_arrivals_given_as_numbers_change_nothing(name):
    plain = draw(Streams(1), 7, 0.5, T)
    counted = draw(Streams(1), 7, 0.0, T, plain.arrives.astype(int))
    first, second = play(name, plain), play(name, counted)
    for field in ("queue", "query", "row", "pick", "regret", "departed"):
        assert (getattr(first, field) == getattr(second, field)).all()


@given(st.lists(st.integers(0, 4), min_size=T, max_size=T))
def test_queries_are_conserved_and_come_in_their_round(numbers):
    numbers = np.array(numbers)
    run = play("RANDOM", draw(Streams(3), 7, 0.0, T, numbers))
    assert (np.bincount(run.arrived, minlength=T + 1)[1:] == numbers).all()
    gone = np.bincount(run.departed[run.departed > 0], minlength=T + 1)[1:]
    assert (run.queue[1:] == np.cumsum(numbers) - np.cumsum(gone)).all()
    served = run.query >= 0
    assert (run.arrived[run.query[served]] < np.flatnonzero(served) + 1).all()


def test_the_newest_arrival_of_a_burst_is_explored():
    numbers = np.zeros(T, int)
    numbers[4] = 3
    run = play("ACQB", draw(Streams(5), 7, 0.0, T, numbers), fresh_rate=1.0)
    # Forced exploration may follow the burst only, and takes the last of its three queries.
    explored = np.flatnonzero(run.forced)
    assert set(explored) <= {5}
    assert set(run.query[explored]) <= {2}
    assert run.queue[5] == 3


def test_all_policies_meet_the_same_burst():
    numbers = np.random.default_rng(0).poisson(0.5, T)
    first, second = (
        play(name, draw(Streams(2), 7, 0.0, T, numbers)) for name in ("ACQB", "ORACLE")
    )
    assert (first.arrived == second.arrived).all()


gaps = st.lists(st.floats(0.01, 50.0), min_size=60, max_size=120)


@given(gaps, st.floats(0.2, 0.9), st.integers(0, 99))
def test_a_trace_is_stretched_to_its_rate(gaps, rate, seed):
    times = np.cumsum([0.001, *gaps, 1.0])
    numbers = Trace("trace", times).per_round(rate, 50, Streams(seed))
    assert numbers.shape == (50,)
    assert numbers.sum() == round(rate * 50)
    assert (numbers >= 0).all()


def test_even_arrivals_stay_even_and_ties_stay_together():
    even = Trace("even", np.arange(101.0)).per_round(0.5, 100, Streams(0))
    assert even.sum() == 50
    assert even.max() == 1
    pairs = Trace("pairs", np.repeat(np.arange(60.0), 2)).per_round(0.5, 100, Streams(4))
    assert set(pairs) <= {0, 1, 2}
    assert (pairs == 2).sum() >= 24


@pytest.mark.parametrize(
    ("times", "message"),
    [
        ([], "log: found 0 requests, expected at least 2"),
        ([1.0], "log: found 1 requests"),
        ([0.0, 2.0, 1.0], "log, request 2: found 1.0, expected times in order"),
        ([0.0, np.nan, 1.0], "log, request 1: found nan, expected a number"),
        ([3.0, 3.0], "log: all 2 requests arrive at one time"),
    ],
)
def test_a_wrong_trace_is_named(times, message):
    with pytest.raises(ValueError, match=message):
        Trace("log", np.array(times))


def test_a_short_trace_says_how_many_it_needs():
    with pytest.raises(ValueError, match=r"log: found 9 requests, expected more than the 50 of"):
        Trace("log", np.arange(9.0)).per_round(0.5, 100, Streams(0))


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ([1] * (T - 1), rf"arrivals: found shape \(59,\), expected \({T},\)"),
        ([0.5] * T, "arrivals: found 0.5 in round 1, expected a whole number"),
        ([0, -1] + [0] * (T - 2), "arrivals: found -1 in round 2"),
    ],
)
def test_wrong_numbers_are_named(numbers, message):
    with pytest.raises(ValueError, match=message):
        cqb.run(environment(), ["RANDOM"], T=T, seeds=[1], arrivals=numbers)


def test_run_takes_numbers_and_traces():
    here = environment()
    numbers = np.tile([2, 0, 0, 0], 25)
    tidy = cqb.run(here, ["ACQB", "RANDOM"], T=100, seeds=[1, 2], arrivals=numbers, checkpoints=4)
    assert set(tidy["arrival_rate"]) == {0.5}
    trace = Trace("log", np.cumsum(np.random.default_rng(0).pareto(1.0, 500)))
    bursts = cqb.run(here, ["ACQB"], T=100, seeds=[1, 2], arrivals=trace, arrival_rate=0.4)
    assert set(bursts["arrival_rate"]) == {0.4}


def test_more_than_one_queue_can_take_runs_and_says_so():
    with pytest.warns(OverloadWarning, match=r"arrivals: found 2 queries a round, more than the 0"):
        tidy = cqb.run(environment(), ["ORACLE"], T=T, seeds=[1], arrivals=[2] * T)
    assert tidy["queue"].iloc[-1] > T / 2
