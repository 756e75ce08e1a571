"""Settings chosen on rows that are never reported."""

import numpy as np
import pandas as pd

import tiny
from cqb.routing_table import split_rows
from cqb.runs import Cell
from cqb.studies.beyond.tuning import (
    LINEAR,
    PLACE,
    RECORDED,
    Candidate,
    TuningTask,
    candidates,
    chosen,
    place,
    run,
)

TABLE = tiny.table()


def test_the_tuning_world_holds_the_tuning_rows_and_no_others():
    world = place(TABLE, RECORDED, 0.0)
    tuning = split_rows(TABLE, 5, 40, 0).tuning
    np.testing.assert_array_equal(np.sort(world.rows), tuning)


def test_every_candidate_is_named_once_and_can_be_run():
    grid = candidates()
    assert len({(one.policy, one.setting) for one in grid}) == len(grid)
    assert {one.policy for one in grid} == {"ACQB", "ACQB-P"}
    assert grid[0].setting == "lambda0 1, alpha_coef 0.0001"  # the published one
    for one in grid:
        row = run(TuningTask(one, RECORDED, Cell(1, 0.0, 0.4), 100, 8), TABLE)
        assert row[["policy", "setting"]].iloc[0].to_list() == [one.policy, one.setting]
        assert np.isfinite(row["regret"].item())


def test_the_setting_of_a_candidate_decides_its_run():
    def regret(*numbers: tuple[str, float]) -> float:
        task = TuningTask(Candidate("ACQB", numbers), LINEAR, Cell(1, 0.0, 0.4), 1, 200)
        return run(task, TABLE)["regret"].item()

    narrow = regret(("lambda0", 1.0), ("alpha_coef", 1e-4))
    assert regret(("lambda0", 1.0), ("alpha_coef", 1.0)) != narrow
    assert regret(("lambda0", 1.0), ("alpha_coef", 1e-4)) == narrow


def _scores(regrets: dict[str, list[float]]) -> pd.DataFrame:
    rows = [
        ("A", setting, RECORDED, 1, 0.0, 0.4, seed, regret)
        for setting, values in regrets.items()
        for seed, regret in enumerate(values)
    ]
    return pd.DataFrame(rows, columns=["policy", "setting", *PLACE, "seed", "regret"])


def test_the_first_setting_stays_unless_it_is_clearly_beaten():
    clear = _scores({"first": [10, 20, 30, 40], "other": [5, 10, 15, 21]})
    assert chosen(clear)["A"] == "other"
    # A mean log lower by .1, with a standard error of .15: not enough.
    noise = _scores(
        {"first": [10, 20, 30, 40], "other": [10 * np.exp(0.2), 20, 30, 40 / np.exp(0.6)]}
    )
    assert chosen(noise)["A"] == "first"
    # No place outweighs the others: the mean of regrets would say "other".
    scale = _scores({"first": [10, 1000], "other": [20, 900]})
    assert chosen(scale)["A"] == "first"


def test_exploration_rates_must_beat_the_setting_that_the_grid_chose():
    grid = {"first": [10, 20, 30, 40], "other": [5, 10, 15, 20]}
    little = [5 * np.exp(0.2), 10, 15, 20 / np.exp(0.6)]
    assert chosen(_scores({**grid, "other, exploration_rate 0": little}))["A"] == "other"
    much = [3, 6, 9, 12]
    rate = "other, exploration_rate 0"
    assert chosen(_scores({**grid, rate: much}))["A"] == rate
    # With a setting that was not chosen it is no candidate.
    assert chosen(_scores({**grid, "first, exploration_rate 0": much}))["A"] == "other"
