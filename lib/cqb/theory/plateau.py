"""The check of R10: the plateau of CQB-eps, and how often the published instance can be kept stable."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..policies import LearnerSettings
from ..policies.cqb_opt import cqb_epsilon_ucb
from ..synthetic import linear_world, predecessor
from .runs import play, tau
from .settings import Setting
from .verdicts import OUT_OF_REACH, Check, Verdict, exact

PLATEAU_CONSTANT = 0.05  # c of R10's tau: long enough to be seen, and below T/5 at epsilon = .05


def plateau(setting: Setting) -> tuple[Check, pd.DataFrame]:
    """R10: CQB-eps' queue builds up while it explores purely, then drops; and how the preset is.

    Returns
    -------
    The check, and mean queues by round (long form: epsilon, t, learner, oracle, tau).
    """
    T, frames, rows = setting.long_rounds, [], []
    learner = LearnerSettings(kappa=10.0, alpha_coef=0.01, rotation="balanced")
    for epsilon in (0.05, 0.1, 0.15, "published"):
        slack = 0.1 if epsilon == "published" else epsilon
        pure = tau(5, T, slack, PLATEAU_CONSTANT)
        pairs = [
            play(
                predecessor(seed, slack, published=epsilon == "published"),
                lambda s, streams, _, pure=pure: cqb_epsilon_ucb(s, streams, pure),
                T,
                seed,
                learner,
            )
            for seed in range(setting.plateau_instances)
        ]
        queue = np.mean([p.learner.queue for p in pairs], axis=0)
        ideal = np.mean([p.oracle.queue for p in pairs], axis=0)
        name = str(epsilon)
        frames.append(
            pd.DataFrame(
                {"epsilon": name, "t": np.arange(T + 1), "learner": queue, "oracle": ideal}
            )
        )
        high = np.flatnonzero(queue > 0.5 * queue.max())
        rows.append(
            {
                "epsilon": name,
                "tau": pure,
                "peak": float(queue.max()),
                "peak at": int(queue.argmax()),
                "last round above half": int(high[-1]),
                "queue at T": float(queue[-1]),
                "oracle at T": float(ideal[-1]),
            }
        )
    table = pd.DataFrame(rows)
    return _plateau_check(table, setting), pd.concat(frames, ignore_index=True)


def _plateau_check(table: pd.DataFrame, setting: Setting) -> Check:
    stable = table.iloc[:3]
    lasts = stable["last round above half"].to_numpy()
    drops = (stable["queue at T"] < 0.5 * stable["peak"]).all()
    ordered = bool((np.diff(lasts) < 0).all())
    uncapped = tau(5, setting.long_rounds, 0.05, PLATEAU_CONSTANT) < setting.long_rounds // 5
    if not (ordered and drops) and not uncapped:
        verdict = OUT_OF_REACH
    else:
        verdict = exact(bool(ordered and drops))
    capacity = preset_capacities(200)
    mean, ratio = float(capacity.mean()), float(lasts[0] / lasts[2])
    return Check(
        Verdict(
            "R10",
            "CQB-eps' queue builds up during tau, then drops; longer for smaller epsilon",
            ratio,
            ratio,
            ratio,
            "the last round above half the peak comes later for each smaller epsilon, and the queue "
            "at T is below half the peak (estimate: that round at .05 over that at .15)",
            verdict,
            f"c = {PLATEAU_CONSTANT}; the preset as published is unstable: capacity {mean:.3f} +- "
            f"{capacity.std(ddof=1):.3f} over 200 instances, against lambda = .7"
            + ("; T = 5,000, where tau is below T/5, decides" if verdict == OUT_OF_REACH else ""),
            setting.name,
        ),
        table,
    )


def preset_capacities(instances: int) -> np.ndarray:
    """The oracle's largest stable arrival rate in the predecessor's instances: (instances,)."""
    return np.array(
        [
            linear_world(
                seed, N=5, d=5, contexts="cube", parameters="cube", pool_size=2_000, epsilon=0.0
            ).capacity
            for seed in range(instances)
        ]
    )
