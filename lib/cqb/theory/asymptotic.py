"""Checks of R1 to R5: how regret and queue-length regret grow with the horizon."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from ..environment import draw
from ..policies import Service
from ..policies.cqb_eta2 import cqb_eta2, phases
from ..simulate import Policy
from ..streams import Streams
from ..synthetic import blockwise
from .rates import WINDOW, by_instance, slope
from .runs import Maker, play, rate_world
from .settings import Setting
from .verdicts import FAILS, OUT_OF_REACH, Check, Verdict, at_most, interval

# An interval on a slope that is wider than this decides nothing.
WIDEST_REGRET, WIDEST_GAP = 0.3, 0.5
POLICIES = ("ACQB", "ACQB-online", "CQB-eps", "CQB-Opt", "CQB-eta-2")
# id, policy, what grows, largest slope, prediction
PREDICTIONS = (
    ("R1", "ACQB", "regret", 0.5, "ACQB's routing regret grows like sqrt(t), up to logs"),
    ("R2", "ACQB", "gap", -0.25, "ACQB's queue-length regret at t is O(t^-1/4), up to logs"),
    ("R3", "CQB-eps", "gap", -0.25, "CQB-eps' queue-length regret at horizon T is O(T^-1/4)"),
    ("R4", "CQB-eta-2", "gap", -0.5, "CQB-eta-2's queue-length regret at horizon T is O(T^-1/2)"),
)


def slopes(frame: pd.DataFrame) -> pd.DataFrame:
    """Fitted slopes of every policy in the frame of :func:`cqb.theory.rates.measure`."""
    rows = []
    for policy in dict.fromkeys(frame["policy"]):
        for value in ("regret", "gap"):
            horizons, values = by_instance(frame, policy, value)
            fit = slope(horizons, values)
            rows.append(
                {
                    "policy": policy,
                    "of": value,
                    "slope": fit.estimate,
                    "low": fit.low,
                    "high": fit.high,
                    "usable": fit.usable,
                    "at largest T": float(values[:, -1].mean()),
                }
            )
    return pd.DataFrame(rows)


def rate_checks(frame: pd.DataFrame, setting: Setting) -> list[Check]:
    """R1 to R4: upper bounds on slopes, so a smaller one holds as well."""
    table = slopes(frame)
    instances = frame["seed"].nunique()
    span = f"T = {frame['T'].min()} to {frame['T'].max()}, {instances} instances"
    checks = []
    for id, policy, value, bound, prediction in PREDICTIONS:
        row = table[(table["policy"] == policy) & (table["of"] == value)].iloc[0]
        widest = WIDEST_REGRET if value == "regret" else WIDEST_GAP
        verdict = at_most(row["low"], row["high"], bound, widest)
        # Resamples without a slope are those with small means: the kept ones would flatter.
        if verdict != FAILS and not row["usable"] >= 0.95:
            verdict = OUT_OF_REACH
        note = f"{span}; an upper bound, so a smaller slope holds"
        if verdict == OUT_OF_REACH:
            note = f"{span}; {_needed(row, instances, widest)}"
        checks.append(
            Check(
                Verdict(
                    id,
                    prediction,
                    float(row["slope"]),
                    float(row["low"]),
                    float(row["high"]),
                    f"slope at most {bound} within its interval, which is at most {widest} wide; "
                    f"fails if the interval lies above {bound}",
                    verdict,
                    note,
                    setting.name,
                ),
                table[table["of"] == value].reset_index(drop=True),
            )
        )
    return checks


def _needed(row: pd.Series, instances: int, widest: float) -> str:
    """How many instances would decide, as an interval's width falls with their square root."""
    width = row["high"] - row["low"]
    if not np.isfinite(width):
        return "the mean is not positive at some T; several times the instances are needed"
    more = max(width / widest, 1.5) ** 2
    return f"would need about {int(np.ceil(instances * more)):,} instances"


def adversarial(setting: Setting) -> Check:
    """R5: under a sequence of contexts that an adversary chose, CQB-Opt grows at most as log^2 T."""
    T = setting.long_rounds
    marks = [T // 8, T // 4, T // 2, T]
    gaps = np.empty((setting.rate_instances, len(marks)))
    for seed in range(setting.rate_instances):
        world = rate_world(seed)
        draws = draw(Streams(seed), world.environment.pool_size, world.arrival_rate, T)
        pair = play(world, "CQB-Opt", T, seed, draws=blockwise(world, draws))
        gaps[seed] = [pair.gap[t - max(1, int(WINDOW * t)) : t].mean() for t in marks]
    scaled = gaps / np.log(marks) ** 2
    change, low, high = interval(scaled[:, -1] - scaled[:, 0])
    table = pd.DataFrame(
        {"t": marks, "gap": gaps.mean(axis=0), "gap / log(t)^2": scaled.mean(axis=0)}
    )
    verdict = at_most(low, high, 0.0, 0.1)
    note = f"contexts come in doubling blocks along the axes; {setting.rate_instances} instances"
    return Check(
        Verdict(
            "R5",
            "CQB-Opt under adversarial contexts: queue-length regret grows at most as log^2 T",
            change,
            low,
            high,
            f"gap / log^2 does not rise from t = {marks[0]} to {T} (interval at most 0.1 wide; "
            "fails if all of it is above 0)",
            verdict,
            note
            if verdict != OUT_OF_REACH
            else f"{note}, about {int(np.ceil(setting.rate_instances * ((high - low) / 0.1) ** 2)):,} "
            "would decide",
            setting.name,
        ),
        table,
    )


def _with_phases(**changes: float) -> Maker:
    def make(service: Service, streams: Streams, slack: float) -> Policy:
        plan = phases(service.contexts.shape[1], service.T, slack)
        return cqb_eta2(service, streams, replace(plan, **changes))

    return make


def sensitivity(setting: Setting) -> pd.DataFrame:
    """CQB-eta-2's constants, which are ours, changed one at a time: regret and final gap."""
    T = setting.long_rounds
    plan = phases(3, T, 0.1)
    variants = {
        f"as it is (tau {plan.tau}, eta {plan.eta}, cutoff {plan.cutoff})": {},
        "no pure exploration (tau 0)": {"tau": 0},
        f"four times as much (tau {4 * plan.tau})": {"tau": 4 * plan.tau},
        "eta 0.01": {"eta": 0.01},
        "eta 0.2, above the slack": {"eta": 0.2},
        f"early cutoff ({T // 4})": {"cutoff": T // 4},
        f"no cutoff ({T})": {"cutoff": T},
    }
    rows = []
    for name, changes in variants.items():
        pairs = [
            play(rate_world(seed), _with_phases(**changes), T, seed)
            for seed in range(setting.plateau_instances)
        ]
        last = int(WINDOW * T)
        rows.append(
            {
                "constants": name,
                "regret": float(np.mean([p.learner.regret.sum() for p in pairs])),
                "mean queue": float(np.mean([p.learner.queue.mean() for p in pairs])),
                "final gap": float(np.mean([p.gap[-last:].mean() for p in pairs])),
            }
        )
    return pd.DataFrame(rows)
