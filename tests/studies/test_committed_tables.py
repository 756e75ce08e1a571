"""The tables and reports committed with the code are those that the studies declare."""

import pytest

from cqb import paths
from cqb.study import replay, store
from cqb.study.cli import reports, studies

STORED = sorted(path.stem for path in paths.results_dir().glob("*.parquet"))


def test_something_is_stored():
    assert {"routerbench", "routerbench-standin", "sensitivity-routerbench"} <= set(STORED)


@pytest.mark.parametrize("name", STORED)
def test_a_stored_table_is_whole_and_of_its_study(name):
    rows, record = store.read_verified(name)
    study = studies()[name]
    assert study.is_stored()
    assert record["version"] == study.version
    assert record["tasks"] == rows[store.KEY].nunique() == len(study.tasks)


def test_no_table_is_stored_that_no_study_declares():
    assert not replay.strays(studies())


def test_every_report_follows_from_the_stored_tables():
    wrong = [verdict.name for verdict in replay.rederive(reports()) if verdict.agrees is False]
    assert not wrong
