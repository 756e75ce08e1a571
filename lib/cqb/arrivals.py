"""Arrivals other than Bernoulli's: numbers of queries per round, from an array or a recorded trace.

A trace is cut into rounds of equal length, so several queries may arrive in one round. All policies of
a run meet the same arrivals. Users of a real service come in bursts: in the Azure trace of code requests
the gaps between arrivals have a coefficient of variation of 13, where Bernoulli's is below 1.
"""

from dataclasses import dataclass

import numpy as np

from .files import content_hash
from .streams import Streams


@dataclass(frozen=True, eq=False)
class Trace:
    """Recorded requests in order of arrival.

    Attributes
    ----------
    name : printed in titles. times : (n,) float64, seconds; equal times arrive together.
    prompts, lengths : (n,) int64 tokens of the requests and of their answers; None if not recorded.

    Raises
    ------
    ValueError
        Fewer than two requests, a time that is no number or before the one above it, or all at one time.
    """

    name: str
    times: np.ndarray
    prompts: np.ndarray | None = None
    lengths: np.ndarray | None = None

    def __post_init__(self) -> None:
        times = np.asarray(self.times, dtype=np.float64)
        object.__setattr__(self, "times", times)
        if times.ndim != 1 or times.size < 2:
            raise ValueError(f"{self.name}: found {times.size} requests, expected at least 2")
        falls = np.append(False, np.diff(times) < 0)
        for bad, wanted in ((~np.isfinite(times), "a number"), (falls, "times in order")):
            if bad.any():
                row = int(bad.argmax())
                raise ValueError(
                    f"{self.name}, request {row}: found {times[row]}, expected {wanted}"
                )
        if times[0] == times[-1]:
            raise ValueError(f"{self.name}: all {times.size} requests arrive at one time")

    def data_hash(self) -> str:
        """sha256 (hex) over times and tokens: the same trace in another file has the same."""
        fields = {"times": self.times, "prompts": self.prompts, "lengths": self.lengths}
        return content_hash({name: value for name, value in fields.items() if value is not None})

    def window(self, size: int, streams: Streams) -> int:
        """The number of the request before `size` others, drawn by the seed of the streams.

        Raises
        ------
        ValueError
            The trace has no more than `size` requests, or they all arrive together.
        """
        if not 1 <= size < self.times.size:
            raise ValueError(
                f"{self.name}: found {self.times.size} requests, expected more than the {size} of a run"
            )
        start = int(streams.generator("trace window").integers(0, self.times.size - size))
        if not self.times[start + size] > self.times[start]:
            raise ValueError(f"{self.name}: requests {start} to {start + size} arrive at one time")
        return start

    def per_round(self, rate: float, T: int, streams: Streams) -> np.ndarray:
        """How many requests arrive in each of T rounds, `rate` on average: int64, shape (T,).

        ``rate * T`` requests in a row are stretched to T rounds. The seed of the streams draws where
        they begin, so that seeds see different parts of the trace.

        Raises
        ------
        ValueError
            As :meth:`window`.
        """
        size = round(rate * T)
        start = self.window(size, streams)
        times = self.times[start : start + size + 1] - self.times[start]
        return np.bincount(np.floor(times[:-1] / times[-1] * T).astype(np.int64), minlength=T)[:T]


Arrivals = Trace | np.ndarray
