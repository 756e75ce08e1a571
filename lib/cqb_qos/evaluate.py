"""One policy on many loads and seeds at once, and how long a decision of it takes."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import pandas as pd

from .episodes import Episodes, serve
from .metrics import measure
from .policies import POLICIES
from .synthetic import Load, workload
from .system import System
from .workload import Batch, stack

TIMED = 200  # decisions that are timed, one at a time


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


def play(
    policy: str,
    price: float,
    loads: Sequence[Load],
    seeds: Sequence[int],
    T: int,
    system: System,
) -> pd.DataFrame:
    """The metrics of a policy, a row per load and seed: kind, rate, seed and :data:`.metrics.METRICS`.

    Raises
    ------
    ValueError
        There is no such policy.
    """
    if policy not in POLICIES:
        raise ValueError(f"policy: found {policy!r}, expected one of {', '.join(POLICIES)}")
    batch = batch_of(loads, seeds, T, system)
    router = POLICIES[policy](tuple(seeds) * len(loads), T, price)
    measured = measure(serve(batch, system, router))
    which = [(load.kind, load.rate, seed) for load in loads for seed in seeds]
    return pd.concat([pd.DataFrame(which, columns=["kind", "rate", "seed"]), measured], axis=1)


def decision_ms(policy: str, price: float, load: Load, seed: int, system: System) -> float:
    """The median time of one decision in a single environment, in milliseconds."""
    episodes = Episodes(batch_of([load], [seed], TIMED, system), system)
    router = POLICIES[policy]((seed,), TIMED, price)
    decision, seconds = episodes.decision, []
    while decision is not None:
        start = time.perf_counter()
        actions = router(decision)
        seconds.append(time.perf_counter() - start)
        decision, _ = episodes.step(actions)
    return 1000.0 * float(np.median(seconds))
