"""The checks of E7 and R7: what one decision of the learner costs the queue at the horizon."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd

from ..switching import oracle_odds, oracle_queue, waiting_rows
from .pathwise import switch_terms
from .runs import Pair, play, rate_world
from .settings import Setting
from .verdicts import FAILS, HOLDS, OUT_OF_REACH, Check, Verdict, exact, interval


def divergence(
    setting: Setting, name: str = "ACQB", points: int = 20
) -> tuple[pd.DataFrame, float]:
    """The terms of E7 and R7 at some rounds, over independent runs.

    Returns
    -------
    A table by round t with ``psi`` (mean of psi(t, T) over runs and over the rounds around t),
    ``m`` (root mean square departure-rate gap), ``delta`` (root of the probability that a forced
    divergence at t survives to T) and the interval of psi; and the mean queue-length regret at T.
    """
    T = setting.switch_rounds
    edges = np.unique(np.linspace(0, T, points + 1).astype(int))
    psi = np.empty((setting.switch_runs, T))
    gaps, survived = np.empty_like(psi), np.zeros((setting.switch_runs, edges.size - 1))
    for seed in range(setting.switch_runs):
        pair = play(rate_world(seed), name, T, seed)
        psi[seed], _ = switch_terms(pair)
        gaps[seed] = pair.learner.regret
        survived[seed] = survivals(pair, edges[1:])
    rows = []
    for i, (start, stop) in enumerate(pairwise(edges)):
        mean, low, high = interval(psi[:, start:stop].mean(axis=1))
        m = float(np.sqrt((gaps[:, start:stop] ** 2).mean()))
        delta = float(np.sqrt(survived[:, i].mean()))
        rows.append(
            {
                "t": int(stop),
                "psi": mean,
                "low": low,
                "high": high,
                "m": m,
                "delta": delta,
                "m delta": m * delta,
                "rounds": int(stop - start),
            }
        )
    return pd.DataFrame(rows), float(psi.sum(axis=1).mean())


def survivals(pair: Pair, rounds: np.ndarray) -> np.ndarray:
    """Whether a divergence forced in each of `rounds` is still seen in the queue at T: bool.

    In one copy of the learner's queue the served query departs in round t, in the other it stays;
    the oracle serves both afterwards on the same draws.
    """
    environment, draws, learner = pair.world.environment, pair.draws, pair.learner
    odds = oracle_odds(environment, pair.world.K)
    before = waiting_rows(learner, draws)
    result = np.zeros(rounds.size, bool)
    for i, t in enumerate(rounds):
        if learner.query[t - 1] < 0:
            continue
        stays = list(before[t - 1]) + ([int(draws.row[t - 1])] if draws.arrives[t - 1] else [])
        departs = list(stays)
        departs.remove(int(learner.row[t - 1]))
        queues = [oracle_queue(odds, draws, start, int(t) + 1) for start in (stays, departs)]
        result[i] = queues[0] != queues[1]
    return result


def divergence_bound(table: pd.DataFrame, setting: Setting) -> Check:
    """E7: E[psi(t, T)] is at most m_t delta_t; `table` from :func:`divergence`."""
    over = table["low"] - table["m delta"]
    worst = int(over.argmax())
    row = table.iloc[worst]
    unsure = bool((table["high"] > table["m delta"]).any())
    verdict = FAILS if bool((over > 0.0).any()) else (OUT_OF_REACH if unsure else HOLDS)
    return Check(
        Verdict(
            "E7",
            "E[psi(t, T)] <= m_t delta_t at every round t",
            float(row["psi"] - row["m delta"]),
            float(row["low"] - row["m delta"]),
            float(row["high"] - row["m delta"]),
            "psi's interval lies below m_t delta_t in all blocks of rounds; fails if one lies above",
            verdict,
            f"the tightest of {len(table)} blocks is at t = {int(row['t'])}; about four times the "
            "runs would halve the intervals"
            if verdict == OUT_OF_REACH
            else f"the tightest of {len(table)} blocks is at t = {int(row['t'])}",
            setting.name,
        ),
        table,
    )


def divergence_sum(table: pd.DataFrame, regret: float, setting: Setting) -> Check:
    """R7: m_t falls, delta_t rises, and the sum of m_t delta_t exceeds the queue-length regret."""
    bound = float((table["m delta"] * table["rounds"]).sum())
    half = len(table) // 2
    falls = table["m"].iloc[half:].mean() < table["m"].iloc[:half].mean()
    rises = table["delta"].iloc[half:].mean() > table["delta"].iloc[:half].mean()
    ratio = bound / max(regret, 1e-9)
    return Check(
        Verdict(
            "R7",
            "m_t falls and delta_t rises with t; sum m_t delta_t exceeds the queue-length regret",
            ratio,
            ratio,
            ratio,
            "second-half mean of m below the first's, of delta above it, and bound / regret >= 1",
            exact(bool(falls and rises and bound >= regret)),
            f"bound {bound:.1f} against a measured regret of {regret:.2f} queries",
            setting.name,
        ),
        table,
    )
