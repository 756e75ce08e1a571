"""Checks of E1 and E2: the best assortment, and the best order, by enumeration."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd

from ..mnl import best_assortment, departure_rate
from ..streams import Streams
from .scheduling import terminal_queue_gap
from .settings import Setting
from .verdicts import Check, Verdict, exact


def best_assortments(setting: Setting) -> Check:
    """E1: the K largest utilities are the best assortment, and a model added never hurts."""
    rows = []
    N, queries = 7, 5 * setting.instances
    utilities = 2.0 * Streams(1).generator("E1").standard_normal((queries, N))
    last = np.zeros(queries)
    for K in range(1, N + 1):
        every = [departure_rate(utilities[:, list(S)]) for S in combinations(range(N), K)]
        best = np.max(every, axis=0)
        chosen = np.take_along_axis(utilities, best_assortment(utilities, K), axis=1)
        rate = departure_rate(chosen)
        rows.append(
            {
                "K": K,
                "assortments": len(every),
                "largest shortfall": float(np.max(best - rate)),
                "smallest gain over K - 1": float(np.min(rate - last)),
            }
        )
        last = rate
    table = pd.DataFrame(rows)
    worst = float(table["largest shortfall"].max())
    holds = worst < 1e-12 and bool((table["smallest gain over K - 1"] >= 0.0).all())
    return Check(
        Verdict(
            "E1",
            "for one query the best K models are those of the K largest utilities",
            worst,
            worst,
            worst,
            "no enumerated assortment departs faster by 1e-12, and no added model slows it",
            exact(holds),
            f"{queries} random queries, {N} models, every K",
            setting.name,
        ),
        table,
    )


def largest_first(setting: Setting) -> Check:
    """E2: largest departure rate first minimises the expected terminal queue at every horizon."""
    rows = []
    for instance in range(setting.instances):
        rng = Streams(instance).generator("E2")
        rates, arrival_rate = rng.uniform(0.05, 0.95, 3), float(rng.uniform(0.2, 0.95))
        shares = rng.dirichlet(np.ones(3))
        case = (rates, arrival_rate, shares, setting.depth)
        rows.append(
            {
                "instance": instance,
                "arrival rate": arrival_rate,
                "largest first": terminal_queue_gap(*case),
                "smallest first": terminal_queue_gap(*case, order=np.argsort(rates)),
            }
        )
    table = pd.DataFrame(rows)
    worst = float(table["largest first"].max())
    return Check(
        Verdict(
            "E2",
            "largest departure rate first, never idling, minimises E[Q(h)] for all h and starts",
            worst,
            worst,
            worst,
            "largest excess over the optimum by exact recursion below 1e-12 queries",
            exact(worst < 1e-12 and bool((table["smallest first"] > 1e-3).all())),
            f"horizons to {setting.depth}, 27 starts; serving the smallest first loses "
            f"{table['smallest first'].min():.2f} queries or more",
            setting.name,
        ),
        table,
    )
