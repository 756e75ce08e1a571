"""Growth rates: regret and queue-length regret at a range of horizons, and their slopes.

A slope is the least-squares slope of the log of the mean over instances against the log of the
horizon; its interval is a percentile bootstrap over instances. Results are appended to one file
as they come, so that a run which was interrupted goes on where it stopped.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ..experiment.code_hash import code_hash
from ..streams import Streams
from .runs import ANYTIME, play, rate_world

# The queue-length regret at t is averaged over the rounds from 0.95 t to t: a single queue length is
# a whole number, and its mean over few runs too rough for a slope.
WINDOW = 0.05
RESAMPLES = 2_000
MODULE = "theory.runs"  # the code behind a run, with all that it imports

Job = tuple[str, int, tuple[int, ...], int]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Slope:
    """A slope with its 95% interval, and the share of resamples whose log means existed."""

    estimate: float
    low: float
    high: float
    usable: float


def slope(horizons: np.ndarray, values: np.ndarray, seed: int = 0) -> Slope:
    """Slope of log mean against log horizon: `values` is (instances, horizons).

    A resample in which some mean is not positive has no slope and is left out; `usable` tells how
    many were kept. NaN where the means themselves are not positive.
    """
    x = np.log(np.asarray(horizons, float))
    x = x - x.mean()
    generator = Streams(seed).generator("bootstrap")
    picks = generator.integers(values.shape[0], size=(RESAMPLES, values.shape[0]))
    means = values[picks].mean(axis=1)
    kept = means[(means > 0.0).all(axis=1)]
    mean = values.mean(axis=0)
    if not (mean > 0.0).all() or len(kept) < 2:
        return Slope(np.nan, np.nan, np.nan, len(kept) / RESAMPLES)
    slopes = np.log(kept) @ x / (x @ x)
    low, high = np.quantile(slopes, [0.025, 0.975])
    estimate = float(np.log(mean) @ x / (x @ x))
    return Slope(estimate, float(low), float(high), len(kept) / RESAMPLES)


def jobs(policies: Sequence[str], horizons: Sequence[int], instances: int) -> list[Job]:
    """(policy, T, horizons to read, instance): one run tells all horizons of an anytime policy."""
    result: list[Job] = []
    for seed in range(instances):
        for name in policies:
            if name in ANYTIME:
                result.append((name, max(horizons), tuple(horizons), seed))
            else:
                result += [(name, T, (T,), seed) for T in horizons]
    return result


def perform(job: Job) -> list[dict[str, float | str]]:
    """Play one job; a row for each horizon read."""
    name, T, horizons, seed = job
    pair = play(rate_world(seed), name, T, seed)
    regret, gap = np.cumsum(pair.learner.regret), pair.gap
    return [
        {
            "policy": name,
            "T": h,
            "seed": seed,
            "regret": round(float(regret[h - 1]), 9),
            "gap": round(float(gap[h + 1 - max(1, int(WINDOW * h)) : h + 1].mean()), 9),
        }
        for h in horizons
    ]


def measure(
    policies: Sequence[str],
    horizons: Sequence[int],
    instances: int,
    *,
    folder: Path | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Regret and queue-length regret per policy, horizon and instance, in a fixed order.

    Parameters
    ----------
    folder : keeps finished jobs, under a name that depends on the code behind them, so that none is
        taken for the work of other code; None keeps nothing.
    workers : processes side by side. progress : called with (jobs done, jobs in all).
    """
    wanted = jobs(policies, horizons, instances)
    store = None if folder is None else folder / f"rates-{code_hash(MODULE)[:12]}.jsonl"
    done = _read(store)
    rest = [job for job in wanted if job not in done]
    for job, rows in _performed(rest, workers):
        done[job] = rows
        if store is not None:
            store.parent.mkdir(parents=True, exist_ok=True)
            with store.open("a", encoding="utf-8") as file:
                file.write(json.dumps([job, rows]) + "\n")
        if progress is not None:
            progress(sum(job in done for job in wanted), len(wanted))
    return pd.DataFrame([row for job in wanted for row in done[job]])


def by_instance(frame: pd.DataFrame, policy: str, value: str) -> tuple[np.ndarray, np.ndarray]:
    """Horizons (h,) and values (instances, h) of one policy in the frame of :func:`measure`."""
    table = frame[frame["policy"] == policy].pivot(index="seed", columns="T", values=value)
    return table.columns.to_numpy(), table.to_numpy()


def _performed(rest: list[Job], workers: int) -> Iterator[tuple[Job, list[dict]]]:
    if workers == 1:
        for job in rest:
            yield job, perform(job)
        return
    # Long jobs first, so that no core ends the run alone.
    rest = sorted(rest, key=lambda job: -job[1])
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    with ProcessPoolExecutor(workers) as pool:
        futures = {pool.submit(perform, job): job for job in rest}
        for future in as_completed(futures):
            yield futures[future], future.result()


def _read(store: Path | None) -> dict[Job, list[dict]]:
    """Finished jobs on file; a line that was cut off by an interruption is left out."""
    done: dict[Job, list[dict]] = {}
    if store is None or not store.exists():
        return done
    for line in store.read_text(encoding="utf-8").splitlines():
        try:
            (name, T, horizons, seed), rows = json.loads(line)
        except ValueError:
            continue
        done[name, T, tuple(horizons), seed] = rows
    return done
