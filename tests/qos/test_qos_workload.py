"""Workloads of the QoS system: what is generated, what is read from traces, what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from qos_reference import reference
from scipy import stats

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
from cqb_qos.traces import MalformedTrace, read_azure, read_burstgpt, replay
from cqb_qos.workloads import LENGTH_FACTORS, MEAN_SCORES, arrivals, batch_of, skills

AZURE = """TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:15:46.6805900,374,44
2023-11-16 18:15:50.9951690,396,109
2023-11-16 18:15:51.2225670,879,55
2023-11-16 18:16:51.2225671,91,16
"""
BURSTGPT = """Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type
5,ChatGPT,472,18,490,Conversation log
45,ChatGPT,1087,230,1317,Conversation log
45,GPT-4,417,276,693,Conversation log
118,ChatGPT,0,0,0,API log
185.5,ChatGPT,1360,647,2007,Conversation log
"""


def written(tmp_path, text: str, name: str = "trace.csv"):
    path = tmp_path / name
    path.write_text(text, "utf-8")
    return path


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


def test_azure_is_read_as_published(tmp_path):
    trace = read_azure(written(tmp_path, AZURE))
    assert trace.times == pytest.approx([0.0, 4.314579, 4.541977, 64.5419771], abs=1e-9)
    assert trace.prompts.tolist() == [374, 396, 879, 91]
    assert trace.lengths.tolist() == [44, 109, 55, 16]


def test_burstgpt_is_read_as_published(tmp_path):
    """Failed requests are an error unless they are skipped; ties and further columns are kept."""
    path = written(tmp_path, BURSTGPT)
    with pytest.raises(MalformedTrace, match="line 5, column Request tokens: found '0'"):
        read_burstgpt(path)
    trace = read_burstgpt(path, skip_failed=True)
    assert trace.times.tolist() == [0.0, 40.0, 40.0, 180.5]
    assert trace.lengths.tolist() == [18, 230, 276, 647]
    more = "Session ID,Elapsed time," + BURSTGPT.replace("\n", "\n7,1.5,").rstrip("7,1.5")
    assert read_burstgpt(written(tmp_path, more), skip_failed=True).times.tolist() == [
        0,
        40,
        40,
        180.5,
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "trace.csv: found no header"),
        (AZURE.splitlines()[0] + "\n", "found no requests below the header"),
        (AZURE.replace("ContextTokens", "Context"), "found no column ContextTokens among"),
        (AZURE.replace(",109", ",0"), "line 3, column GeneratedTokens: found '0', expected whole"),
        (AZURE.replace(",374,", ",-4,"), "line 2, column ContextTokens: found '-4'"),
        (AZURE.replace(",374,", ",3.5,"), "line 2, column ContextTokens: found '3.5'"),
        (AZURE.replace(",374,", ",,"), "line 2, column ContextTokens: found '', expected a number"),
        (AZURE.replace(",16\n", ",many\n"), "line 5, column GeneratedTokens: found 'many'"),
        (
            AZURE.replace("18:16:51", "18:15:47"),
            "line 5, column TIMESTAMP: .* expected times in order",
        ),
        (
            AZURE.replace("2023-11-16 18:16:51.2225671", "noon"),
            "line 5, column TIMESTAMP: found 'noon'",
        ),
    ],
)
def test_a_malformed_trace_is_refused_by_line_and_column(tmp_path, text, words):
    with pytest.raises(MalformedTrace, match=words):
        read_azure(written(tmp_path, text))


def test_a_trace_of_failures_only_is_refused(tmp_path):
    text = "\n".join([BURSTGPT.splitlines()[0], "5,ChatGPT,9,0,9,API log"])
    with pytest.raises(MalformedTrace, match="failed requests only"):
        read_burstgpt(written(tmp_path, text), skip_failed=True)
    with pytest.raises(FileNotFoundError):
        read_burstgpt(tmp_path / "none.csv")


def test_replaying_keeps_the_pattern_and_sets_the_rate(tmp_path):
    rows = [f"{t},ChatGPT,10,{10 + t % 7},0,API log" for t in np.cumsum(np.arange(200) % 5)]
    trace = read_burstgpt(written(tmp_path, "\n".join([BURSTGPT.splitlines()[0], *rows])))
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
        "T: found 200, expected 1 to 199": (trace, 1.0, 0, 200),
        "arrive all at one time": (replace(trace, times=np.zeros(200)), 1.0, 0, 10),
    }.items():
        with pytest.raises(ValueError, match=words):
            replay(*arguments)


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
