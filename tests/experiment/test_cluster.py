"""A sweep on a Dask cluster: the runs of one process, the world sent once, no run lost with a worker."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

import tiny
from cqb import experiment
from cqb.experiment.run_store import RunStore
from cqb.experiment.task import Cell

pytest.importorskip("distributed", reason="the extra cluster is not installed")

from cqb.experiment import cluster

TESTS = Path(__file__).parents[1]
WORKER = SimpleNamespace(address="tcp://worker:1")


def on_a_cluster(folder: Path, *arguments: str, **environment: str) -> tuple[pd.DataFrame, dict]:
    """The tidy table and the report of the script, run as a program of its own."""
    search = os.pathsep.join([str(TESTS), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, str(TESTS / "cluster_script.py"), str(folder), *arguments],
        env={**os.environ, "PYTHONPATH": search, **environment},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads((folder / "report.json").read_text())
    return pd.read_parquet(folder / "tidy.parquet"), report


def assert_same(one: pd.DataFrame, other: pd.DataFrame) -> None:
    one, other = one.drop(columns="seconds"), other.drop(columns="seconds")
    pd.testing.assert_frame_equal(one, other, check_exact=True)


@pytest.mark.slow
def test_two_worker_processes_give_the_rows_of_one_process_and_get_the_world_once(tmp_path):
    tidy, report = on_a_cluster(tmp_path)
    table = tiny.table()
    alone = RunStore(tmp_path / "alone", table)
    assert_same(tidy, experiment.sweep(tiny.SETTINGS, table, store=alone, workers=1))
    assert report["workers"] == 2
    assert report["sent"] == 1
    # All of them are in the store, so that nothing is left to play.
    store = RunStore(tmp_path, table)
    assert all(store.load(task) is not None for task in tiny.SETTINGS.tasks())


@pytest.mark.slow
def test_the_runs_of_a_worker_that_dies_are_made_again(tmp_path):
    marker = tmp_path / "deaths"
    marker.write_text("1")
    tidy, _ = on_a_cluster(tmp_path, "fatal", **{tiny.FATAL: str(marker)})
    assert marker.read_text() == "0"
    settings = tiny.SETTINGS.with_(cells=(Cell(1, 0.0, 0.4),), policies=("RANDOM",), T=50)
    world = tiny.fatal_world()
    os.environ[tiny.FATAL] = str(marker)
    try:
        alone = RunStore(tmp_path / "alone", world)
        assert_same(tidy, experiment.sweep(settings, world, store=alone, workers=1))
    finally:
        del os.environ[tiny.FATAL]


class Client:
    """Stands in for a connection to a scheduler."""

    def __init__(self) -> None:
        self.plugins: list[str] = []
        self.submitted: list[tuple] = []

    def get_executor(self, **_):
        return self

    def register_plugin(self, plugin, name):
        self.plugins.append(name)
        plugin.setup(WORKER)

    def submit(self, function, *arguments):
        self.submitted.append(arguments)
        return function(*arguments)


def test_worlds_are_replaced_by_their_names_on_the_way_to_a_worker():
    client = Client()
    executor = cluster.DaskExecutor(client)
    one, other = tiny.table(), tiny.table(rows=201)
    found = [
        executor.submit(lambda number, world: (number, world), 7, w) for w in (one, other, one)
    ]
    assert [world for _, world in found] == [one, other, one]
    assert len(client.plugins) == len(set(client.plugins)) == 2
    for _, slim, _ in client.submitted:
        assert slim[0] == 7
        assert isinstance(slim[1], cluster.Held)


def test_a_worker_with_other_code_is_refused():
    plugin = cluster.Hold("name", tiny.table(), "0" * 64)
    with pytest.raises(
        cluster.OtherCodeError, match=r"worker tcp://worker:1 has other code .*000000"
    ):
        plugin.setup(WORKER)
    here = cluster.Hold("name", tiny.table(), cluster.run_code())
    here.setup(WORKER)
    assert cluster._held["name"] is here.world
    here.teardown(WORKER)
    assert "name" not in cluster._held
