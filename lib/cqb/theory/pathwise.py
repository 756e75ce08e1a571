"""Checks on paths: switching to the oracle (E6, E7, R7) and forced exploration (E9)."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd

from ..stats import interval
from ..switching import oracle_odds, oracle_queue, terminal_queues, waiting_rows
from .verdicts import FAILS, HOLDS, OUT_OF_REACH, Check, Row, Task, exact
from .worlds import C1, Pair, play, rate_world

SWITCHED = ("ACQB", "CQB-eps", "CQB-Opt", "CQB-eta-2")
BLOCKS = 20  # of rounds, in E7 and R7


def switching(task: Task) -> Row:
    """E6: how often psi is -1, 0 or 1, and how much of it and of its sum is off, on one path."""
    (policy,) = task.case
    psi, error = switch_terms(play(rate_world(task.seed), policy, task.T, task.seed))
    counts = {str(value): int((psi == value).sum()) for value in (-1, 0, 1)}
    return {"policy": policy, **counts, "broken": int((np.abs(psi) > 1).sum()) + error}


def switch_terms(pair: Pair) -> tuple[np.ndarray, int]:
    """psi(s, T) for s = 1..T, and by how much their sum misses the queue-length regret."""
    environment, draws = pair.world.environment, pair.draws
    psi = np.diff(terminal_queues(environment, pair.world.K, draws, pair.learner))
    return psi, abs(int(psi.sum()) - int(pair.gap[-1]))


def judge_switching(rows: pd.DataFrame) -> Check:
    """E6: every term psi is -1, 0 or 1 and the terms sum to the queue-length regret."""
    counts = ["-1", "0", "1", "broken"]
    table = rows.groupby("policy", sort=False)[counts].sum().astype(int).reset_index()
    broken = float(table["broken"].sum())
    return Check(
        "psi(s, T) is -1, 0 or 1 on every path, and the psi sum to Q(T) - Q*(T)",
        table,
        *(broken, broken, broken),
        "no term and no sum is off, on any path",
        exact(broken == 0),
        f"{table[counts[:3]].to_numpy().sum()} terms on {len(rows)} paths",
    )


def divergence(task: Task) -> list[Row]:
    """E7 and R7: what a block of rounds adds to one run, a row per block.

    `psi` is the sum of psi(t, T) over the block, `squares` that of the squared departure-rate gap,
    and `survived` whether a divergence that is forced in its last round t survives to T.
    """
    pair = play(rate_world(task.seed), "ACQB", task.T, task.seed)
    psi, _ = switch_terms(pair)
    edges = np.unique(np.linspace(0, task.T, BLOCKS + 1).astype(int))
    survived = survivals(pair, edges[1:])
    return [
        {
            "t": int(stop),
            "rounds": int(stop - start),
            "psi": int(psi[start:stop].sum()),
            "squares": float((pair.learner.regret[start:stop] ** 2).sum()),
            "survived": int(survived[block]),
        }
        for block, (start, stop) in enumerate(pairwise(edges))
    ]


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


def divergence_table(rows: pd.DataFrame) -> pd.DataFrame:
    """The terms of E7 and R7 by block of rounds, over all runs.

    `t` is the last round of a block, `psi` the mean of psi(t, T) over its runs and rounds with its
    interval `low` to `high`, `m` the root mean square departure-rate gap, and `delta` the root of the
    probability that a forced divergence at t survives to T.
    """
    table = []
    for t, block in rows.groupby("t"):
        rounds = int(block["rounds"].iloc[0])
        mean, low, high, runs = interval(block["psi"] / rounds)
        m = float(np.sqrt(block["squares"].sum() / (runs * rounds)))
        delta = float(np.sqrt(block["survived"].mean()))
        terms = {"psi": mean, "low": low, "high": high, "m": m, "delta": delta}
        table.append({"t": int(t), **terms, "m delta": m * delta, "rounds": rounds})
    return pd.DataFrame(table)


def judge_bound(rows: pd.DataFrame) -> Check:
    """E7: E[psi(t, T)] is at most m_t delta_t."""
    table = divergence_table(rows)
    over = table["low"] - table["m delta"]
    row = table.iloc[int(over.argmax())]
    unsure = bool((table["high"] > table["m delta"]).any())
    verdict = FAILS if bool((over > 0.0).any()) else (OUT_OF_REACH if unsure else HOLDS)
    note = f"the tightest of {len(table)} blocks is at t = {int(row['t'])}"
    if verdict == OUT_OF_REACH:
        note += "; about four times the runs would halve the intervals"
    return Check(
        "E[psi(t, T)] <= m_t delta_t at every round t",
        table,
        *(float(row[part] - row["m delta"]) for part in ("psi", "low", "high")),
        "psi's interval lies below m_t delta_t in all blocks of rounds; fails if one lies above",
        verdict,
        note,
    )


def judge_sum(rows: pd.DataFrame) -> Check:
    """R7: m_t falls, delta_t rises, and the sum of m_t delta_t exceeds the queue-length regret."""
    table = divergence_table(rows)
    regret = float(rows["psi"].sum() / rows["seed"].nunique())
    bound = float((table["m delta"] * table["rounds"]).sum())
    half = len(table) // 2
    falls = table["m"].iloc[half:].mean() < table["m"].iloc[:half].mean()
    rises = table["delta"].iloc[half:].mean() > table["delta"].iloc[:half].mean()
    ratio = bound / max(regret, 1e-9)
    return Check(
        "m_t falls and delta_t rises with t; sum m_t delta_t exceeds the queue-length regret",
        table,
        *(ratio, ratio, ratio),
        "second-half mean of m below the first's, of delta above it, and bound / regret >= 1",
        exact(bool(falls and rises and bound >= regret)),
        f"bound {bound:.1f} against a measured regret of {regret:.2f} queries",
    )


def exploration(task: Task) -> Row:
    """E9: the number of ACQB's forced explorations in one run, and its standard score."""
    world = rate_world(task.seed)
    pair = play(world, "ACQB", task.T, task.seed)
    # Written out, not taken from the code under test.
    eta = np.minimum(1.0, C1 / np.sqrt(np.arange(1, task.T) + 1.0))
    chances = world.arrival_rate * eta
    count = int(pair.learner.forced.sum())
    deviation = np.sqrt((chances * (1 - chances)).sum())
    return {
        "forced": count,
        "sum of lambda eta": float(chances.sum()),
        "2 c1 lambda sqrt(T)": float(2 * C1 * world.arrival_rate * np.sqrt(task.T)),
        "score": float((count - chances.sum()) / deviation),
    }


def judge_exploration(rows: pd.DataFrame) -> Check:
    """E9: forced explorations are Bernoulli(lambda eta_s), some 2 c1 lambda sqrt(t) by round t."""
    mean, low, high, runs = interval(rows["score"])
    return Check(
        "forced explorations are independent Bernoulli(lambda eta_s)",
        rows[["seed", "forced", "sum of lambda eta", "2 c1 lambda sqrt(T)"]],
        *(mean, low, high),
        "the pooled standard score of the counts is within 2.5",
        exact(abs(mean * np.sqrt(runs)) < 2.5),
        f"{runs} runs of {rows['T'].iloc[0]} rounds; estimate is the mean standard score",
    )
