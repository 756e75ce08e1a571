"""A study on a Dask cluster: the rows of one process, the data sent once, no task lost with a worker."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import cqb
import tiny

pytest.importorskip("distributed", reason="the extra cluster is not installed")

from cqb.study import cluster, provenance

TESTS = Path(__file__).parents[1]


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
def test_two_worker_processes_give_the_rows_of_one_process_and_not_the_data_with_each_task(
    tmp_path,
):
    tidy, report = on_a_cluster(tmp_path)
    assert_same(tidy, cqb.run(tiny.table(), ["ACQB", "RANDOM"], **tiny.CLUSTER))
    assert report["workers"] == 2
    assert report["sent"] <= 2  # and not with each of the 18 tasks


@pytest.mark.slow
def test_the_tasks_of_a_worker_that_dies_are_run_again(tmp_path, monkeypatch):
    marker = tmp_path / "deaths"
    marker.write_text("1")
    tidy, _ = on_a_cluster(tmp_path, "fatal", **{tiny.FATAL: str(marker)})
    assert marker.read_text() == "0"
    monkeypatch.setenv(tiny.FATAL, str(marker))
    assert_same(tidy, cqb.run(tiny.fatal_world(), ["RANDOM"], arrival_rate=0.4, T=50, seeds=[1, 2]))


class Client:
    """Stands in for a connection to a scheduler."""

    def __init__(self) -> None:
        self.sent: list[object] = []
        self.submitted: list[tuple] = []

    def get_executor(self, **_):
        client = self

        class Pool:
            def submit(self, function, *arguments, **named):
                client.submitted.append(arguments)
                return function(*arguments, **named)

        return Pool()

    def submit(self, function, data, **_):
        self.sent.append(data)
        return "name of the data"


def test_data_are_sent_once_and_named_afterwards():
    client = Client()
    executor = cluster.DaskExecutor(client)
    one, other = tiny.table(), tiny.table(rows=201)
    found = [executor.submit(lambda number, w: (number, w), 7, w) for w in (one, other, one)]
    assert found == [(7, "name of the data")] * 3
    assert client.sent == [one, other]


def test_a_worker_with_other_code_is_refused():
    with pytest.raises(cluster.OtherCodeError, match=r"other code .*\(000000000000\)"):
        cluster.checked("0" * 64, len, [1])
    assert cluster.checked(provenance.source_hash(), len, [1]) == 1
