"""What the paper costs: schedules by hand, every run counted once, and said as it was measured."""

from __future__ import annotations

import itertools

import pytest

from cqb.artifact import cost
from cqb.experiment.schedule import makespan
from cqb.experiment.settings import LONG_VECTORS, PAPER

ROWS = [
    {"dataset": dataset, "policy": policy, "K": K, "seconds": seconds}
    for dataset in PAPER
    for K, policy, seconds in [
        *itertools.product((1, 2), ("ACQB", "ACQB-CL"), (3.0,)),
        *itertools.product((1, 2), ("ORACLE", "RANDOM"), (0.0,)),
        *itertools.product((1,), ("Q-UCB", "Q-ThS"), (0.0,)),
        (1, LONG_VECTORS, 10.0),
        (2, LONG_VECTORS, 100.0),
    ]
]


def test_schedules_by_hand():
    assert makespan([3, 2, 2, 2], 1) == 9
    assert makespan([3, 2, 2, 2], 2) == 5  # 3 + 2 and 2 + 2
    assert makespan([5, 5, 4, 4, 3, 3, 3], 3) == 11  # the best is 9: 5 + 4, 5 + 4, 3 + 3 + 3
    assert makespan([7.5], 100) == 7.5
    assert makespan([], 3) == 0
    with pytest.raises(ValueError, match="cores: found 0"):
        makespan([1], 0)


def test_a_schedule_is_never_better_than_its_bounds():
    for cores in (1, 2, 5, 17):
        seconds = [1 + (7 * i) % 11 for i in range(40)]
        bound = max(max(seconds), sum(seconds) / cores)
        assert bound <= makespan(seconds, cores) <= 4 / 3 * bound


def test_every_run_of_the_paper_is_counted():
    runs = cost.every_run(ROWS)
    assert len(runs) == sum(len(settings.tasks()) for settings in PAPER.values())
    per_cell = runs[runs["dataset"] == "sprout"].groupby(["K", "policy"]).size()
    assert set(per_cell) == {3 * 3 * 10}
    likes = runs[runs["policy"] == "CQB-eps"]
    assert set(likes["seconds"]) == {3.0}


def test_the_text_adds_up():
    sweep = {"runs": 5, "workers": 2, "seconds": 7.0, "load_average": [1.5, 1.0, 1.0]}
    record = {"runs": ROWS, "cluster": [sweep], "machine": {"cores": 2}}
    text = cost.cost_text(record)
    # Per set and K: 90 runs each of ACQB, ACQB-T, CQB-eps and ACQB-CL at 3 s; long vectors beside.
    hours = (2 * 4 * 90 * 3 + 90 * 10 + 90 * 100) / 3600
    assert f"routerbench: {9 * 10 * (9 + 7)} runs, {hours:.1f} core hours" in text
    assert f"1 cores {60 * 3 * hours:.1f} min" in text
    assert f"200 cores {11 * 3 / 60:.1f} min" in text.splitlines()[-2]  # 2,160 runs, eleven rounds
    assert "2 worker process(es): 7.0 s" in text
    assert text.endswith("(load average 1.5 on 2 cores)")


@pytest.mark.slow
def test_a_measurement_has_a_row_for_every_policy_that_costs(monkeypatch):
    short = {name: of.with_(T=20, pool_size=200) for name, of in PAPER.items()}
    monkeypatch.setattr(cost, "PAPER", short)
    rows = cost.measure("routerbench")
    kinds = [(row["policy"], row["K"]) for row in rows]
    assert len(kinds) == len(set(kinds))
    assert set(kinds) == {(row["policy"], row["K"]) for row in ROWS}
    assert all(row["seconds"] >= 0 for row in rows)
