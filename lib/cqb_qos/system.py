"""The experts behind the router, and the latency limit that users are promised (arXiv 2508.00234).

Times follow a simple cost model of iteration-level scheduling: a prefill iteration takes
``c0 + k1 x (tokens prefilled)`` and a decode iteration ``c0 + k2 x (tokens in memory)``. k1 and k2 are
constants that the system's authors published with their code; c0, the memory and the batch cap are
ours. The defaults are not a calibrated GPU.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

# The models of the published experiments, in their order.
NAMES = ("alpaca-native", "chatglm-6b", "mpt-7b-instruct", "koala-7b", "baize-7b", "mpt-7b")
LATENCY_LIMIT = 0.030  # L, seconds per generated token
LONGEST = 1e9  # seconds; every run ends earlier


@dataclass(frozen=True)
class Expert:
    """One model on its own accelerator.

    Attributes
    ----------
    c0 : seconds that any iteration takes at least. k1 : seconds per prefilled token.
    k2 : seconds per token in memory and decode iteration.
    memory : tokens that the key-value cache holds. batch : requests that run at once, at most.
    """

    name: str
    c0: float = 0.012
    k1: float = 7.2e-5
    k2: float = 2.5e-5
    memory: int = 14_000
    batch: int = 256

    def __post_init__(self) -> None:
        for field, least in {"c0": 1e-9, "k1": 0.0, "k2": 0.0, "memory": 2, "batch": 1}.items():
            if not least <= (found := getattr(self, field)) < math.inf:
                raise ValueError(f"{self.name}.{field}: found {found}, expected at least {least}")


@dataclass(frozen=True)
class System:
    """N experts and L, the latency limit in seconds per generated token (infinity: none).

    Raises
    ------
    ValueError
        There is no expert, or the limit is not positive.
    """

    experts: tuple[Expert, ...]
    limit: float = LATENCY_LIMIT

    def __post_init__(self) -> None:
        if not self.experts:
            raise ValueError("experts: found none, expected at least one")
        if not self.limit > 0.0:
            raise ValueError(f"limit: found {self.limit}, expected a positive latency per token")

    @property
    def N(self) -> int:
        """How many experts there are; as an action, N drops the request."""
        return len(self.experts)

    def of_each(self, setting: str) -> np.ndarray:
        """A setting of every expert, (N,) in their order: float64, int64 for `memory` and `batch`."""
        return np.array([getattr(expert, setting) for expert in self.experts])

    def with_(self, *, limit: float | None = None, **expert: float) -> System:
        """A copy with another limit, or with settings changed in every expert."""
        experts = tuple(replace(e, **expert) for e in self.experts)
        return System(experts, self.limit if limit is None else limit)


def default_system(N: int = 3) -> System:
    """The first N of the published models with the default settings.

    Raises
    ------
    ValueError
        N is not between 1 and 6.
    """
    if not 0 <= N <= len(NAMES):
        raise ValueError(f"N: found {N}, expected 1 to {len(NAMES)} experts")
    k1 = {"chatglm-6b": 6.8e-5}
    return System(tuple(Expert(name, k1=k1.get(name, Expert.k1)) for name in NAMES[:N]))


def duration(
    m: np.ndarray, context: np.ndarray, b: np.ndarray, c0: np.ndarray, k2: np.ndarray
) -> np.ndarray:
    """Seconds of m decode iterations in which no request joins or leaves; all arguments broadcast.

    While b running requests have C = `context` tokens in memory, each iteration adds b tokens:
    ``T(m) = m c0 + k2 (m C + b m (m - 1) / 2)``.
    """
    return m * c0 + k2 * (m * context + b * (m * (m - 1) / 2))


def iterations_until(
    seconds: np.ndarray, context: np.ndarray, b: np.ndarray, c0: np.ndarray, k2: np.ndarray
) -> np.ndarray:
    """The fewest iterations m of at least 1 with :func:`duration` T(m) >= seconds, int64.

    The root of the quadratic in the form without cancellation, then one correction for rounding.
    """
    wait = np.clip(seconds, 0.0, LONGEST)
    square, linear = 0.5 * k2 * b, c0 + k2 * (context - 0.5 * b)
    root = 2.0 * wait / (linear + np.sqrt(linear * linear + 4.0 * square * wait))
    m = np.maximum(np.ceil(root).astype(np.int64), 1)
    m -= (m > 1) & (duration(m - 1, context, b, c0, k2) >= wait)
    m += duration(m, context, b, c0, k2) < wait
    return m
