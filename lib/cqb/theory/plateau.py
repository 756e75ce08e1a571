"""The check of R10: the plateau of CQB-eps, and how often the published instance can be kept stable."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..policies import LearnerSettings
from ..policies.cqb_opt import cqb_epsilon_ucb
from ..streams import Streams
from ..synthetic import linear_world, predecessor
from .runs import play, tau
from .settings import Setting
from .verdicts import FAILS, HOLDS, OUT_OF_REACH, Check, Verdict

SLACKS = (0.05, 0.1, 0.15)
RESAMPLES, FEWEST = 1_000, 5  # of the bootstrap; with fewer instances it tells nothing
PLATEAU_CONSTANT = 0.05  # c of R10's tau: long enough to be seen, and below T/5 at epsilon = .05


def plateau(setting: Setting) -> tuple[Check, pd.DataFrame]:
    """R10: CQB-eps' queue builds up while it explores purely, then drops; and how the preset is.

    Returns
    -------
    The check, and mean queues by round (long form: epsilon, t, learner, oracle, tau).
    """
    T, frames, rows, queues = setting.long_rounds, [], [], []
    learner = LearnerSettings(kappa=10.0, alpha_coef=0.01, rotation="balanced")
    for epsilon in (*SLACKS, "published"):
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
        queues.append(np.array([p.learner.queue for p in pairs]))
        queue, ideal = queues[-1].mean(axis=0), np.mean([p.oracle.queue for p in pairs], axis=0)
        name = str(epsilon)
        frames.append(
            pd.DataFrame(
                {"epsilon": name, "t": np.arange(T + 1), "learner": queue, "oracle": ideal}
            )
        )
        rows.append(
            {
                "epsilon": name,
                "tau": pure,
                "peak": float(queue.max()),
                "peak at": int(queue.argmax()),
                "last round above half": int(ends(queue[None, :])[0]),
                "queue at T": float(queue[-1]),
                "oracle at T": float(ideal[-1]),
            }
        )
    table = pd.DataFrame(rows)
    return _plateau_check(table, np.array(queues[:3]), setting), pd.concat(
        frames, ignore_index=True
    )


def ends(queues: np.ndarray) -> np.ndarray:
    """The last round in which each of some mean queues (n, T + 1) is above half its peak: (n,)."""
    above = queues > 0.5 * queues.max(axis=1, keepdims=True)
    return queues.shape[1] - 1 - above[:, ::-1].argmax(axis=1)


def _plateau_check(table: pd.DataFrame, queues: np.ndarray, setting: Setting) -> Check:
    """Judge by a bootstrap over instances: `queues` is (slacknesses, instances, T + 1)."""
    instances = queues.shape[1]
    picks = Streams(10).generator("bootstrap").integers(instances, size=(RESAMPLES, instances))
    weights = np.array([np.bincount(pick, minlength=instances) for pick in picks]) / instances
    last = np.array([ends(weights @ queue) for queue in queues])
    # Two gaps and a ratio: intervals that hold jointly.
    cut = 0.025 / 3
    low, high = np.quantile(last[:-1] - last[1:], [cut, 1.0 - cut], axis=1)
    from_ratio, to_ratio = np.quantile(last[0] / last[2], [cut, 1.0 - cut])
    drops = bool((table["queue at T"][:3] < 0.5 * table["peak"][:3]).all())
    if instances < FEWEST:
        verdict = OUT_OF_REACH
    elif drops and (low > 0).all():
        verdict = HOLDS
    else:
        verdict = FAILS if (high < 0).any() else OUT_OF_REACH
    capacity = preset_capacities(200)
    rounds = table["last round above half"].to_numpy()
    between = ", ".join(f"{a:.0f} to {b:.0f}" for a, b in zip(low, high, strict=True))
    return Check(
        Verdict(
            "R10",
            "CQB-eps' queue builds up during tau, then drops; longer for smaller epsilon",
            float(rounds[0] / rounds[2]),
            float(from_ratio),
            float(to_ratio),
            "the last round above half the peak comes later for each smaller epsilon, by intervals "
            "that leave out 0, and the queue at T is below half the peak (estimate: that round at "
            ".05 over that at .15)",
            verdict,
            f"c = {PLATEAU_CONSTANT}; later by {between} rounds (.05 to .1, .1 to .15); the preset "
            f"as published is unstable: capacity {capacity.mean():.3f} +- "
            f"{capacity.std(ddof=1):.3f} over 200 instances, against lambda = .7",
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
