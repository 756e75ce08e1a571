"""Requests as arrays: when they arrive, how long they are, how good each expert's answer would be.

A response's length is that of the recorded (or generated) answer of the expert that serves it, so a
workload fixes all randomness and every policy meets the same requests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .system import System

PER_EXPERT = ("lengths", "scores", "predicted_scores", "predicted_lengths")
TOKENS = ("prompts", "lengths", "predicted_lengths")


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
        for name in ("arrivals", *("scores", "predicted_scores")):
            object.__setattr__(self, name, np.asarray(getattr(self, name), np.float64))
        for name in TOKENS:
            object.__setattr__(self, name, _whole(name, getattr(self, name)))
        check_times("arrivals", self.arrivals)
        if self.lengths.ndim != 2 or self.lengths.shape[0] == 0:
            raise ValueError(
                f"lengths: found shape {self.lengths.shape}, expected (experts, requests)"
            )
        shape = (self.N, self.T)
        for name, wanted in (("prompts", shape[1:]), *((name, shape) for name in PER_EXPERT)):
            if (found := getattr(self, name).shape) != wanted:
                raise ValueError(f"{name}: found shape {found}, expected {wanted}")
        for name in TOKENS:
            check_tokens(name, getattr(self, name))
        for name in ("scores", "predicted_scores"):
            _check_finite(name, getattr(self, name))

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
            The workload is of another number of experts than the system.
        """
        if self.N != system.N:
            raise ValueError(f"workload: found {self.N} experts, expected the system's {system.N}")
        memory = system.constants.memory
        tokens = self.prompts + self.lengths
        if (over := tokens > memory[:, None]).any():
            row = int(np.flatnonzero(over.any(axis=0))[0])
            n = int(np.flatnonzero(over[:, row])[0])
            raise RequestNeverFits(row, system.experts[n].name, int(tokens[n, row]), int(memory[n]))


@dataclass(frozen=True, eq=False)
class Batch:
    """B workloads of equal size side by side: a Workload's arrays with a leading axis B.

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
    """Workloads side by side, to be served in lock-step.

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
    return Batch(
        *(np.stack([getattr(w, name) for w in workloads]) for name in Batch.__annotations__)
    )


def check_times(name: str, times: np.ndarray) -> None:
    """ValueError for no times at all, and for the first that is not finite or lies before the last."""
    if times.ndim != 1 or times.size == 0:
        raise ValueError(f"{name}: found shape {times.shape}, expected at least one request")
    _check_finite(name, times)
    if (back := np.flatnonzero(np.diff(times) < 0)).size:
        row = int(back[0]) + 1
        raise ValueError(
            f"{name}: request {row}: found {times[row]:g} s after {times[row - 1]:g} s, expected "
            "times in order"
        )


def check_tokens(name: str, tokens: np.ndarray) -> None:
    """ValueError at the first count (..., T) below 1."""
    if (bad := np.argwhere(np.moveaxis(tokens, -1, 0) < 1)).size:
        at = tuple(bad[0])
        raise ValueError(
            f"{name}: request {at[0]}: found {tokens[(*at[1:], at[0])]} tokens, expected at least 1"
        )


def _check_finite(name: str, values: np.ndarray) -> None:
    if (bad := np.argwhere(~np.isfinite(np.moveaxis(values, -1, 0)))).size:
        at = tuple(bad[0])
        raise ValueError(
            f"{name}: request {at[0]}: found {values[(*at[1:], at[0])]}, expected a finite number"
        )


def _whole(name: str, values: np.ndarray) -> np.ndarray:
    """Token counts as int64; ValueError where one is not whole."""
    array = np.asarray(values)
    if array.dtype.kind not in "iu":
        _check_finite(name, array)
        if (array != np.rint(array)).any():
            raise ValueError(f"{name}: found fractions, expected whole tokens")
    return array.astype(np.int64)
