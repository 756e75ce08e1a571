"""Checks of exact statements: assortments, orders, draws and paths (E1, E2, E6 to E9), and R7."""

from itertools import combinations, pairwise

import numpy as np
import pandas as pd

from ..mnl import best_assortment, departure_rate
from ..posterior import optimistic_draws, sampled_scores
from ..stats import interval
from ..streams import Streams
from ..switching import oracle_odds, oracle_queue, terminal_queues, waiting_rows
from . import OUT_OF_REACH, Check, Row, Task, decided, estimate, laws, resamples
from .worlds import C1, Pair, play, rate_world

SWITCHED = ("ACQB", "CQB-eps", "CQB-Opt", "CQB-eta-2")
BLOCKS = 20  # of rounds, in E7 and R7
OF_ASSORTMENTS = ["K", "assortments", "largest shortfall", "smallest gain over K - 1"]  # E1
RESAMPLES = 2_000  # of the runs of R7


def best_assortments(task: Task) -> pd.DataFrame:
    """E1: the best assortments of `task.T` queries against an enumeration, a row per K."""
    rows, last = [], np.zeros(task.T)
    utilities = 2.0 * Streams(1).generator("E1").standard_normal((task.T, 7))
    for K in range(1, 8):
        every = [departure_rate(utilities[:, list(S)]) for S in combinations(range(7), K)]
        chosen = np.take_along_axis(utilities, best_assortment(utilities, K), axis=1)
        rate = departure_rate(chosen)
        shortfall = float(np.max(np.max(every, axis=0) - rate))
        rows.append((K, len(every), shortfall, float(np.min(rate - last))))
        last = rate
    return pd.DataFrame(rows, columns=OF_ASSORTMENTS)


def judge_assortments(rows: pd.DataFrame) -> Check:
    """E1: the K largest utilities are the best assortment, and a model added never hurts."""
    table = rows[OF_ASSORTMENTS]
    worst = float(table["largest shortfall"].max())
    holds = worst < 1e-12 and bool((table["smallest gain over K - 1"] >= 0.0).all())
    prediction = "for one query the best K models are those of the K largest utilities"
    criterion = "no enumerated assortment departs faster by 1e-12, and no added model slows it"
    note = f"{rows['T'].iloc[0]} random queries, {len(table)} models, every K"
    return Check(prediction, table, *(worst, worst, worst), criterion, decided(holds), note)


def service_orders(task: Task) -> Row:
    """E2: the excess of two orders over the optimum, for all horizons to `task.T`."""
    rng = Streams(task.seed).generator("E2")
    rates, arrival_rate = rng.uniform(0.05, 0.95, 3), float(rng.uniform(0.2, 0.95))
    case = (rates, arrival_rate, rng.dirichlet(np.ones(3)), task.T)
    return {
        "arrival rate": arrival_rate,
        "largest first": laws.terminal_queue_gap(*case, np.argsort(-rates)),
        "smallest first": laws.terminal_queue_gap(*case, np.argsort(rates)),
    }


def judge_orders(rows: pd.DataFrame) -> Check:
    """E2: largest departure rate first minimises the expected terminal queue at every horizon."""
    table = rows[["seed", "arrival rate", "largest first", "smallest first"]]
    table = table.rename(columns={"seed": "instance"})
    worst, wrong = float(table["largest first"].max()), table["smallest first"]
    return Check(
        "largest departure rate first, never idling, minimises E[Q(h)] for all h and starts",
        table,
        *(worst, worst, worst),
        "largest excess over the optimum by exact recursion below 1e-12 queries",
        decided(worst < 1e-12 and bool((wrong > 1e-3).all())),
        f"horizons to {rows['T'].iloc[0]}, 27 starts; serving the smallest first loses "
        f"{wrong.min():.2f} queries or more",
    )


def optimism(task: Task) -> Row:
    """E8: how often all K offered models are optimistic in T/K samples, truth one radius up."""
    (K,) = task.case
    M, trials = optimistic_draws(K), task.T // K
    share = float(optimistic_hits(K, M, trials).mean())
    error = 2.0 * np.sqrt(max(share * (1 - share), 1e-12) / trials)
    return {
        "K": K,
        "M": M,
        "guaranteed": laws.guaranteed(M, K),
        "with M - 1": laws.guaranteed(M - 1, K),
        "exact at one radius": laws.all_optimistic(M, K),
        "simulated": share,
        "low": share - error,
        "high": share + error,
    }


def optimistic_hits(K: int, M: int, trials: int) -> np.ndarray:
    """Whether all K sampled scores of a query exceed truths that lie one radius up: bool.

    The scores come from :func:`cqb.posterior.sampled_scores`, as the plain learner draws them.
    """
    alpha, width = 0.37, 0.8
    normals = Streams(8).generator(f"E8 {K}").standard_normal((trials, 1, K, M))
    covariance = np.full((trials, K, 1, 1), width**2)
    scores = sampled_scores(np.zeros((trials, K, 1)), covariance, normals, alpha)
    return (scores > alpha * width).all(axis=(1, 2))


def judge_optimism(rows: pd.DataFrame) -> Check:
    """E8: M draws keep all K offered models optimistic often enough, and M - 1 are not guaranteed to."""
    columns = ["K", "M", "guaranteed", "with M - 1", "exact at one radius"]
    table = rows[[*columns, "simulated", "low", "high"]]
    least = table.loc[table["simulated"].idxmin()]
    sharp = (table["guaranteed"] >= laws.BOUND - 1e-12) & (table["with M - 1"] < laws.BOUND)
    agree = (table["simulated"] - table["exact at one radius"]).abs() < 0.02
    return Check(
        "M = 1, 9, 14, 17, 25 draws keep K = 1, 2, 3, 4, 8 models optimistic with P >= .0855",
        table,
        *estimate(least, "simulated"),
        f"M is the smallest that guarantees {laws.BOUND:.5f}, and simulated draws exceed it",
        decided((sharp & agree).all() and least["low"] > laws.BOUND),
        f"smallest at K = {int(least['K'])}",
    )


def switching(task: Task) -> Row:
    """E6: how often psi is -1, 0 or 1, and how much of it and of its sum is off, on one path."""
    (policy,) = task.case
    pair = play(rate_world(task.seed), policy, task.T, task.seed)
    psi = switch_terms(pair)
    counts = {str(value): int((psi == value).sum()) for value in (-1, 0, 1)}
    off = int((np.abs(psi) > 1).sum()) + abs(int(psi.sum()) - int(pair.gap[-1]))
    return {"policy": policy, **counts, "broken": off}


def switch_terms(pair: Pair) -> np.ndarray:
    """psi(s, T) for s = 1..T: (T,) int64."""
    world = pair.world
    return np.diff(terminal_queues(world.environment, world.K, pair.draws, pair.learner))


def judge_switching(rows: pd.DataFrame) -> Check:
    """E6: every term psi is -1, 0 or 1 and the terms sum to the queue-length regret."""
    counts = ["-1", "0", "1", "broken"]
    table = rows.groupby("policy", sort=False)[counts].sum().astype(int).reset_index()
    broken = float(table["broken"].sum())
    prediction = "psi(s, T) is -1, 0 or 1 on every path, and the psi sum to Q(T) - Q*(T)"
    criterion = "no term and no sum is off, on any path"
    verdict = decided(broken == 0)
    note = f"{table[counts[:3]].to_numpy().sum()} terms on {len(rows)} paths"
    return Check(prediction, table, *(broken, broken, broken), criterion, verdict, note)


def divergence(task: Task) -> pd.DataFrame:
    """E7 and R7: what a block of rounds adds to one run, a row per block.

    `psi` is the sum of psi(t, T) over the block, `squares` that of the squared departure-rate gap,
    and `survived` whether a divergence that is forced in its last round t survives to T.
    """
    pair = play(rate_world(task.seed), "ACQB", task.T, task.seed)
    psi, regret = switch_terms(pair), pair.learner.regret
    edges = np.unique(np.linspace(0, task.T, BLOCKS + 1).astype(int))
    blocks = [slice(*ends) for ends in pairwise(edges)]
    columns = {
        "t": edges[1:],
        "rounds": np.diff(edges),
        "psi": [psi[block].sum() for block in blocks],
        "squares": [(regret[block] ** 2).sum() for block in blocks],
        "survived": survivals(pair, edges[1:]).astype(int),
    }
    return pd.DataFrame(columns)


def survivals(pair: Pair, rounds: np.ndarray) -> np.ndarray:
    """Whether a divergence forced in each of `rounds` is still seen in the queue at T: bool.

    In one copy of the learner's queue the served query departs in round t, in the other it stays;
    the oracle serves both afterwards on the same draws.
    """
    draws, learner = pair.draws, pair.learner
    odds = oracle_odds(pair.world.environment, pair.world.K)
    before = waiting_rows(learner, draws)
    result = np.zeros(rounds.size, bool)
    for i, t in enumerate(rounds.tolist()):
        if learner.query[t - 1] >= 0:
            stays = before[t - 1] + [int(draws.row[t - 1])] * bool(draws.arrives[t - 1])
            departs = stays.copy()
            departs.remove(int(learner.row[t - 1]))
            queues = [oracle_queue(odds, draws, start, t + 1) for start in (stays, departs)]
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
        rounds = block["rounds"].iloc[0]
        mean, low, high, runs = interval(block["psi"] / rounds)
        m = np.sqrt(block["squares"].sum() / (runs * rounds))
        delta = np.sqrt(block["survived"].mean())
        table.append((t, mean, low, high, m, delta, m * delta, rounds))
    names = ["t", "psi", "low", "high", "m", "delta", "m delta", "rounds"]
    return pd.DataFrame(table, columns=names)


def judge_bound(rows: pd.DataFrame) -> Check:
    """E7: E[psi(t, T)] is at most m_t delta_t."""
    table = divergence_table(rows)
    over = table["low"] - table["m delta"]
    row = table.iloc[int(over.argmax())]
    below = table["high"] <= table["m delta"]
    verdict = decided(below.all(), (over > 0.0).any())
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
    """R7: m_t falls, delta_t rises, and the sum of m_t delta_t exceeds the queue-length regret.

    The intervals are percentile bootstraps over runs.
    """
    runs = rows["seed"].nunique()
    bound, regret, less, more = _sums(rows, np.arange(runs)[None])[:, 0]
    low, high = np.quantile(_sums(rows, resamples(runs, RESAMPLES, 7)), [0.025, 0.975], axis=1)
    holds = low[0] > high[1] and high[2] < 0.0 < low[3]
    fails = high[0] < low[1] or low[2] > 0.0 or high[3] < 0.0
    return Check(
        "m_t falls and delta_t rises with t; sum m_t delta_t exceeds the queue-length regret",
        divergence_table(rows),
        *(bound, low[0], high[0]),
        "the interval of the sum lies above that of the measured regret; from the first to the second "
        "half of the rounds m falls and delta rises, by intervals that leave out 0",
        decided(holds, fails),
        f"measured regret {regret:.2f} ({low[1]:.2f} to {high[1]:.2f}) queries; "
        f"m changes by {less:.3f} ({low[2]:.3f} to {high[2]:.3f}), "
        f"delta by {more:.3f} ({low[3]:.3f} to {high[3]:.3f})",
    )


def _sums(rows: pd.DataFrame, picks: np.ndarray) -> np.ndarray:
    """For resamples of runs `picks` (n, runs): the bound, the regret, the changes of m and delta (4, n).

    A change is that of the mean from the first half of the blocks to the second.
    """
    psi, squares, survived = (
        rows.pivot(index="seed", columns="t", values=name).to_numpy()[picks].mean(axis=1)
        for name in ("psi", "squares", "survived")
    )
    rounds = rows.groupby("t")["rounds"].first().to_numpy()
    m, delta = np.sqrt(squares / rounds), np.sqrt(survived)
    half = rounds.size // 2
    changes = [x[:, half:].mean(axis=1) - x[:, :half].mean(axis=1) for x in (m, delta)]
    return np.array([(m * delta * rounds).sum(axis=1), psi.sum(axis=1), *changes])


def exploration(task: Task) -> Row:
    """E9: the number of ACQB's forced explorations in one run, and its standard score."""
    world = rate_world(task.seed)
    count = int(play(world, "ACQB", task.T, task.seed).learner.forced.sum())
    # Written out, not taken from the code under test.
    eta = np.minimum(1.0, C1 / np.sqrt(np.arange(1, task.T) + 1.0))
    chances = world.arrival_rate * eta
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
        decided(abs(mean * np.sqrt(runs)) < 2.5),
        f"{runs} runs of {rows['T'].iloc[0]} rounds; estimate is the mean standard score",
    )
