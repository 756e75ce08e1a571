"""Generated workloads: arrivals with or without bursts, and requests of eight topics.

Every part is drawn from its own named stream (:mod:`cqb.streams`): two loads of one seed have the
same requests, and another rate stretches the same gaps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cqb.streams import Streams

from .system import NAMES, System
from .workload import Batch, Workload, stack

KINDS = ("Poisson", "Gamma")
BURSTINESS = 4.0  # squared coefficient of variation of Gamma gaps (1 for Poisson arrivals)
TOPICS = 8
MEAN_SCORES = np.linspace(0.74, 0.70, len(NAMES))
LENGTH_FACTORS = np.array([1.0, 1.15, 0.85, 1.0, 1.05, 0.95])
SKILL_SEED = 7  # the experts' skills on topics are the same in every workload


@dataclass(frozen=True, order=True)
class Load:
    """How requests arrive: "Poisson" or bursty "Gamma" gaps, at a mean rate in requests per second."""

    kind: str
    rate: float

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind: found {self.kind!r}, expected one of {', '.join(KINDS)}")
        if not 0.0 < self.rate < np.inf:
            raise ValueError(f"rate: found {self.rate}, expected a positive number per second")

    def __str__(self) -> str:
        return f"{self.kind} {self.rate:g}"


def arrivals(load: Load, T: int, streams: Streams) -> np.ndarray:
    """Arrival times of T requests, (T,) float64 seconds; the first gap starts at time 0."""
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


def batch_of(loads: Sequence[Load], seeds: Sequence[int], T: int, system: System) -> Batch:
    """Generated workloads, load by load and within a load seed by seed, each checked to fit.

    Raises
    ------
    RequestNeverFits
        An expert's memory is too small for one of the requests.
    """
    workloads = [workload(load, seed, T, system.N) for load in loads for seed in seeds]
    for one in workloads:
        one.check_fits(system)
    return stack(workloads)


def _tokens(values: np.ndarray, low: float, high: float) -> np.ndarray:
    return np.clip(np.rint(values), low, high).astype(np.int64)
