"""The summaries and figures of the tables: numbers as they are, every policy in every figure."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd

from cqb.figures import beyond as plots
from cqb.studies.beyond import summaries as text
from cqb.studies.beyond.comparison import WAITS
from cqb.studies.beyond.tuning import KINDS

POLICIES = ("ACQB", "ACQB-tuned", "ACQB-M", "TS-memory", "INFORMED", "ACQB-P-tuned")
RNG = np.random.default_rng(4)


def _tidy(seeds: dict[str, int]) -> pd.DataFrame:
    rows = [
        (K, lam, rate, policy, seed, t, t * (1.0 + place) * (1.0 + 0.1 * RNG.random()), 2.0 + place)
        for (K, rate), lam in itertools.product(((1, 0.5), (2, 0.6)), (0.0, 5.0))
        for place, (policy, count) in enumerate(seeds.items())
        for seed in range(count)
        for t in (50, 100)
    ]
    names = ["K", "lam", "arrival_rate", "policy", "seed", "t", "regret", "queue_mean"]
    return pd.DataFrame(rows, columns=names)


FULL = _tidy(dict.fromkeys(POLICIES, 4))


def test_an_incomplete_comparison_says_so():
    said = text.seed_counts(_tidy({"ACQB": 4, "ACQB-M": 2}))
    assert said.splitlines()[0] == "K = 1, 2 cells; seeds: ACQB 4, ACQB-M 2"


def test_regrets_are_the_means_of_the_last_round():
    last = FULL[(FULL["t"] == 100) & (FULL["K"] == 1) & (FULL["lam"] == 5.0)]
    mean = last[last["policy"] == "ACQB-M"]["regret"].mean()
    line = next(line for line in text.regrets(FULL, 1).splitlines() if line.startswith("ACQB-M "))
    assert f"{mean:.0f} ±" in line
    assert "lam 5, 0.5" in text.regrets(FULL, 1)


def test_targets_and_cells_are_told_in_sentences():
    assert text.targets(FULL, ("ACQB-M",)).count("target") == 5
    assert text.cells(FULL, "ACQB", "ACQB-M").startswith("ACQB less ACQB-M: lower in 4 of 4 cells")
    assert "difference -2.00 ± 0.00" in text.queues(FULL, "ACQB", "ACQB-M")


def test_repeats_are_means_over_cells_with_the_interval_of_seeds():
    # Seeds 0 and 1 repeat in 20 and 40% of serves on average over the cells: 30 +- 12.7 * 10.
    tidy = _tidy({"ACQB": 2, "ACQB-M": 2}).assign(repeat_share=0.0)
    ours = tidy["policy"] == "ACQB"
    tidy.loc[ours, "repeat_share"] = 0.2 + 0.2 * tidy["seed"] + np.where(tidy["lam"] > 0, 0.1, -0.1)
    lines = text.repeats(tidy, ("ACQB-M", "ACQB", "absent")).splitlines()
    assert lines[1].split() == ["ACQB-M", "0", "±", "0", "0", "±", "0"]
    assert lines[2].split() == ["ACQB", "30", "±", "127", "30", "±", "127"]


def test_long_waits_are_told_with_the_share_that_still_waits():
    waits = pd.DataFrame(
        [
            (1, 0.0, 0.5, policy, seed, wait, 1.0 / wait, 0.01)
            for policy, seed, wait in itertools.product(POLICIES, (1, 2), WAITS)
        ],
        columns=["K", "lam", "arrival_rate", "policy", "seed", "wait", "longer", "censored"],
    )
    assert text.long_waits(waits).count("1.0 (1.0)") == len(POLICIES)


def test_worlds_are_set_against_the_better_tuned_acqb():
    rows = [
        (world, policy, seed, 100, regret + seed)
        for world, tuned, linear in (("one", 50.0, 60.0), ("two", 50.0, 40.0))
        for policy, regret in (
            ("ACQB-tuned", tuned),
            ("ACQB-tuned (linear)", linear),
            ("ACQB-M", 45.0),
        )
        for seed in (1, 2)
    ]
    table = pd.DataFrame(rows, columns=["world", "policy", "seed", "t", "regret"])
    one, two = text.worlds(table, ("ACQB-M",)).splitlines()
    assert "ACQB-tuned 52; ACQB-M -5 ± 0" in one
    assert "ACQB-tuned (linear) 42; ACQB-M +5 ± 0" in two
    assert "ACQB-M 46; ACQB-tuned +5 ± 0" in text.worlds(table, ("ACQB-tuned",), "ACQB-M")


def test_the_price_of_learning_the_law_is_taken_over_whole_logs():
    rows = [("a", 10, -1.0), ("b", 10, -2.0), ("learned", 10, -1.3)]
    scores = pd.DataFrame(
        [
            (law, "TS-memory", kind, n, score, 0.0, 100)
            for law, n, score in rows
            for kind in ("all", *KINDS)
        ],
        columns=["law", "log", "kind", "rounds", "score", "lam", "seed"],
    )
    assert text.mixture(scores, "learned").startswith(
        "behind the best single law by 3.0 to 3.0 nats"
    )
    assert len(plots.laws(scores, "made up").axes) == len(KINDS)
