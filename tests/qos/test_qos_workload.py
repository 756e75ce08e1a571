"""Workloads of the QoS system: what is generated, what is read from traces, what is refused."""

from dataclasses import replace

import numpy as np
import pytest
from qos_reference import reference
from scipy import stats

from cqb.arrivals import Trace
from cqb.streams import Streams
from cqb_qos import (
    Episodes,
    Expert,
    Load,
    RequestNeverFits,
    System,
    Workload,
    default_system,
    serve,
    stack,
    workload,
)
from cqb_qos.workloads import (
    LENGTH_FACTORS,
    MEAN_SCORES,
    RECORDED,
    arrivals,
    batch_of,
    replay,
    skills,
)

STEPS = np.cumsum(np.arange(200) % 5)
TRACE = Trace("trace", STEPS, np.full(200, 10), 10 + STEPS % 7)


def test_gaps_follow_their_distributions():
    """Kolmogorov-Smirnov on 5,000 gaps: a wrong shape or scale would hardly be missed."""
    laws = {"Poisson": stats.expon(scale=1 / 3), "Gamma": stats.gamma(0.25, scale=4 / 3)}
    for kind, law in laws.items():
        times = arrivals(Load(kind, 3.0), 5000, Streams(1))
        assert stats.kstest(np.diff(times, prepend=0.0), law.cdf).pvalue > 1e-3
    assert laws["Gamma"].var() / laws["Gamma"].mean() ** 2 == pytest.approx(4.0)


def test_requests_are_as_described():
    """20,000 requests: medians are within four standard errors of those of the lognormal laws."""
    one = workload(Load("Poisson", 3.0), 2, 20_000, 6)
    error = 4 * 1.2533 / np.sqrt(20_000)
    assert abs(np.log(np.median(one.prompts) / 50)) < 0.8 * error + 0.02  # 0.02: whole tokens
    sigma = np.hypot(0.6, 0.25)
    for n in range(6):
        assert (
            abs(np.log(np.median(one.lengths[n]) / 90 / LENGTH_FACTORS[n])) < sigma * error + 0.01
        )
    assert one.prompts.min() == 4
    assert one.prompts.max() == 512
    assert one.lengths.min() >= 8
    assert one.lengths.max() == 512
    pair = one.lengths[:2, ((one.lengths[:2] > 12) & (one.lengths[:2] < 500)).all(axis=0)]
    assert np.log(pair[0] / pair[1]).std() == pytest.approx(0.25 * np.sqrt(2), rel=0.03)
    inner = (one.lengths > 60) & (one.lengths < 512)
    miss = np.log(one.predicted_lengths / one.lengths)[inner]
    assert miss.std() == pytest.approx(0.35, rel=0.02)
    assert abs(miss.mean()) < 0.005
    assert (one.predicted_scores - one.scores).std() == pytest.approx(0.03, rel=0.02)
    assert one.scores.mean(axis=1) == pytest.approx(MEAN_SCORES + skills().mean(axis=1), abs=0.004)
    spread = np.sqrt(0.04**2 + skills().var(axis=1))
    assert one.scores.std(axis=1) == pytest.approx(spread, rel=0.03)


def test_streams_keep_apart_what_is_drawn():
    """Another rate stretches the gaps; more requests or fewer experts change none that was there."""
    base = workload(Load("Poisson", 3.0), 4, 50, 3)
    fast, long = workload(Load("Poisson", 6.0), 4, 50, 3), workload(Load("Poisson", 3.0), 4, 80, 3)
    one, bursty = workload(Load("Poisson", 3.0), 4, 50, 1), workload(Load("Gamma", 3.0), 4, 50, 3)
    assert fast.arrivals == pytest.approx(base.arrivals / 2, rel=1e-15)
    for name in ("lengths", "scores", "predicted_scores", "predicted_lengths"):
        mine = getattr(base, name)
        for other in (fast, bursty):
            assert (getattr(other, name) == mine).all()
        assert (getattr(long, name)[:, :50] == mine).all()
        assert (getattr(one, name)[0] == mine[0]).all()
    assert (long.prompts[:50] == base.prompts).all()
    assert (workload(Load("Poisson", 3.0), 5, 50, 3).prompts != base.prompts).any()


def test_replaying_keeps_the_pattern_and_sets_the_rate():
    trace = TRACE
    one, other = (replay(trace, 4.0, seed, 100) for seed in (0, 1))
    assert one.arrivals[-1] == pytest.approx(100 / 4.0)
    gaps = np.diff(one.arrivals, prepend=0.0)
    original = np.diff(trace.times)
    windows = np.lib.stride_tricks.sliding_window_view(original, 100)
    scaled = windows * (25.0 / windows.sum(axis=1, keepdims=True))
    assert np.abs(scaled - gaps).max(axis=1).min() < 1e-9
    assert (one.prompts != other.prompts).any()
    assert (replay(trace, 4.0, 0, 100).arrivals == one.arrivals).all()
    for words, arguments in {
        "rate: found 0": (trace, 0.0, 0, 10),
        "trace: found 200 requests, expected more than the 200 of": (trace, 1.0, 0, 200),
        "arrive at one time": (replace(trace, times=np.repeat([0.0, 1.0], 100)), 1.0, 3, 10),
    }.items():
        with pytest.raises(ValueError, match=words):
            replay(*arguments)


def test_a_recorded_load_has_no_generated_arrivals():
    with pytest.raises(ValueError, match="kind: found 'Azure code trace', expected one of Poisson"):
        workload(Load(RECORDED, 2.0), 0, 10)


def test_recorded_tokens_replace_generated_ones():
    made, recorded = (replay(TRACE, 4.0, 1, 100, tokens=tokens) for tokens in (False, True))
    assert (recorded.arrivals == made.arrivals).all()
    assert (recorded.scores == made.scores).all()
    assert set(recorded.prompts) == {10}
    assert (recorded.lengths == recorded.lengths[0]).all()
    start = np.flatnonzero(
        [(TRACE.lengths[i : i + 100] == recorded.lengths[0]).all() for i in range(101)]
    )
    assert start.size
    ratio = recorded.predicted_lengths / recorded.lengths
    assert ratio == pytest.approx(made.predicted_lengths / made.lengths, rel=0.1)


def test_requests_of_one_time_are_served_in_order():
    one = workload(Load("Poisson", 8.0), 3, 80)
    tied = replace(one, arrivals=np.floor(one.arrivals))
    assert (np.diff(tied.arrivals) == 0).sum() > 50
    actions = np.random.default_rng(0).integers(0, 3, size=(1, 80))
    outcome = serve(stack([tied]), default_system(), lambda decision: actions[:, decision.index])
    requests, _ = reference(tied, default_system(), actions[0].tolist())
    assert outcome.finish[0] == pytest.approx([r.finish for r in requests], abs=1e-9)


def test_a_request_that_can_never_fit_is_named():
    system = System((Expert("roomy"), Expert("small", memory=150)))
    d = np.array([[60, 61, 10], [50, 61, 10]])
    s = np.full((2, 3), 0.5)
    one = Workload(np.arange(3.0), np.array([90, 90, 90]), d, s, s, d)
    with pytest.raises(
        RequestNeverFits, match=r"request 1: found 151 tokens .* for small"
    ) as caught:
        one.check_fits(system)
    assert (caught.value.row, caught.value.expert) == (1, "small")
    one.check_fits(System((Expert("roomy"), Expert("enough", memory=151))))
    with pytest.raises(ValueError, match="found 2 experts, expected the system's 3"):
        one.check_fits(default_system())
    with pytest.raises(RequestNeverFits):
        Episodes(batch_of([Load("Poisson", 1.0)], [0], 500), default_system().with_(memory=300))


GOOD = {
    "arrivals": np.array([0.0, 0.5]),
    "prompts": np.array([5, 6]),
    "lengths": np.array([[7, 8]]),
    "scores": np.array([[0.5, 0.6]]),
    "predicted_scores": np.array([[0.5, 0.6]]),
    "predicted_lengths": np.array([[7, 8]]),
}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"arrivals": np.array([])}, "arrivals: found shape .*, expected at least one request"),
        ({"arrivals": np.array([1.0, 0.5])}, "arrivals: request 1: found 0.5 s after 1 s"),
        ({"arrivals": np.array([0.0, np.nan])}, "arrivals: request 1: found nan"),
        ({"prompts": np.array([5, 0])}, "prompts: request 1: found 0 tokens, expected at least 1"),
        ({"lengths": np.array([[-2, 8]])}, "lengths: request 0: found -2 tokens"),
        ({"lengths": np.array([[7.5, 8]])}, "lengths: found fractions, expected whole tokens"),
        ({"predicted_lengths": np.array([[0, 8]])}, "predicted_lengths: request 0: found 0"),
        ({"scores": np.array([[0.5, np.inf]])}, "scores: request 1: found inf"),
        ({"scores": np.array([[0.5]])}, r"scores: found shape \(1, 1\), expected \(1, 2\)"),
        ({"prompts": np.array([5, 6, 7])}, r"prompts: found shape \(3,\), expected \(2,\)"),
        ({"lengths": np.empty((0, 2))}, r"lengths: found shape \(0, 2\), expected \(experts"),
    ],
)
def test_a_bad_workload_is_refused_by_array_and_request(change, words):
    Workload(**GOOD)
    with pytest.raises(ValueError, match=words):
        Workload(**{**GOOD, **change})


def test_bad_settings_are_refused_by_name():
    one, longer = workload(Load("Poisson", 1.0), 0, 5), workload(Load("Poisson", 1.0), 0, 6)
    for words, call in {
        "experts: found none": lambda: System(()),
        "N: found 7, expected 1 to 6": lambda: default_system(7),
        "limit: found 0": lambda: default_system().with_(limit=0.0),
        "chatty.memory: found 1": lambda: Expert("chatty", memory=1),
        "chatty.c0: found 0": lambda: Expert("chatty", c0=0.0),
        "chatty.k2: found -1": lambda: Expert("chatty", k2=-1.0),
        "kind: found 'Weibull'": lambda: Load("Weibull", 1.0),
        "rate: found -1": lambda: Load("Poisson", -1.0),
        "T: found 0": lambda: workload(Load("Poisson", 1.0), 0, 0),
        "N: found 0": lambda: workload(Load("Poisson", 1.0), 0, 5, 0),
        "workloads: found none": lambda: stack([]),
        r"found sizes \[\(3, 5\), \(3, 6\)\]": lambda: stack([one, longer]),
    }.items():
        with pytest.raises(ValueError, match=words):
            call()
    with pytest.raises(ValueError, match="experts: found none"):
        default_system(0)
