"""Experiments: what a results table holds, and settings that are refused before any run."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

import cqb
import tiny
from cqb import runs
from cqb.environment import from_table
from cqb.experiments import Experiment, seconds_of
from cqb.metrics import COLUMNS
from cqb.policies import LearnerSettings
from cqb.runs import Cell, play, shares_of
from cqb.studies.experiments import ROUTERBENCH, STUDIES
from cqb.study import data

TABLE = tiny.table()


@pytest.fixture
def study(monkeypatch):
    """The tiny experiment as a study on the tiny table."""
    monkeypatch.setattr(data, "load", lambda name: TABLE)
    monkeypatch.setattr(data, "identity", lambda name: TABLE.data_hash())
    return tiny.SETTINGS.study("tiny", 1, more=shares_of)


@pytest.fixture
def expected(study) -> pd.DataFrame:
    """The table of the tiny experiment."""
    return study.table(keep=False)


# --- what the table holds ------------------------------------------------------------------------


def test_a_row_for_every_cell_policy_seed_and_checkpoint_in_the_order_of_the_settings(expected):
    keys = [
        (cell.K, cell.lam, cell.arrival_rate, policy, seed, t)
        for cell in tiny.SETTINGS.cells
        for policy in tiny.SETTINGS.policies
        if not (policy == "Q-UCB" and cell.K == 2)
        for seed in tiny.SETTINGS.seeds
        for t in (29, 58, 86, 115, 143, 172, 200)
    ]
    columns = ["K", "lam", "arrival_rate", "policy", "seed", "t"]
    assert list(expected[columns].itertuples(index=False, name=None)) == keys
    assert list(expected.columns) == COLUMNS
    assert set(expected["dataset"]) == {"Tiny stand-in"}
    assert expected["stand_in"].all()
    assert (expected["seconds"] > 0).all()


def test_every_policy_sees_the_same_arrivals(expected):
    arrived = expected.assign(arrived=expected["served"] + expected["queue"])
    arrivals = arrived.groupby(["K", "seed", "t"])["arrived"].nunique()
    assert (arrivals == 1).all()


def test_gap_is_measured_to_an_oracle_that_need_not_be_named():
    how = {"K": 2, "lam": 1.0, "arrival_rate": 0.6, "T": 150, "seeds": [1], "pool_size": tiny.POOL}
    both = cqb.run(TABLE, ["ORACLE", "RANDOM"], **how)
    alone = cqb.run(TABLE, ["RANDOM"], **how)
    assert set(alone["policy"]) == {"RANDOM"}
    oracle, random = (both[both["policy"] == name] for name in ("ORACLE", "RANDOM"))
    assert alone["gap"].tolist() == (random["queue"].values - oracle["queue"].values).tolist()
    assert not oracle["gap"].any()
    assert oracle["regret"].max() < 1e-9


def test_dollars_are_the_costs_of_all_models_offered():
    task = tiny.SETTINGS.tasks()[0]
    trajectory = play(task, TABLE).trajectory
    environment = from_table(TABLE, task.seed, task.cell.lam, tiny.POOL)
    spent = sum(
        TABLE.costs[environment.rows[row], model]
        for row, (model,) in zip(trajectory.row, trajectory.assortment, strict=True)
        if row >= 0
    )
    cell = task.cell
    tidy = cqb.run(
        TABLE,
        [task.policy],
        K=cell.K,
        lam=cell.lam,
        arrival_rate=cell.arrival_rate,
        T=task.T,
        seeds=[task.seed],
        pool_size=tiny.POOL,
    )
    assert tidy["dollars"].iloc[-1] == pytest.approx(spent)


def test_an_environment_is_a_world_too(linear_world):
    world = linear_world(4)
    tidy = cqb.run(world, ["ACQB", "RANDOM"], K=2, arrival_rate=0.4, T=120, seeds=[7, 8])
    assert set(tidy["dataset"]) == {"linear world"}
    assert tidy["dollars"].isna().all()
    last = tidy[tidy["t"] == 120].set_index(["policy", "seed"])["regret"]
    assert (last["ACQB"] < last["RANDOM"]).all()
    with pytest.raises(ValueError, match=r"lam: found 5.* environment has no costs"):
        cqb.run(world, ["RANDOM"], lam=5)


def test_policies_default_to_the_papers_that_apply(linear_world):
    how = {"K": 3, "arrival_rate": 0.5, "T": 30, "seeds": [0]}
    tidy = cqb.run(TABLE, pool_size=tiny.POOL, **how)
    expected = ["ORACLE", "ACQB", "ACQB-T", "ACQB-CL", "CQB-eps", "RANDOM"]
    assert list(dict.fromkeys(tidy["policy"])) == expected
    # An environment has no rows outside its pool to refine on.
    tidy = cqb.run(linear_world(4), **how)
    assert list(dict.fromkeys(tidy["policy"])) == [p for p in expected if p != "ACQB-CL"]


def test_a_small_table_without_costs_runs_with_the_pool_that_its_rows_allow():
    bare = dataclasses.replace(TABLE, costs=None)
    how = {"T": 40, "seeds": [1, 2], "arrival_rate": 0.4}
    tidy = cqb.run(bare, ["RANDOM"], **how)
    assert tidy["dollars"].isna().all()
    largest = 200 - 40 - 110  # besides the tuning fifth and the refinement rows
    named = cqb.run(bare, ["RANDOM"], pool_size=largest, **how)
    assert tidy["regret"].tolist() == named["regret"].tolist()
    with pytest.raises(ValueError, match=r"lam is 1.0, but Tiny stand-in has no costs"):
        cqb.run(bare, ["RANDOM"], lam=1.0, **how)


def test_the_papers_experiment():
    tasks = ROUTERBENCH.tasks()
    assert len(tasks) == 3 * 10 * 8 + 3 * 10 * 6
    assert {(t.cell.K, t.cell.arrival_rate) for t in tasks} == {(1, 0.5), (2, 0.65)}
    assert {t.cell.lam for t in tasks} == {0.0, 1.0, 5.0}
    assert {t.seed for t in tasks} == set(range(42, 52))
    assert {t.T for t in tasks} == {5000}
    assert {t.pool_size for t in tasks} == {1000}


def test_a_study_holds_the_numbers_of_the_experiment_to_24_bits(study, expected):
    cell = tiny.SETTINGS.cells[0]
    how = {"K": cell.K, "lam": cell.lam, "arrival_rate": cell.arrival_rate, "T": 200}
    how |= {"seeds": tiny.SETTINGS.seeds, "pool_size": tiny.POOL, "checkpoints": 7}
    now = cqb.run(TABLE, tiny.SETTINGS.policies_in(cell), **how).drop(columns="seconds")
    then = expected[expected["K"] == cell.K].drop(columns="seconds").reset_index(drop=True)
    pd.testing.assert_frame_equal(now, then, check_dtype=False, rtol=1e-6)
    whole = [column for column in now if column not in ("regret", "queue_mean", "dollars")]
    whole = [column for column in whole if not column.endswith(("share", "_100"))]
    pd.testing.assert_frame_equal(now[whole], then[whole], check_dtype=False, check_exact=True)


def test_checkpoints_are_part_of_what_a_row_depends_on(study):
    fewer = tiny.SETTINGS.with_(checkpoints=3).study("tiny", 1)
    assert fewer.tasks == study.tasks
    assert not set(fewer.keys("")) & set(study.keys(""))


def test_every_task_setting_is_part_of_what_a_row_depends_on():
    others = [
        tiny.SETTINGS.with_(seeds=(44,)),
        tiny.SETTINGS.with_(T=201),
        tiny.SETTINGS.with_(pool_size=39),
        tiny.SETTINGS.with_(policies=("ACQB",)),
        tiny.SETTINGS.with_(learner=LearnerSettings(lambda0=0.5)),
        tiny.SETTINGS.with_(cells=(Cell(1, 0.0, 0.31),)),
        tiny.SETTINGS.with_(cells=(Cell(1, 0.1, 0.3),)),
        tiny.SETTINGS.with_(cells=(Cell(3, 0.0, 0.3),)),
    ]
    keys = {next(iter(one.study("tiny", 1).keys(""))) for one in [tiny.SETTINGS, *others]}
    assert len(keys) == len(others) + 1


def test_learners_cost_more_than_baselines_and_pairs_more_than_singles():
    costs = {(t.policy, t.cell.K): seconds_of(t) for t in ROUTERBENCH.tasks()}
    assert costs["RANDOM", 1] < costs["ACQB", 1] < costs["ACQB", 2]
    longest = STUDIES["routerbench-paper"]
    assert max(map(longest.cost, longest.tasks)) > costs["ACQB", 2]


def count_plays(monkeypatch) -> list[str]:
    """Record the tasks that are played."""
    played: list[str] = []

    def counted(task, world):
        played.append(str(task))
        return play(task, world)

    monkeypatch.setattr(runs, "play", counted)
    return played


def test_the_stand_ins_can_carry_the_experiment():
    """The oracle's capacity exceeds every arrival rate, so a queue can be kept short."""
    table = data.load("routerbench-standin")
    for cell in ROUTERBENCH.cells:
        assert from_table(table, 42, cell.lam).capacity(cell.K) > cell.arrival_rate


# --- bad settings --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"arrival_rate": 1.2}, r"^arrival_rate: found 1.2, expected a number in \[0, 1\]"),
        ({"arrival_rate": -0.1}, r"^arrival_rate: found -0.1"),
        ({"T": 0}, r"^T: found 0"),
        ({"K": 0}, r"^K: found 0"),
        ({"K": 4}, r"^K: found 4, expected .*fewer than the 4 models"),
        ({"lam": -1.0}, r"^lam: found -1.0"),
        ({"lam": float("nan")}, r"^lam: found nan"),
        ({"seeds": []}, r"^seeds: found none"),
        ({"seeds": [3, 4, 3]}, r"^seeds: 3 is named twice"),
        ({"seeds": [-1]}, r"^seeds: found -1"),
        ({"policies": []}, r"^policies: found none"),
        ({"policies": ["ACQB", "ACQB"]}, r"^policies: ACQB is named twice"),
        ({"policies": ["acqb"]}, r"^policy: found 'acqb', expected one of ORACLE, ACQB, .*RANDOM"),
        ({"policies": ["Q-UCB"], "K": 2}, r"^policy: Q-UCB is defined for K = 1 only, found K = 2"),
        ({"pool_size": 0}, r"^pool_size: found 0"),
        ({"pool_size": 100}, r"a pool of 100 and .* need 210 rows, but 160 of 200 are left"),
        ({"checkpoints": 0}, r"^checkpoints: found 0"),
        (
            {"policies": ["ACQB"], "arrival_rate": 0.005},
            r"^exploration_rate: found 0.01, expected between 0 and the arrival rate 0.005",
        ),
        (
            {"policies": ["CQB-eps"], "learner": LearnerSettings(exploration_rate=0.7)},
            r"^exploration_rate: found 0.7",
        ),
        ({"workers": 0}, r"^workers: found 0"),
        # Values of another kind.
        ({"K": "1"}, r"^K: found '1', expected a whole number, at least 1"),
        ({"K": True}, r"^K: found True"),
        ({"K": 1.5}, r"^K: found 1.5"),
        ({"T": "20"}, r"^T: found '20', expected a whole number, at least 1"),
        ({"T": 20.5}, r"^T: found 20.5"),
        ({"T": None}, r"^T: found None"),
        ({"lam": "0"}, r"^lam: found '0', expected a finite number, at least 0"),
        ({"arrival_rate": "0.5"}, r"^arrival_rate: found '0.5', expected a number in \[0, 1\]"),
        ({"arrival_rate": None}, r"^arrival_rate: found None"),
        ({"arrivals": ["a"] * 20}, r"^arrivals: found 'a' in round 1, expected a whole number"),
        ({"pool_size": "40"}, r"^pool_size: found '40', expected a whole number, at least 1"),
        ({"checkpoints": 2.5}, r"^checkpoints: found 2.5, expected a whole number, at least 1"),
        ({"seeds": None}, r"^seeds: found None, expected whole numbers"),
        ({"seeds": "42"}, r"^seeds: found '42', expected a whole number, at least 0"),
        ({"seeds": [1.5]}, r"^seeds: found 1.5, expected a whole number"),
        ({"policies": 7}, r"^policy: found 7, expected one of ORACLE"),
        ({"policies": "acqb"}, r"^policy: found 'acqb', expected one of ORACLE"),
        ({"learner": {"kappa": 1}}, r"^learner: found \{'kappa': 1\}, expected LearnerSettings"),
        ({"workers": "2"}, r"^workers: found '2', expected a whole number, at least 1"),
        ({"executor": 3}, r"^executor: found 3, expected one with a method submit"),
    ],
)
def test_a_setting_out_of_range_is_named_before_any_run(monkeypatch, changes, message):
    played = count_plays(monkeypatch)
    how = {"policies": ["RANDOM"], "T": 20, "seeds": [1], "pool_size": tiny.POOL, **changes}
    with pytest.raises(ValueError, match=message):
        cqb.run(TABLE, **how)
    assert not played


def test_one_name_or_number_is_taken_for_a_sequence_of_one():
    how = {"arrival_rate": 0.4, "pool_size": tiny.POOL}
    one = cqb.run(TABLE, "RANDOM", T=30.0, seeds=7, K=1.0, **how).drop(columns="seconds")
    several = cqb.run(TABLE, ["RANDOM"], T=30, seeds=[7], K=1, **how).drop(columns="seconds")
    pd.testing.assert_frame_equal(one, several)


def test_a_whole_number_of_another_type_is_the_same_setting():
    cell, same = Cell(1, 0.0, 0.5), Cell(np.int64(1), 0.0, 0.5)
    tasks = Experiment("x", (cell,), ("RANDOM",), (1,)).tasks()
    assert Experiment("x", (same,), "RANDOM", np.arange(1, 2), T=5000.0).tasks() == tasks


@pytest.mark.parametrize("world", ["routerbench", None, np.ones((3, 2))])
def test_a_world_is_a_table_or_an_environment(world):
    with pytest.raises(ValueError, match=r"^world: found .*, expected a routing table"):
        cqb.run(world, ["RANDOM"])


@pytest.mark.parametrize(
    ("setting", "value"), [("lambda0", "1"), ("kappa", 0.0), ("exploration_rate", "0.1")]
)
def test_settings_of_the_learner_are_numbers(setting, value):
    with pytest.raises(ValueError, match=rf"^{setting}: found {value!r}, expected"):
        LearnerSettings(**{setting: value})


def test_a_table_must_be_encoded_and_a_pool_must_hold_something(linear_world):
    bare = dataclasses.replace(TABLE, embeddings=None)
    with pytest.raises(
        ValueError, match=r"Tiny stand-in: no embeddings; call cqb.encoder.encode_table first"
    ):
        cqb.run(bare, ["RANDOM"], pool_size=tiny.POOL)
    world = linear_world(1)
    with pytest.raises(ValueError, match="odds: found shape"):
        dataclasses.replace(world, odds=world.odds[:0], context_of=world.context_of[:0])


def test_an_arrival_rate_below_the_exploration_rate_suits_policies_that_do_not_explore():
    tidy = cqb.run(
        TABLE, ["RANDOM"], arrival_rate=0.005, T=50, seeds=[1], pool_size=tiny.POOL, checkpoints=1
    )
    assert len(tidy) == 1
