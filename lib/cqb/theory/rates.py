"""Growth with the horizon (R1 to R5): regret and queue-length regret, and their slopes.

A slope is the least-squares slope of the log of the mean over instances against the log of the
horizon; its interval is a percentile bootstrap over instances.
"""

from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd

from ..policies.cqb_opt import cqb_eta2, phases
from ..stats import interval
from ..synthetic import blockwise
from . import OUT_OF_REACH, Check, Row, Task, at_most, estimate, resamples
from .worlds import ANYTIME, SLACK, TUNED, D, drawn, play, rate_world

POLICIES = ("ACQB", "ACQB-online", "CQB-eps", "CQB-Opt", "CQB-eta-2")
# The queue-length regret at t is averaged over the rounds from 0.95 t to t: a single queue length is
# a whole number, and its mean over few runs too rough for a slope.
WINDOW = 0.05
RESAMPLES = 2_000
# An interval on a slope that is wider than this decides nothing.
WIDEST = {"regret": 0.3, "gap": 0.5}
WIDEST_CHANGE = 0.1  # of R5
# The prediction, the policy, what grows, and the largest slope.
SLOPES = {
    "R1": ("ACQB's routing regret grows like sqrt(t), up to logs", "ACQB", "regret", 0.5),
    "R2": ("ACQB's queue-length regret at t is O(t^-1/4), up to logs", "ACQB", "gap", -0.25),
    "R3": ("CQB-eps' queue-length regret at horizon T is O(T^-1/4)", "CQB-eps", "gap", -0.25),
    "R4": ("CQB-eta-2's queue-length regret at horizon T is O(T^-1/2)", "CQB-eta-2", "gap", -0.5),
}


class Slope(NamedTuple):
    """A slope with its 95% interval, and the share of resamples whose log means existed."""

    slope: float
    low: float
    high: float
    usable: float


def slope(horizons: np.ndarray, values: np.ndarray, seed: int = 0) -> Slope:
    """Slope of log mean against log horizon: `values` is (instances, horizons).

    A resample in which some mean is not positive has no slope and is left out; `usable` is the share
    that was used. NaN where the means themselves are not positive.
    """
    x = np.log(horizons) - np.log(horizons).mean()
    means = values[resamples(values.shape[0], RESAMPLES, seed)].mean(axis=1)
    usable = means[(means > 0.0).all(axis=1)]
    mean, share = values.mean(axis=0), len(usable) / RESAMPLES
    if not (mean > 0.0).all() or len(usable) < 2:
        return Slope(np.nan, np.nan, np.nan, share)
    ends = np.quantile(np.log(usable) @ x / (x @ x), [0.025, 0.975]).tolist()
    return Slope(float(np.log(mean) @ x / (x @ x)), *ends, share)


def grow(task: Task) -> list[Row]:
    """R1 to R4: one policy's regret and queue-length regret on one instance, a row per horizon.

    One run gives all horizons of an anytime policy; the others are run for each.
    """
    (policy,), world, rows = task.case, rate_world(task.seed), []
    whole = play(world, policy, max(task.T), task.seed)
    for T in task.T:
        again = max(task.T) > T and policy not in ANYTIME
        pair = play(world, policy, T, task.seed) if again else whole
        regret = round(float(np.cumsum(pair.learner.regret)[T - 1]), 9)
        gap = round(_recent(pair.gap[: T + 1], T), 9)
        rows.append({"policy": policy, "T": T, "regret": regret, "gap": gap})
    return rows


def _recent(gap: np.ndarray, T: int) -> float:
    """The mean over the last twentieth of T rounds."""
    return float(gap[-max(1, int(WINDOW * T)) :].mean())


def by_instance(rows: pd.DataFrame, policy: str, value: str) -> tuple[np.ndarray, np.ndarray]:
    """Horizons (h,) and values (instances, h) of one policy in the rows of :func:`grow`."""
    table = rows[rows["policy"] == policy].pivot(index="seed", columns="T", values=value)
    return table.columns.to_numpy(), table.to_numpy()


def slopes(rows: pd.DataFrame) -> pd.DataFrame:
    """Fitted slopes of every policy in the rows of :func:`grow`."""
    table = []
    for policy in dict.fromkeys(rows["policy"]):
        for of in WIDEST:
            horizons, values = by_instance(rows, policy, of)
            last = float(values[:, -1].mean())
            table.append((policy, of, *slope(horizons, values), last))
    return pd.DataFrame(table, columns=["policy", "of", *Slope._fields, "at largest T"])


def judge_slope(prediction: str, policy: str, of: str, bound: float, rows: pd.DataFrame) -> Check:
    """R1 to R4: an upper bound on a slope, so a smaller one holds as well."""
    table = slopes(rows)
    table = table[table["of"] == of].reset_index(drop=True)
    row = table[table["policy"] == policy].iloc[0]
    width, widest, instances = row["high"] - row["low"], WIDEST[of], rows["seed"].nunique()
    # Resamples without a slope are those with small means: the usable ones would flatter.
    sure = row["usable"] >= 0.95
    verdict = at_most(row["low"], row["high"], bound, widest) if sure else OUT_OF_REACH
    note = "an upper bound, so a smaller slope holds"
    if verdict == OUT_OF_REACH and np.isnan(width):
        note = "the mean is not positive at some T; several times the instances are needed"
    elif verdict == OUT_OF_REACH:
        # An interval's width falls with the square root of the instances.
        needed = instances * max(width / widest, 1.5) ** 2
        note = f"would need about {int(np.ceil(needed)):,} instances"
    criterion = (
        f"the slope's interval lies below {bound}, or contains it and is at most {widest} wide; "
        f"fails if it lies above {bound}"
    )
    note = (
        f"T = {rows['T'].min()} to {rows['T'].max()}, {instances} instances, alpha_coef "
        f"{TUNED.alpha_coef} (the theorem's radius has 1); {note}"
    )
    return Check(prediction, table, *estimate(row, "slope"), criterion, verdict, note)


def adversarial(task: Task) -> list[Row]:
    """R5: CQB-Opt's queue-length regret where an adversary chose the contexts, at four rounds."""
    world, T = rate_world(task.seed), task.T
    draws = blockwise(world, drawn(world, task.seed, T))
    gap = play(world, "CQB-Opt", T, task.seed, draws=draws).gap
    return [{"t": t, "gap": _recent(gap[:t], t)} for t in (T // 8, T // 4, T // 2, T)]


def judge_adversarial(rows: pd.DataFrame) -> Check:
    """R5: under a sequence of contexts that an adversary chose, CQB-Opt grows at most as log^2 T."""
    gaps = rows.pivot(index="seed", columns="t", values="gap")
    first, *_, last = gaps.columns
    scaled = gaps / np.log(gaps.columns.to_numpy()) ** 2
    change, low, high, runs = interval(scaled[last] - scaled[first])
    verdict = at_most(low, high, 0.0, WIDEST_CHANGE)
    note = f"contexts come in doubling blocks along the axes; {runs} instances"
    if verdict == OUT_OF_REACH:
        more = int(np.ceil(runs * ((high - low) / WIDEST_CHANGE) ** 2))
        note += f", about {more:,} would decide"
    return Check(
        "CQB-Opt under adversarial contexts: queue-length regret grows at most as log^2 T",
        pd.DataFrame({"gap": gaps.mean(), "gap / log(t)^2": scaled.mean()}).reset_index(),
        *(change, low, high),
        f"gap / log^2 does not rise from t = {first} to {last} (interval at most "
        f"{WIDEST_CHANGE} wide; fails if all of it is above 0)",
        verdict,
        note,
    )


def sensitivity(instances: int, T: int) -> pd.DataFrame:
    """CQB-eta-2's constants, which are ours, changed one at a time: regret and final gap."""
    plan = phases(D, T, SLACK)
    variants = {
        f"as it is (tau {plan.tau}, eta {plan.eta}, cutoff {plan.cutoff})": plan,
        "no pure exploration (tau 0)": replace(plan, tau=0),
        f"four times as much (tau {4 * plan.tau})": replace(plan, tau=4 * plan.tau),
        "eta 0.01": replace(plan, eta=0.01),
        "eta 0.2, above the slack": replace(plan, eta=0.2),
        f"early cutoff ({T // 4})": replace(plan, cutoff=T // 4),
        f"no cutoff ({T})": replace(plan, cutoff=T),
    }
    rows = []
    for name, variant in variants.items():
        for seed in range(instances):
            pair = play(rate_world(seed), partial(cqb_eta2, plan=variant), T, seed)
            queue, regret = pair.learner.queue.mean(), pair.learner.regret.sum()
            rows.append((name, regret, queue, _recent(pair.gap, T)))
    table = pd.DataFrame(rows, columns=["constants", "regret", "mean queue", "final gap"])
    return table.groupby("constants", sort=False).mean().reset_index()
