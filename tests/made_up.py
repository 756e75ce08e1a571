"""A tidy table of made-up results, for tests of what is drawn and said from one."""

import itertools

import numpy as np
import pandas as pd

from cqb.metrics import COLUMNS

POLICIES = ("ORACLE", "ACQB", "ACQB-T", "CQB-eps", "Q-UCB", "Q-ThS", "RANDOM")


def made_up(policies=POLICIES, stand_in=True, seeds=4, cells=None, rounds=(20, 40)) -> pd.DataFrame:
    """A tidy table of made-up numbers: regret grows with t and with the policy's place."""
    rng = np.random.default_rng(7)
    cells = cells or [(1, 0.0, 0.5), (1, 5.0, 0.5), (2, 0.0, 0.65)]
    rows = []
    for (K, lam, rate), (place, policy), seed, t in itertools.product(
        cells, enumerate(policies), range(seeds), rounds
    ):
        if K > 1 and policy.startswith("Q-"):
            continue
        regret = 0.0 if policy == "ORACLE" else t * (1 + 0.1 * place) + rng.normal()
        measures = [regret, place, place, place + 0.5, 0.1 * (place % 9), 1.0, t, 0.01 * place, 0.1]
        rows.append(["Made up", stand_in, K, lam, rate, policy, seed, t, *measures])
    return pd.DataFrame(rows, columns=COLUMNS)
