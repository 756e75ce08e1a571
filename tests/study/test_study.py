"""A study's table: kept task by task, found again only for the same task, whoever runs it."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
import warnings
from concurrent.futures import BrokenExecutor, Future, ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path

import pandas as pd
import psutil
import pytest

from cqb.study import data, running, store
from cqb.study.running import WorkerDied, heard, side_by_side
from cqb.study.study import StudyError
from tiny_study import FATAL, LOG, Task, run, runs_of, study

ALL = ["easy-1", "easy-2", "easy-3", "hard-1", "hard-2", "hard-3"]


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """Folders for stored tables and unfinished work; what is run is logged."""
    for name in ("results", "runs", "log"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("CQB_DATA", str(tmp_path))
    monkeypatch.setenv(LOG, str(tmp_path / "log"))
    return tmp_path


def log(folder: Path) -> list[str]:
    """What was run since the last call."""
    found = runs_of(folder / "log")
    for path in (folder / "log").iterdir():
        path.unlink()
    return found


def same(one: pd.DataFrame, other: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(
        one.drop(columns="seconds"), other.drop(columns="seconds"), check_exact=True
    )


def test_rows_come_in_the_order_of_the_tasks_whatever_order_they_end_in(folder):
    dear = study(cost=lambda task: task.seed + 10.0 * (task.kind == "hard"))
    rows = dear.rows()
    assert rows["kind"].tolist() == ["easy"] * 6 + ["hard"] * 6
    assert rows["seed"].tolist() == [1, 1, 2, 2, 3, 3] * 2
    assert rows[store.KEY].nunique() == 6


def test_a_stored_table_is_used_and_nothing_is_run(folder, capsys):
    tiny = study()
    tiny.store(tiny.rows())
    assert log(folder) == ALL
    back = tiny.rows()
    assert log(folder) == []
    pd.testing.assert_frame_equal(back, pd.read_parquet(folder / "results" / "tiny.parquet"))
    assert capsys.readouterr().out.splitlines() == [
        "tiny: running 6 of 6 tasks",
        "tiny: 6 tasks, from the stored table",
    ]


def test_an_interrupted_study_runs_only_what_did_not_end(folder, monkeypatch):
    tiny = study()

    def stop(task, world):
        if task.seed == 3:
            raise KeyboardInterrupt
        return run(task, world)

    with pytest.raises(KeyboardInterrupt):
        study(run=stop).rows()
    first = log(folder)
    rows = tiny.rows()
    assert len(first) < 6
    assert sorted(first + log(folder)) == ALL
    same(rows, tiny.rows(keep=False))


def test_storing_forgets_the_unfinished_work(folder):
    tiny = study()
    rows = tiny.rows()
    assert list((folder / "runs").rglob("*.parquet"))
    tiny.store(rows)
    assert not list((folder / "runs").rglob("*.parquet"))


def test_a_task_that_is_added_is_the_only_one_that_is_run(folder):
    study().store(study().rows())
    log(folder)
    more = study(seeds=(1, 2, 3, 4))
    rows = more.rows()
    assert log(folder) == ["easy-4", "hard-4"]
    assert rows["seed"].nunique() == 4


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"name": "other"},
        {"settings": {"checkpoints": 3}},
        {"tasks": tuple(Task(kind, seed, 2.0) for kind in ("easy", "hard") for seed in (1, 2, 3))},
        {"data": "routerbench-standin"},
        {"artifacts": ("weights.safetensors",)},
    ],
)
def test_rows_of_another_version_setting_data_or_artifact_are_never_used(
    folder, change, monkeypatch
):
    tiny = study()
    tiny.store(tiny.rows())
    for suffix in ("parquet", "json"):
        (folder / "results" / f"other.{suffix}").write_bytes(
            (folder / "results" / f"tiny.{suffix}").read_bytes()
        )
    log(folder)
    monkeypatch.setattr(data, "identity", lambda name: "" if name is None else "other data")
    monkeypatch.setattr(data, "load", lambda name: None)
    study(**change).rows()
    assert log(folder) == ALL


def test_a_field_that_is_added_with_a_default_changes_no_key(folder):
    @dataclasses.dataclass(frozen=True)
    class Later(Task):
        colour: str = "none"

    now = tuple(Later(task.kind, task.seed) for task in study().tasks)
    assert list(study(tasks=now).keys("")) == list(study().keys(""))
    other = tuple(Later(task.kind, task.seed, colour="red") for task in study().tasks)
    assert not set(study(tasks=other).keys("")) & set(study().keys(""))


def test_data_that_are_not_here_are_not_checked_and_that_is_said(folder, capsys, monkeypatch):
    monkeypatch.setattr(data, "identity", lambda name: "hash of the data")
    monkeypatch.setattr(data, "load", lambda name: None)
    far = study(data="far")
    far.store(far.rows())
    monkeypatch.setattr(data, "identity", lambda name: None)
    capsys.readouterr()
    assert len(far.table()) == 12
    assert "(far is not here: data not checked)" in capsys.readouterr().out

    def missing(name):
        raise FileNotFoundError("far: see the data page")

    monkeypatch.setattr(data, "load", missing)
    with pytest.raises(FileNotFoundError, match="far: see the data page"):
        study(data="far", name="unknown").rows()


@pytest.mark.parametrize("harm", ["bit", "half", "record", "foreign", "no record"])
def test_a_damaged_table_is_noticed_and_run_again(folder, harm):
    tiny = study()
    path = tiny.store(tiny.rows())
    record = path.with_suffix(".json")
    content = bytearray(path.read_bytes())
    if harm == "bit":
        content[len(content) // 2] ^= 4
        path.write_bytes(content)
    elif harm == "half":
        path.write_bytes(content[: len(content) // 2])
    elif harm == "record":
        record.write_text("{")
    elif harm == "foreign":
        record.write_text(json.dumps({"format": "of another program", "sha256": "0" * 64}))
    else:
        record.unlink()
    log(folder)
    if harm == "no record":
        assert len(tiny.rows()) == 12
    else:
        with pytest.warns(store.DamagedTableWarning, match=r"tiny\.(parquet|json).*run again"):
            assert len(tiny.rows()) == 12
    assert log(folder) == ALL


def test_a_damaged_unfinished_task_is_run_again(folder):
    tiny = study()
    tiny.rows()
    victim = next((folder / "runs").rglob("*.parquet"))
    victim.write_bytes(victim.read_bytes()[:-10])
    log(folder)
    with pytest.warns(store.DamagedTableWarning, match="damaged"):
        tiny.rows()
    assert len(log(folder)) == 1


def test_unfinished_work_of_other_code_is_not_used(folder, monkeypatch):
    study().rows()
    log(folder)
    monkeypatch.setattr(store, "source_hash", lambda: "of other code")
    study().rows()
    assert log(folder) == ALL


def test_a_table_whose_numbers_are_the_same_is_not_written_again(folder):
    tiny = study()
    path = tiny.store(tiny.rows())
    before = path.read_bytes(), path.with_suffix(".json").read_bytes()
    tiny.store(tiny.rows(fresh=True))
    assert (path.read_bytes(), path.with_suffix(".json").read_bytes()) == before
    changed = tiny.rows(fresh=True)
    changed.loc[0, "value"] += 1e-9
    tiny.store(changed)
    assert path.read_bytes() != before[0]


def test_the_record_tells_how_the_table_was_made(folder):
    tiny = study()
    record = json.loads(tiny.store(tiny.rows()).with_suffix(".json").read_text())
    assert record["study"] == "tiny"
    assert record["version"] == 1
    assert record["tasks"] == 6
    assert record["first_task"] == {"kind": "easy", "seed": 1, "scale": 1.0}
    assert {"created", "packages", "machine", "git", "sha256"} <= set(record)


def test_read_gives_the_stored_table_and_never_runs(folder):
    tiny = study(derive=lambda rows: rows.assign(double=2 * rows["value"]))
    assert not tiny.is_stored()
    with pytest.raises(FileNotFoundError, match=r"tiny: 6 of 6 .*python -m cqb run tiny"):
        tiny.read()
    tiny.store(tiny.rows())
    assert tiny.is_stored()
    assert tiny.read()["double"].dropna().tolist() == [6, 12, 18, 6, 12, 18]
    with pytest.raises(FileNotFoundError, match="2 of 8 tasks are not stored"):
        study(seeds=(1, 2, 3, 4)).read()


def test_labels_must_differ_and_there_must_be_tasks():
    with pytest.raises(StudyError, match="2 tasks have the label 'easy, seed 1'"):
        study(seeds=(1, 1), kinds=("easy",))
    with pytest.raises(StudyError, match="at least one task"):
        study(tasks=())
    with pytest.raises(StudyError, match="version of at least 1"):
        study(version=0)


# --- side by side --------------------------------------------------------------------------------


@pytest.mark.slow
def test_processes_and_executors_give_the_rows_of_one_process(folder):
    alone = study().rows(keep=False)
    same(study().rows(keep=False, workers=2), alone)
    with ThreadPoolExecutor(2) as executor:
        same(study().rows(keep=False, executor=executor), alone)


@pytest.mark.slow
def test_two_processes_that_run_one_study_lose_no_row(folder):
    code = "from tiny_study import study; s = study(seeds=range(40)); s.store(s.rows())"
    started = [start(code, folder) for _ in range(2)]
    assert [process.wait(timeout=120) for process in started] == [0, 0]
    assert study(seeds=tuple(range(40))).read()["seed"].nunique() == 40


# No `if __name__ == "__main__"`: worker processes must not run the script again.
SCRIPT = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from tiny_study import study
print("begin", flush=True)
rows = study(seeds=tuple(range({seeds}))).rows(workers=2)
print(len(rows))
"""


def start(code: str, folder: Path) -> subprocess.Popen:
    script = folder / f"script{time.monotonic_ns()}.py"
    script.write_text(code)
    search = os.pathsep.join([str(Path(__file__).parents[1]), *filter(None, sys.path)])
    return subprocess.Popen(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": search},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.mark.slow
def test_a_script_without_a_main_guard_runs_once(folder):
    process = start(SCRIPT.format(seeds=3), folder)
    out, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert out.splitlines() == ["begin", "tiny: running 6 of 6 tasks", "12"]


@pytest.mark.slow
def test_so_does_a_script_that_calls_run(folder):
    code = """
import cqb
from cqb import toy
print("begin", flush=True)
print(len(cqb.run(toy.world(), "RANDOM", T=40, seeds=[1, 2], checkpoints=1, workers=2)))
"""
    out, errors = start(code, folder).communicate(timeout=120)
    assert out.splitlines() == ["begin", "2"], errors


def warn(task, data):
    for text in ("few rows", f"task {task}", "few rows"):
        with warnings.catch_warnings():  # makes Python forget what it has shown
            warnings.warn(text, UserWarning, stacklevel=1)


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_warning_that_tasks_share_is_given_once(workers, capfd):
    with pytest.warns(UserWarning, match="few rows|task") as heard:
        assert len(list(side_by_side(warn, {n: n for n in range(4)}, None, workers=workers))) == 4
    texts = sorted(str(one.message) for one in heard)
    assert texts == ["few rows", "task 0", "task 1", "task 2", "task 3"]
    assert "few rows" not in capfd.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals to process groups are POSIX")
def test_ctrl_c_ends_at_once_and_leaves_whole_tasks(folder):
    process = start(SCRIPT.format(seeds=20000), folder)
    deadline = time.monotonic() + 120
    while len(list((folder / "runs").rglob("*.parquet"))) < 4 and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to every process of the command
    _, errors = process.communicate(timeout=60)
    assert process.returncode != 0
    # The end of our traceback; if a task was about to be sent, a thread of loky complains beside it.
    assert "KeyboardInterrupt" in errors.splitlines()
    kept = list((folder / "runs").rglob("*.parquet"))
    assert 4 <= len(kept) < 40000
    assert all(len(pd.read_parquet(path)) == 2 for path in kept)


@pytest.mark.slow
def test_workers_do_not_outlive_a_killed_parent(folder):
    code = "from cqb.study import running\nrunning.IDLE = 1.0\n" + SCRIPT.format(seeds=20000)
    process = start(code, folder)
    while len(list((folder / "runs").rglob("*.parquet"))) < 4:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)
    workers = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate(timeout=60)
    assert len(workers) >= 2
    assert psutil.wait_procs(workers, timeout=60)[1] == []


@pytest.mark.slow
@pytest.mark.parametrize("deaths", [1, 99])
def test_a_worker_that_dies_is_replaced_once_and_its_task_named(folder, monkeypatch, deaths):
    marker = folder / "deaths"
    marker.write_text(str(deaths))
    monkeypatch.setenv(FATAL, str(marker))
    mortal = study(kinds=("easy", "fatal"), seeds=(1, 2))
    if deaths > 1:
        with pytest.raises(WorkerDied, match=r"died twice in the task fatal, seed \d"):
            mortal.rows(workers=2)
        return
    assert mortal.rows(workers=2)["kind"].tolist() == ["easy"] * 4 + ["fatal"] * 4


class FailingPool:
    """Runs tasks at once; the pool is broken from submission number `left` on."""

    def __init__(self, left):
        self.left = left

    def submit(self, call, function, task):
        self.left -= 1
        if self.left < 0:
            raise BrokenExecutor("a worker died")
        future = Future()
        future.set_result(heard(function, task, None))
        return future


@pytest.mark.parametrize("left", [0, 1, 2])
def test_no_task_is_lost_when_a_worker_dies_before_a_task_is_handed_to_it(monkeypatch, left):
    pools = iter([left, *[99] * 9])
    monkeypatch.setattr(
        running, "_processes", lambda data, workers: nullcontext(FailingPool(next(pools)))
    )
    ended = side_by_side(lambda task, world: 10 * task, {n: n for n in range(5)}, None, workers=2)
    assert sorted(ended) == [(n, 10 * n) for n in range(5)]


def test_a_pool_that_breaks_twice_before_a_task_names_it(monkeypatch):
    monkeypatch.setattr(running, "_processes", lambda data, workers: nullcontext(FailingPool(0)))
    with pytest.raises(WorkerDied, match="in the task 0"):
        list(side_by_side(lambda task, world: task, {0: 0, 1: 1}, None, workers=2))


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_an_error_in_a_task_names_the_task(folder, workers):
    with pytest.raises(ZeroDivisionError, match="boom") as caught:
        study(kinds=("broken",)).rows(workers=workers)
    assert caught.value.__notes__[0].startswith("in the task broken, seed ")


def test_workers_are_counted_from_one():
    with pytest.raises(ValueError, match="workers: found 0, expected a whole number, at least 1"):
        side_by_side(lambda task, world: task, {"one": 1}, None, workers=0)


def test_the_progress_bar_is_on_stderr_and_only_when_asked_for(folder, capfd):
    study().rows(keep=False)
    assert capfd.readouterr().err == ""
    study().rows(keep=False, progress=True)
    out, err = capfd.readouterr()
    assert "100%" in err
    assert "tiny: 100%" in err
    assert "%" not in out
