"""Arrivals other than Bernoulli's: numbers of queries per round, from an array or a recorded trace.

A trace is cut into rounds of equal length, so several queries may arrive in one round. All policies of
a run meet the same arrivals. Users of a real service come in bursts: in the Azure trace of code requests
the gaps between arrivals have a coefficient of variation of 13, where Bernoulli's is below 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .streams import Streams


@dataclass(frozen=True, eq=False)
class Trace:
    """Recorded requests in order of arrival.

    Attributes
    ----------
    name : printed in titles. times : (n,) float64, seconds; equal times arrive together.

    Raises
    ------
    ValueError
        Fewer than two requests, a time that is no number or before the one above it, or all at one time.
    """

    name: str
    times: np.ndarray

    def __post_init__(self) -> None:
        times = np.asarray(self.times, dtype=np.float64)
        object.__setattr__(self, "times", times)
        if times.ndim != 1 or times.size < 2:
            raise ValueError(f"{self.name}: found {times.size} requests, expected at least 2")
        for bad, wanted in ((~np.isfinite(times), "a number"), (self._falls(), "times in order")):
            if bad.any():
                row = int(bad.argmax())
                raise ValueError(
                    f"{self.name}, request {row}: found {times[row]}, expected {wanted}"
                )
        if times[0] == times[-1]:
            raise ValueError(f"{self.name}: all {times.size} requests arrive at one time")

    def _falls(self) -> np.ndarray:
        return np.append(False, np.diff(self.times) < 0)

    def per_round(self, rate: float, T: int, streams: Streams) -> np.ndarray:
        """How many requests arrive in each of T rounds, `rate` on average: int64, shape (T,).

        ``rate * T`` requests in a row are stretched to T rounds. The seed of the streams draws where
        they begin, so that seeds see different parts of the trace.

        Raises
        ------
        ValueError
            The trace has fewer requests, or they all arrive together.
        """
        wanted = round(rate * T)
        if not 1 <= wanted < self.times.size:
            raise ValueError(
                f"{self.name}: found {self.times.size} requests, expected more than the {wanted} "
                f"that arrive in {T} rounds at a rate of {rate:g}"
            )
        begin = int(streams.generator("trace window").integers(0, self.times.size - wanted))
        times = self.times[begin : begin + wanted + 1] - self.times[begin]
        if not times[-1] > 0:
            raise ValueError(
                f"{self.name}: requests {begin} to {begin + wanted} arrive at one time"
            )
        rounds = np.floor(times[:-1] / times[-1] * T).astype(np.int64)
        return np.bincount(rounds, minlength=T)[:T]


Arrivals = Trace | np.ndarray


def queries_per_round(
    arrivals: Arrivals | None, rate: float, T: int, streams: Streams
) -> np.ndarray | None:
    """What :func:`cqb.environment.draw` takes: numbers per round, or None for Bernoulli arrivals."""
    return arrivals.per_round(rate, T, streams) if isinstance(arrivals, Trace) else arrivals
