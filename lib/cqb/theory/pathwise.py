"""Checks on paths and draws: switching (E6), optimism (E8), exploration (E9), memory (E10)."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..environment import draw
from ..posterior import optimistic_draws, sampled_scores
from ..simulate import simulate
from ..streams import Streams
from ..switching import terminal_queues
from ..synthetic import hidden_fit
from . import memory, optimism
from .orders import FixedRule, Offer, always, cycling, first_come
from .runs import C1, Pair, play, rate_world
from .settings import Setting
from .verdicts import Check, Verdict, exact, interval

SWITCHED = ("ACQB", "CQB-eps", "CQB-Opt", "CQB-eta-2")


def switching(setting: Setting) -> Check:
    """E6: every term psi is -1, 0 or 1 and the terms sum to the queue-length regret."""
    rows = []
    runs = max(2, setting.switch_runs // len(SWITCHED))
    for name in SWITCHED:
        counts, broken = np.zeros(3, int), 0
        for seed in range(runs):
            pair = play(rate_world(seed), name, setting.switch_rounds, seed)
            psi, error = switch_terms(pair)
            counts += [int((psi == value).sum()) for value in (-1, 0, 1)]
            broken += int((np.abs(psi) > 1).sum()) + error
        rows.append(
            {"policy": name, "-1": counts[0], "0": counts[1], "1": counts[2], "broken": broken}
        )
    table = pd.DataFrame(rows)
    broken = float(table["broken"].sum())
    terms = int(table[["-1", "0", "1"]].to_numpy().sum())
    return Check(
        Verdict(
            "E6",
            "psi(s, T) is -1, 0 or 1 on every path, and the psi sum to Q(T) - Q*(T)",
            broken,
            broken,
            broken,
            "no term and no sum is off, on any path",
            exact(broken == 0),
            f"{terms} terms on {runs * len(SWITCHED)} paths",
            setting.name,
        ),
        table,
    )


def switch_terms(pair: Pair) -> tuple[np.ndarray, int]:
    """psi(s, T) for s = 1..T, and by how much their sum misses the queue-length regret."""
    environment, draws = pair.world.environment, pair.draws
    psi = np.diff(terminal_queues(environment, pair.world.K, draws, pair.learner))
    return psi, abs(int(psi.sum()) - int(pair.gap[-1]))


def optimism_of_draws(setting: Setting) -> Check:
    """E8: with M draws all K offered models are optimistic often enough, truth one radius up."""
    rows = []
    for K in (1, 2, 3, 4, 8):
        M = optimistic_draws(K)
        hits = optimistic_hits(K, M, 1.0, setting.draws // K)
        share = float(hits.mean())
        error = 2.0 * np.sqrt(max(share * (1 - share), 1e-12) / hits.size)
        rows.append(
            {
                "K": K,
                "M": M,
                "guaranteed": optimism.guaranteed(M, K, optimism.BOUND),
                "with M - 1": optimism.guaranteed(M - 1, K, optimism.BOUND),
                "exact at one radius": optimism.all_optimistic(M, K, optimism.exceed(1.0)),
                "simulated": share,
                "low": share - error,
                "high": share + error,
            }
        )
    table = pd.DataFrame(rows)
    least = table.loc[table["simulated"].idxmin()]
    sharp = bool(
        (table["guaranteed"] >= optimism.BOUND - 1e-12).all()
        and (table["with M - 1"] < optimism.BOUND).all()
    )
    agree = bool((np.abs(table["simulated"] - table["exact at one radius"]) < 0.02).all())
    return Check(
        Verdict(
            "E8",
            "M = 1, 9, 14, 17, 25 draws keep K = 1, 2, 3, 4, 8 models optimistic with P >= .0855",
            float(least["simulated"]),
            float(least["low"]),
            float(least["high"]),
            f"M is the smallest that guarantees {optimism.BOUND:.5f}, and simulated draws exceed it",
            exact(sharp and agree and least["low"] > optimism.BOUND),
            f"smallest at K = {int(least['K'])}",
            setting.name,
        ),
        table,
    )


def optimistic_hits(K: int, M: int, distance: float, trials: int, seed: int = 8) -> np.ndarray:
    """Whether all K sampled scores of a query exceed truths that lie `distance` radii up: bool.

    The scores come from :func:`cqb.posterior.sampled_scores`, as the plain learner draws them.
    """
    alpha, width = 0.37, 0.8
    normals = Streams(seed).generator(f"E8 {K}").standard_normal((trials, 1, K, M))
    mean = np.zeros((trials, K, 1))
    covariance = np.full((trials, K, 1, 1), width**2)
    scores = sampled_scores(mean, covariance, normals, alpha)
    return (scores > distance * alpha * width).all(axis=(1, 2))


def forced_exploration(setting: Setting) -> Check:
    """E9: forced explorations are Bernoulli(lambda eta_s), some 2 c1 lambda sqrt(t) by round t."""
    T, runs = setting.long_rounds, setting.coverage_runs
    scores, rows = [], []
    for seed in range(runs):
        world = rate_world(seed)
        pair = play(world, "ACQB", T, seed)
        # Written out, not taken from the code under test.
        eta = np.minimum(1.0, C1 / np.sqrt(np.arange(1, T) + 1.0))
        chances = world.arrival_rate * eta
        count = int(pair.learner.forced.sum())
        scores.append((count - chances.sum()) / np.sqrt((chances * (1 - chances)).sum()))
        rows.append(
            {
                "seed": seed,
                "forced": count,
                "sum of lambda eta": float(chances.sum()),
                "2 c1 lambda sqrt(T)": float(2 * C1 * world.arrival_rate * np.sqrt(T)),
            }
        )
    mean, low, high = interval(np.array(scores))
    pooled = mean * np.sqrt(runs)
    return Check(
        Verdict(
            "E9",
            "forced explorations are independent Bernoulli(lambda eta_s)",
            mean,
            low,
            high,
            "the pooled standard score of the counts is within 2.5",
            exact(abs(pooled) < 2.5),
            f"{runs} runs of {T} rounds; estimate is the mean standard score",
            setting.name,
        ),
        pd.DataFrame(rows),
    )


def memory_serves(setting: Setting, good: float = 0.99, bad: float = 0.1) -> Check:
    """E10: mean serves per query without memory, at random, and with memory, simulated."""
    rows = []
    for N in (4, 11):
        rules = {
            "same model": (memory.same_model_serves, lambda N, seed: always([(0,)] * N)),
            "random model": (memory.random_model_serves, _random_offers),
            "greedy memory": (memory.greedy_memory_serves, lambda N, seed: cycling(range(N))),
        }
        for name, (formula, offer) in rules.items():
            predicted = formula(N, good, bad)
            counts = [
                _mean_serves(N, good, bad, offer(N, seed), predicted, seed, setting.queue_rounds)
                for seed in range(setting.queue_runs)
            ]
            mean, low, high = interval(np.array(counts), 1.0 - 0.05 / 6)
            rows.append(
                {
                    "N": N,
                    "rule": name,
                    "predicted": predicted,
                    "simulated": mean,
                    "low": low,
                    "high": high,
                    "capacity": 1.0 / predicted,
                }
            )
    table = pd.DataFrame(rows)
    inside = (table["low"] <= table["predicted"]) & (table["predicted"] <= table["high"])
    row = table.iloc[-1]
    return Check(
        Verdict(
            "E10",
            "without memory a useless context costs 9.18 serves a query, with it 4.43 (N = 11)",
            float(row["simulated"]),
            float(row["low"]),
            float(row["high"]),
            f"all 6 intervals, jointly at 95%, cover the recursion (last: {row['predicted']:.3f})",
            exact(bool(inside.all())),
            "so one model per context for ever is worse than RANDOM, whatever was learned",
            setting.name,
        ),
        table,
    )


def _random_offers(N: int, seed: int) -> Offer:
    generator = Streams(seed).generator("random offers")
    return lambda row, query, served: (int(generator.integers(N)),)


def _mean_serves(
    N: int, good: float, bad: float, offer: Offer, serves: float, seed: int, T: int
) -> float:
    """Serves per departed query, each query served until it departs; `serves` is the prediction."""
    # Nine tenths of the capacity: the queue is rarely empty and never long.
    world = hidden_fit(N, good, bad, arrival_rate=0.9 / serves)
    draws = draw(Streams(seed), N, world.arrival_rate, T)
    run = simulate(world.environment, FixedRule(first_come, offer), 1, draws)
    done = run.departed > 0
    return float((run.query >= 0).sum() / done.sum())
