"""Experiments: what a table of results holds, and that no interruption, damage or order changes it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import tiny
from cqb import datasets, encoder, experiment
from cqb.environment import from_table
from cqb.experiment import workers
from cqb.experiment.metrics import COLUMNS
from cqb.experiment.run_store import DamagedRunWarning, RunStore
from cqb.experiment.settings import ROUTERBENCH, Settings, longest_first, weight
from cqb.experiment.task import Cell, play
from cqb.policies import LearnerSettings

TABLE = tiny.table()


def without_seconds(tidy: pd.DataFrame) -> pd.DataFrame:
    return tidy.drop(columns="seconds")


def assert_same(one: pd.DataFrame, other: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(without_seconds(one), without_seconds(other), check_exact=True)


@pytest.fixture
def store(tmp_path) -> RunStore:
    return RunStore(tmp_path / "runs", TABLE)


@pytest.fixture(scope="module")
def expected(tmp_path_factory) -> pd.DataFrame:
    """The tiny experiment, run once without any disturbance."""
    store = RunStore(tmp_path_factory.mktemp("expected"), TABLE)
    return experiment.sweep(tiny.SETTINGS, TABLE, store=store, workers=1)


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
    both = experiment.run(TABLE, ["ORACLE", "RANDOM"], **how)
    alone = experiment.run(TABLE, ["RANDOM"], **how)
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
    tidy = experiment.run(
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
    tidy = experiment.run(world, ["ACQB", "RANDOM"], K=2, arrival_rate=0.4, T=120, seeds=[7, 8])
    assert set(tidy["dataset"]) == {"linear world"}
    assert tidy["dollars"].isna().all()
    last = tidy[tidy["t"] == 120].set_index(["policy", "seed"])["regret"]
    assert (last["ACQB"] < last["RANDOM"]).all()
    with pytest.raises(ValueError, match=r"lam: found 5.* environment has no costs"):
        experiment.run(world, ["RANDOM"], lam=5)


def test_policies_default_to_the_papers_that_apply(linear_world):
    how = {"K": 3, "arrival_rate": 0.5, "T": 30, "seeds": [0]}
    tidy = experiment.run(TABLE, pool_size=tiny.POOL, **how)
    expected = ["ORACLE", "ACQB", "ACQB-T", "ACQB-CL", "CQB-eps", "RANDOM"]
    assert list(dict.fromkeys(tidy["policy"])) == expected
    # An environment has no rows outside its pool to refine on.
    tidy = experiment.run(linear_world(4), **how)
    assert list(dict.fromkeys(tidy["policy"])) == [p for p in expected if p != "ACQB-CL"]


def test_a_policy_that_is_dear_at_larger_k_can_be_left_out_there():
    policies = ("RANDOM", "ACQB", "ACQB-CL-LN")
    settings = tiny.SETTINGS.with_(policies=policies, k1_policies=["ACQB-CL-LN"])
    one, two = settings.cells
    assert settings.policies_in(one) == policies
    assert settings.policies_in(two) == ("RANDOM", "ACQB")
    assert len(settings.tasks()) == 2 * (4 + 3)  # with the oracle


def test_the_papers_experiment():
    tasks = ROUTERBENCH.tasks()
    assert len(tasks) == 3 * 10 * 9 + 3 * 10 * 6
    assert {(t.cell.K, t.cell.arrival_rate) for t in tasks} == {(1, 0.5), (2, 0.65)}
    assert {t.cell.lam for t in tasks} == {0.0, 1.0, 5.0}
    assert {t.seed for t in tasks} == set(range(42, 52))
    assert {t.T for t in tasks} == {5000}
    assert {t.pool_size for t in tasks} == {1000}


# --- side by side, interrupted, damaged ----------------------------------------------------------


@pytest.mark.slow
def test_processes_and_executors_give_the_rows_of_one_process(store, tmp_path, expected):
    processes = experiment.sweep(tiny.SETTINGS, TABLE, store=store, workers=2)
    assert_same(processes, expected)
    other = RunStore(tmp_path / "other", TABLE)
    with ThreadPoolExecutor(2) as executor:
        assert_same(
            experiment.sweep(tiny.SETTINGS, TABLE, store=other, executor=executor), expected
        )


def test_long_runs_come_first():
    weights = [weight(task) for task in longest_first(ROUTERBENCH.tasks())]
    assert weights == sorted(weights, reverse=True)
    assert weights[0] > weights[-1]


def count_plays(monkeypatch, stop_at: int | None = None) -> list[str]:
    """Record the tasks that are played; raise KeyboardInterrupt in place of number `stop_at`."""
    played: list[str] = []

    def counted(task, world):
        if len(played) == stop_at:
            raise KeyboardInterrupt
        played.append(str(task))
        return play(task, world)

    monkeypatch.setattr(workers, "play", counted)
    return played


def test_an_interrupted_sweep_keeps_its_runs_and_goes_on(store, expected, monkeypatch):
    first = count_plays(monkeypatch, stop_at=5)
    with pytest.raises(KeyboardInterrupt):
        experiment.sweep(tiny.SETTINGS, TABLE, store=store, workers=1)
    assert len(list(store.folder.rglob("*.npz"))) == 5
    second = count_plays(monkeypatch)
    assert_same(experiment.sweep(tiny.SETTINGS, TABLE, store=store, workers=1), expected)
    assert len(first) == 5
    assert sorted(first + second) == sorted(map(str, tiny.SETTINGS.tasks()))


def test_a_finished_sweep_plays_nothing_again(store, expected, monkeypatch):
    once = experiment.sweep(tiny.SETTINGS, TABLE, store=store, workers=1)
    played = count_plays(monkeypatch)
    again = experiment.sweep(tiny.SETTINGS, TABLE, store=store, workers=1)
    assert not played
    pd.testing.assert_frame_equal(once, again, check_exact=True)


@pytest.mark.parametrize("harm", ["bit", "half", "other run"])
def test_a_damaged_run_is_made_again_with_a_warning(store, expected, monkeypatch, harm):
    experiment.sweep(tiny.SETTINGS, TABLE, store=store, workers=1)
    victim, other = (store.path(task) for task in tiny.SETTINGS.tasks()[:2])
    content = bytearray(victim.read_bytes())
    if harm == "bit":
        content[len(content) // 2] ^= 4
    elif harm == "half":
        content = content[: len(content) // 2]
    else:
        content = other.read_bytes()
    victim.write_bytes(content)
    played = count_plays(monkeypatch)
    with pytest.warns(DamagedRunWarning, match=r"damaged run .*npz.*run again"):
        tidy = experiment.sweep(tiny.SETTINGS, TABLE, store=store, workers=1)
    assert_same(tidy, expected)
    assert played == [str(tiny.SETTINGS.tasks()[0])]
    assert store.load(tiny.SETTINGS.tasks()[0]) is not None


def test_another_setting_or_other_data_is_another_run(store):
    task = tiny.SETTINGS.tasks()[0]
    others = [
        tiny.SETTINGS.with_(seeds=(44,)).tasks()[0],
        tiny.SETTINGS.with_(T=201).tasks()[0],
        tiny.SETTINGS.with_(pool_size=39).tasks()[0],
        tiny.SETTINGS.with_(policies=("ACQB",)).tasks()[0],
        tiny.SETTINGS.with_(learner=LearnerSettings(lambda0=0.5)).tasks()[0],
        tiny.SETTINGS.with_(cells=(Cell(1, 0.0, 0.31),)).tasks()[0],
        tiny.SETTINGS.with_(cells=(Cell(1, 0.1, 0.3),)).tasks()[0],
        tiny.SETTINGS.with_(cells=(Cell(3, 0.0, 0.3),)).tasks()[0],
    ]
    keys = {store.key(t) for t in [task, *others]}
    assert len(keys) == len(others) + 1
    elsewhere = RunStore(store.folder.parent, tiny.table(rows=201))
    assert elsewhere.key(task) not in keys
    # Checkpoints decide what is reported of a run, not the run.
    assert store.key(tiny.SETTINGS.with_(checkpoints=3).tasks()[0]) == store.key(task)


def test_a_stored_run_comes_back_as_it_was(store):
    task = tiny.SETTINGS.tasks()[0]
    run = play(task, TABLE)
    store.save(task, run)
    back = store.load(task)
    assert back.seconds == run.seconds
    for name, array in vars(run.trajectory).items():
        found = getattr(back.trajectory, name)
        assert found.dtype == array.dtype, name
        np.testing.assert_array_equal(found, array, err_msg=name)


# A shell's background job starts with interrupts ignored; a command in a terminal does not.
SCRIPT = """
import signal
import sys
import tiny
from cqb import experiment
from cqb.experiment.run_store import RunStore

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    settings = tiny.SETTINGS.with_(seeds=range(400), T=300)
    table = tiny.table()
    print("begin", flush=True)
    experiment.sweep(settings, table, store=RunStore(sys.argv[1], table), workers=2)
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals to process groups are POSIX")
def test_ctrl_c_in_a_terminal_ends_at_once_and_leaves_whole_runs(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    folder = tmp_path / "runs"
    search = os.pathsep.join([str(Path(__file__).parents[1]), *filter(None, sys.path)])
    process = subprocess.Popen(
        [sys.executable, str(script), str(folder)],
        env={**os.environ, "PYTHONPATH": search},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 180
    while len(list(folder.rglob("*.npz"))) < 4 and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to every process of the command
    _, errors = process.communicate(timeout=120)
    assert process.returncode != 0
    assert errors.strip().endswith("KeyboardInterrupt")
    assert "SpawnProcess" not in errors
    store = RunStore(folder, TABLE)
    tasks = tiny.SETTINGS.with_(seeds=range(400), T=300).tasks()
    kept = [store.load(task) for task in tasks]  # a damaged one would warn, and so fail the test
    assert 4 <= sum(run is not None for run in kept) < len(tasks)


@pytest.mark.slow
@pytest.mark.parametrize("deaths", [1, 99])
def test_a_worker_that_dies_is_replaced_once(tmp_path, monkeypatch, deaths):
    marker = tmp_path / "deaths"
    monkeypatch.setenv(tiny.FATAL, str(marker))
    marker.write_text(str(deaths))
    how = {"arrival_rate": 0.4, "T": 50, "seeds": [1, 2]}
    world = tiny.fatal_world()
    if deaths > 1:
        with pytest.raises(
            workers.WorkerDied, match=r"died twice over the run of \w+, K = 1.*seed"
        ):
            experiment.run(world, ["RANDOM"], workers=2, **how)
        return
    tidy = experiment.run(world, ["RANDOM"], workers=2, **how)
    assert_same(tidy, experiment.run(world, ["RANDOM"], **how))


def test_an_error_inside_a_run_names_the_run(monkeypatch):
    def fail(task, world):
        raise ZeroDivisionError("boom")

    monkeypatch.setattr(workers, "play", fail)
    with pytest.raises(ZeroDivisionError, match="boom") as caught:
        experiment.run(TABLE, ["RANDOM"], T=10, seeds=[3], pool_size=tiny.POOL)
    assert "ORACLE, K = 1, lam = 0, arrival rate 0.5, seed 3" in caught.value.__notes__[0] or (
        "RANDOM, K = 1, lam = 0, arrival rate 0.5, seed 3" in caught.value.__notes__[0]
    )


def test_a_store_that_cannot_be_written_is_told_before_any_run(tmp_path, monkeypatch):
    played = count_plays(monkeypatch)
    (tmp_path / "runs").write_text("a file where a folder should be")
    with pytest.raises(OSError, match=r"cannot write to .*runs"):
        experiment.sweep(tiny.SETTINGS, TABLE, store=RunStore(tmp_path / "runs", TABLE))
    assert not played


def test_the_progress_bar_is_on_stderr_and_only_when_asked_for(capfd):
    how = {"T": 10, "seeds": [3], "pool_size": tiny.POOL}
    experiment.run(TABLE, ["RANDOM"], **how)
    assert capfd.readouterr() == ("", "")
    experiment.run(TABLE, ["RANDOM"], progress=True, **how)
    out, err = capfd.readouterr()
    assert out == ""
    assert "100%" in err
    assert "left, 2 runs done" in err


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
    ],
)
def test_a_setting_out_of_range_is_named_before_any_run(monkeypatch, changes, message):
    played = count_plays(monkeypatch)
    how = {"policies": ["RANDOM"], "T": 20, "seeds": [1], "pool_size": tiny.POOL, **changes}
    with pytest.raises(ValueError, match=message):
        experiment.run(TABLE, **how)
    assert not played


def test_seeds_are_whole_numbers():
    with pytest.raises(TypeError, match="integer"):
        Settings("x", (Cell(1, 0.0, 0.5),), ("RANDOM",), (1.5,))


def test_a_table_must_be_encoded_and_a_pool_must_hold_something(linear_world):
    import dataclasses

    bare = dataclasses.replace(TABLE, embeddings=None)
    with pytest.raises(ValueError, match="Tiny stand-in: no embeddings; encode the table first"):
        experiment.run(bare, ["RANDOM"], pool_size=tiny.POOL)
    world = linear_world(1)
    with pytest.raises(ValueError, match="odds: found shape"):
        dataclasses.replace(world, odds=world.odds[:0], context_of=world.context_of[:0])


def test_an_arrival_rate_below_the_exploration_rate_suits_policies_that_do_not_explore():
    tidy = experiment.run(
        TABLE, ["RANDOM"], arrival_rate=0.005, T=50, seeds=[1], pool_size=tiny.POOL, checkpoints=1
    )
    assert len(tidy) == 1


def test_load_table_encodes_what_has_no_vectors_yet(monkeypatch, tmp_path):
    import dataclasses

    bare = dataclasses.replace(TABLE, embeddings=None)
    folders = []
    monkeypatch.setenv("CQB_ROUTERBENCH_DIR", str(tmp_path))
    monkeypatch.setattr(
        datasets, "load", lambda name, folder: folders.append((name, folder)) or bare
    )
    monkeypatch.setattr(encoder, "encode_table", lambda table: TABLE)
    assert experiment.load_table("routerbench") is TABLE
    assert experiment.load_table("routerbench-standin") is TABLE
    assert folders == [("routerbench", tmp_path), ("routerbench-standin", None)]
