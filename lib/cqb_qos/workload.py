"""Requests as arrays: arrival times, lengths, and the quality of each expert's answer.

The length of a response is that of the recorded (or generated) answer of the expert that serves it. So
a workload fixes all randomness, and every policy meets the same requests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .system import System

TOKENS = ("prompts", "lengths", "predicted_lengths")
FLOATS = ("arrivals", "scores", "predicted_scores")


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
class Workload:
    """T requests for N experts, in order of arrival.

    Attributes
    ----------
    arrivals : (T,) float64 seconds, not falling; requests that arrive together are decided in order.
    prompts : (T,) int64 tokens. lengths : (N, T) int64 tokens of each expert's response, d.
    scores : (N, T) float64, its quality s. predicted_scores, predicted_lengths : (N, T), what a
        router knows of them on arrival; the lengths are whole tokens (int64).

    Raises
    ------
    ValueError
        Empty, of unequal sizes, or a value out of range; the message names array and request.
    """

    arrivals: np.ndarray
    prompts: np.ndarray
    lengths: np.ndarray
    scores: np.ndarray
    predicted_scores: np.ndarray
    predicted_lengths: np.ndarray

    def __post_init__(self) -> None:
        for name in FLOATS:
            object.__setattr__(self, name, np.asarray(getattr(self, name), np.float64))
        for name in TOKENS:
            object.__setattr__(self, name, _whole(name, getattr(self, name)))
        if self.arrivals.ndim != 1 or self.arrivals.size == 0:
            shape = self.arrivals.shape
            raise ValueError(f"arrivals: found shape {shape}, expected at least one request")
        if self.lengths.ndim != 2 or self.N == 0:
            shape = self.lengths.shape
            raise ValueError(f"lengths: found shape {shape}, expected (experts, requests)")
        for name in Batch._fields[1:]:
            wanted = (self.T,) if name == "prompts" else (self.N, self.T)
            if (found := getattr(self, name).shape) != wanted:
                raise ValueError(f"{name}: found shape {found}, expected {wanted}")
        for name in FLOATS:
            values = getattr(self, name)
            _refuse(name, values, ~np.isfinite(values), ", expected a finite number")
        for name in TOKENS:
            values = getattr(self, name)
            _refuse(name, values, values < 1, " tokens, expected at least 1")
        back = np.append(False, np.diff(self.arrivals) < 0)
        before = self.arrivals[int(back.argmax()) - 1]
        _refuse("arrivals", self.arrivals, back, f" s after {before:g} s, expected times in order")

    @property
    def N(self) -> int:
        """Experts."""
        return self.lengths.shape[0]

    @property
    def T(self) -> int:
        """Requests."""
        return self.arrivals.size

    def check_fits(self, system: System) -> None:
        """Raise RequestNeverFits for a request that some expert could never finish.

        Raises
        ------
        ValueError
            The workload is for another number of experts than the system has.
        """
        if self.N != system.N:
            raise ValueError(f"workload: found {self.N} experts, expected the system's {system.N}")
        memory = system.constants.memory
        tokens = self.prompts + self.lengths
        if (over := tokens > memory[:, None]).any():
            row = int(over.any(axis=0).argmax())
            n = int(over[:, row].argmax())
            raise RequestNeverFits(row, system.experts[n].name, int(tokens[n, row]), int(memory[n]))


class Batch(NamedTuple):
    """The arrays of B workloads of equal size, with a leading axis B.

    arrivals, prompts : (B, T). lengths, scores, predicted_scores, predicted_lengths : (B, N, T).
    """

    arrivals: np.ndarray
    prompts: np.ndarray
    lengths: np.ndarray
    scores: np.ndarray
    predicted_scores: np.ndarray
    predicted_lengths: np.ndarray

    @property
    def shape(self) -> tuple[int, int, int]:
        """B, N and T."""
        return self.lengths.shape


def stack(workloads: Sequence[Workload]) -> Batch:
    """Workloads as one batch, to be served in lock-step.

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
    return Batch(*(np.stack([getattr(w, name) for w in workloads]) for name in Batch._fields))


def _refuse(name: str, values: np.ndarray, wrong: np.ndarray, text: str) -> None:
    """ValueError at the first request of `values`, (..., T), with a wrong value."""
    if wrong.any():
        *at, row = min(zip(*np.nonzero(wrong), strict=True), key=lambda place: place[-1])
        raise ValueError(f"{name}: request {row}: found {values[(*at, row)]:g}{text}")


def _whole(name: str, values: np.ndarray) -> np.ndarray:
    """Token counts as int64; ValueError where one is not whole."""
    array = np.asarray(values)
    if not (np.isfinite(array) & (array == np.rint(array))).all():
        raise ValueError(f"{name}: found fractions, expected whole tokens")
    return array.astype(np.int64)
