"""Checks without a queue: the best assortment (E1), the best order (E2), optimism of draws (E8)."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd

from ..mnl import best_assortment, departure_rate
from ..posterior import optimistic_draws, sampled_scores
from ..streams import Streams
from . import laws
from .verdicts import Check, Row, Task, estimate, exact


def best_assortments(task: Task) -> list[Row]:
    """E1: the best assortments of `task.T` queries against an enumeration, a row per K."""
    rows, N, queries = [], 7, task.T
    utilities = 2.0 * Streams(1).generator("E1").standard_normal((queries, N))
    last = np.zeros(queries)
    for K in range(1, N + 1):
        every = [departure_rate(utilities[:, list(S)]) for S in combinations(range(N), K)]
        chosen = np.take_along_axis(utilities, best_assortment(utilities, K), axis=1)
        rate = departure_rate(chosen)
        rows.append(
            {
                "K": K,
                "assortments": len(every),
                "largest shortfall": float(np.max(np.max(every, axis=0) - rate)),
                "smallest gain over K - 1": float(np.min(rate - last)),
            }
        )
        last = rate
    return rows


def judge_assortments(rows: pd.DataFrame) -> Check:
    """E1: the K largest utilities are the best assortment, and a model added never hurts."""
    table = rows[["K", "assortments", "largest shortfall", "smallest gain over K - 1"]]
    worst = float(table["largest shortfall"].max())
    holds = worst < 1e-12 and bool((table["smallest gain over K - 1"] >= 0.0).all())
    return Check(
        "for one query the best K models are those of the K largest utilities",
        table,
        *(worst, worst, worst),
        "no enumerated assortment departs faster by 1e-12, and no added model slows it",
        exact(holds),
        f"{rows['T'].iloc[0]} random queries, {len(table)} models, every K",
    )


def service_orders(task: Task) -> Row:
    """E2: the excess of two orders over the optimum, for all horizons to `task.T`."""
    rng = Streams(task.seed).generator("E2")
    rates, arrival_rate = rng.uniform(0.05, 0.95, 3), float(rng.uniform(0.2, 0.95))
    case = (rates, arrival_rate, rng.dirichlet(np.ones(3)), task.T)
    return {
        "arrival rate": arrival_rate,
        "largest first": laws.terminal_queue_gap(*case),
        "smallest first": laws.terminal_queue_gap(*case, order=np.argsort(rates)),
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
        exact(worst < 1e-12 and bool((wrong > 1e-3).all())),
        f"horizons to {rows['T'].iloc[0]}, 27 starts; serving the smallest first loses "
        f"{wrong.min():.2f} queries or more",
    )


def optimism(task: Task) -> Row:
    """E8: how often all K offered models are optimistic in T/K samples, truth one radius up."""
    (K,) = task.case
    M, trials = optimistic_draws(K), task.T // K
    share = float(optimistic_hits(K, M, 1.0, trials).mean())
    error = 2.0 * np.sqrt(max(share * (1 - share), 1e-12) / trials)
    return {
        "K": K,
        "M": M,
        "guaranteed": laws.guaranteed(M, K, laws.BOUND),
        "with M - 1": laws.guaranteed(M - 1, K, laws.BOUND),
        "exact at one radius": laws.all_optimistic(M, K, laws.exceed(1.0)),
        "simulated": share,
        "low": share - error,
        "high": share + error,
    }


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
        exact((sharp & agree).all() and least["low"] > laws.BOUND),
        f"smallest at K = {int(least['K'])}",
    )
