"""Requests as arrays, and a generator of them.

The length of a response is that of the recorded (or generated) answer of the expert that serves it. So a
workload fixes all randomness, and every policy meets the same requests.

Generated arrivals may have bursts, and generated requests have eight topics. Each part has a stream of
its own (:mod:`cqb.streams`): loads of one seed share their requests, and a rate stretches their gaps.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cqb.arrivals import Trace
from cqb.streams import Streams

from .system import NAMES, System

KINDS = ("Poisson", "Gamma")
RECORDED = "Azure code trace"  # times and tokens of a trace, see :func:`replay`
BURSTINESS = 4.0  # squared coefficient of variation of Gamma gaps (1 for Poisson arrivals)
TOPICS = 8
MEAN_SCORES = np.linspace(0.74, 0.70, len(NAMES))
LENGTH_FACTORS = np.array([1.0, 1.15, 0.85, 1.0, 1.05, 0.95])
SKILL_SEED = 7  # the experts' skills on topics are the same in every workload


class RequestNeverFits(ValueError):
    """A request is larger than an expert's memory, so it could never finish there.

    Attributes
    ----------
    row : the request's number in its workload. expert : the expert's name.
    """

    def __init__(self, row: int, expert: str, tokens: int, memory: int) -> None:
        super().__init__(
            f"request {row}: found {tokens} tokens (prompt and response) for {expert}, expected at "
            f"most the {memory} that its memory holds"
        )
        self.row, self.expert = row, expert


@dataclass(frozen=True, eq=False)
class Batch:
    """B workloads of T requests for N experts each, to be served in lock-step.

    Attributes
    ----------
    arrivals : (B, T) float64 seconds, not falling; requests that arrive together are decided in order.
    prompts : (B, T) int64 tokens. lengths : (B, N, T) int64 tokens of each expert's response, d.
    scores : (B, N, T) float64, its quality s. predicted_scores, predicted_lengths : (B, N, T), what
        a router knows of them on arrival; the lengths are whole tokens (int64).
    """

    arrivals: np.ndarray
    prompts: np.ndarray
    lengths: np.ndarray
    scores: np.ndarray
    predicted_scores: np.ndarray
    predicted_lengths: np.ndarray

    @property
    def N(self) -> int:
        """Experts."""
        return self.lengths.shape[-2]

    @property
    def T(self) -> int:
        """Requests."""
        return self.lengths.shape[-1]

    def check_fits(self, system: System) -> None:
        """Raise RequestNeverFits for a request that some expert could never finish.

        Raises
        ------
        ValueError
            The requests are for another number of experts than the system has.
        """
        if self.N != system.N:
            raise ValueError(f"workload: found {self.N} experts, expected the system's {system.N}")
        tokens = self.prompts[..., None, :] + self.lengths
        memory = system.of_each("memory")
        if (over := tokens > memory[:, None]).any():
            *_, n, row = place = _first(over)
            raise RequestNeverFits(row, system.experts[n].name, tokens[place], memory[n])


@dataclass(frozen=True, eq=False)
class Workload(Batch):
    """One workload: the arrays of a batch without their axis B, checked.

    Raises
    ------
    ValueError
        Empty, of unequal sizes, or a value out of range; the message names array and request.
    """

    def __post_init__(self) -> None:
        for name, values in vars(self).items():
            array = _whole(name, values) if _counts(name) else np.asarray(values, np.float64)
            object.__setattr__(self, name, array)
        if self.arrivals.ndim != 1 or self.arrivals.size == 0:
            shape = self.arrivals.shape
            raise ValueError(f"arrivals: found shape {shape}, expected at least one request")
        if self.lengths.ndim != 2 or self.N == 0:
            shape = self.lengths.shape
            raise ValueError(f"lengths: found shape {shape}, expected (experts, requests)")
        sizes = self.N, self.arrivals.size
        for name, values in vars(self).items():
            wanted = sizes[1:] if name in ("arrivals", "prompts") else sizes
            if values.shape != wanted:
                raise ValueError(f"{name}: found shape {values.shape}, expected {wanted}")
            if _counts(name):
                _refuse(name, values, values < 1, " tokens, expected at least 1")
            else:
                _refuse(name, values, ~np.isfinite(values), ", expected a finite number")
        back = np.append(False, np.diff(self.arrivals) < 0)
        before = self.arrivals[int(back.argmax()) - 1]
        _refuse("arrivals", self.arrivals, back, f" s after {before:g} s, expected times in order")


def stack(workloads: Sequence[Workload]) -> Batch:
    """Workloads as one batch.

    Raises
    ------
    ValueError
        There is none, or they differ in their numbers of experts or requests.
    """
    if not workloads:
        raise ValueError("workloads: found none, expected at least one")
    if len(shapes := {(w.N, w.T) for w in workloads}) > 1:
        raise ValueError(
            f"workloads: found sizes {sorted(shapes)}, expected one (experts, requests)"
        )
    return Batch(*map(np.stack, zip(*(vars(w).values() for w in workloads), strict=True)))


@dataclass(frozen=True)
class Load:
    """How requests arrive, and how many per second: "Poisson", bursty "Gamma" gaps, or as recorded."""

    kind: str
    rate: float

    def __post_init__(self) -> None:
        if self.kind not in (kinds := (*KINDS, RECORDED)):
            raise ValueError(f"kind: found {self.kind!r}, expected one of {', '.join(kinds)}")
        if not 0.0 < self.rate < np.inf:
            raise ValueError(f"rate: found {self.rate}, expected a positive number per second")

    def __str__(self) -> str:
        return f"{self.kind} {self.rate:g}"


def arrivals(load: Load, T: int, streams: Streams) -> np.ndarray:
    """Arrival times of T requests, (T,) float64 seconds; the first gap starts at time 0.

    Raises ValueError for a recorded load, whose times are those of its trace (:func:`replay`).
    """
    if load.kind not in KINDS:
        raise ValueError(f"kind: found {load.kind!r}, expected one of {', '.join(KINDS)}")
    random = streams.generator(f"{load.kind} gaps")
    if load.kind == "Poisson":
        gaps = random.exponential(size=T)
    else:
        gaps = random.gamma(1.0 / BURSTINESS, BURSTINESS, size=T)
    return np.cumsum(gaps) / load.rate


def skills() -> np.ndarray:
    """What each of the six experts adds to its mean score on each topic, (6, 8) float64."""
    random = Streams(SKILL_SEED).generator("expert skills")
    return random.normal(0.0, 0.06, size=(len(NAMES), TOPICS))


def topics(T: int, streams: Streams) -> np.ndarray:
    """The topic of each of T requests, (T,) int64 from 0 to 7."""
    return streams.generator("topics").integers(0, TOPICS, size=T)


def requests(times: np.ndarray, N: int, streams: Streams) -> Workload:
    """Requests for N experts that arrive at the given times (T,).

    Prompts are lognormal (median 50 tokens, sigma .8, within 4 to 512); responses lognormal (median
    90, sigma .6) times the expert's factor and a lognormal of sigma .25, within 8 to 512; both are
    rounded to whole tokens. A score is the expert's mean, its skill on the topic and noise of sd
    .04, within 0 to 1. Predictions miss scores by sd .03 and lengths by a lognormal factor of sigma .35.

    Raises
    ------
    ValueError
        N is not between 1 and 6.
    """
    if not 1 <= N <= len(NAMES):
        raise ValueError(f"N: found {N}, expected 1 to {len(NAMES)} experts")
    T = times.size

    def normal(stream: str, sd: float) -> np.ndarray:
        # A row for each of the six experts is always drawn: fewer experts see the same requests.
        return streams.generator(stream).normal(0.0, sd, size=(T, len(NAMES))).T

    noise = normal("response lengths", 0.25)[:N]
    length = normal("lengths", 0.6)[0] + noise
    lengths = _tokens(90.0 * LENGTH_FACTORS[:N, None] * np.exp(length), 8, 512)
    quality = MEAN_SCORES[:N, None] + skills()[:N, topics(T, streams)]
    scores = np.clip(quality + normal("scores", 0.04)[:N], 0.0, 1.0)
    guess = lengths * np.exp(normal("length predictions", 0.35)[:N])
    return Workload(
        arrivals=times,
        prompts=_tokens(50.0 * np.exp(normal("prompts", 0.8)[0]), 4, 512),
        lengths=lengths,
        scores=scores,
        predicted_scores=scores + normal("score predictions", 0.03)[:N],
        predicted_lengths=_tokens(guess, 1, np.inf),
    )


def workload(load: Load, seed: int, T: int, N: int = 3) -> Workload:
    """T generated requests for N experts under a load; the seed decides everything else."""
    if T < 1:
        raise ValueError(f"T: found {T}, expected at least 1 request")
    streams = Streams(seed)
    return requests(arrivals(load, T, streams), N, streams)


def replay(
    trace: Trace, rate: float, seed: int, T: int, N: int = 3, *, tokens: bool = False
) -> Workload:
    """T requests that arrive as in a window of the trace, stretched to a mean rate per second.

    The seed picks the window and draws the requests. A trace has no scores, so these are generated.

    Parameters
    ----------
    tokens : take prompts and lengths from the trace too, one length for all experts; otherwise they are
        generated. Lengths are predicted with the error of generated ones.

    Raises
    ------
    ValueError
        The rate is not positive, or as :meth:`cqb.arrivals.Trace.window`.
    """
    if not 0.0 < rate < np.inf:
        raise ValueError(f"rate: found {rate}, expected a positive number per second")
    streams = Streams(seed)
    start = trace.window(T, streams)
    here = slice(start + 1, start + T + 1)
    times = trace.times[here] - trace.times[start]
    made = requests(times * (T / rate / times[-1]), N, streams)
    if not tokens:
        return made
    lengths = np.tile(trace.lengths[here], (N, 1))
    guess = lengths * (made.predicted_lengths / made.lengths)
    return replace(
        made,
        prompts=trace.prompts[here],
        lengths=lengths,
        predicted_lengths=_tokens(guess, 1, np.inf),
    )


def batch_of(loads: Sequence[Load], seeds: Sequence[int], T: int, N: int = 3) -> Batch:
    """Generated workloads, load by load and within a load seed by seed."""
    return stack([workload(load, seed, T, N) for load in loads for seed in seeds])


def _counts(name: str) -> bool:
    """Whether an array of requests holds tokens: positive whole numbers."""
    return name == "prompts" or name.endswith("lengths")


def _first(wrong: np.ndarray) -> tuple[int, ...]:
    """The place of the first request that is wrong, in an array (..., T) of bool."""
    return min(zip(*np.nonzero(wrong), strict=True), key=lambda place: place[-1])


def _refuse(name: str, values: np.ndarray, wrong: np.ndarray, text: str) -> None:
    """ValueError at the first request with a wrong value."""
    if wrong.any():
        place = _first(wrong)
        raise ValueError(f"{name}: request {place[-1]}: found {values[place]:g}{text}")


def _whole(name: str, values: np.ndarray) -> np.ndarray:
    """Token counts as int64; ValueError where one is not whole."""
    array = np.asarray(values)
    if not (np.isfinite(array) & (array == np.rint(array))).all():
        raise ValueError(f"{name}: found fractions, expected whole tokens")
    return array.astype(np.int64)


def _tokens(values: np.ndarray, low: float, high: float) -> np.ndarray:
    return np.clip(np.rint(values), low, high).astype(np.int64)
