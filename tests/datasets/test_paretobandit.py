import importlib.util

import numpy as np
import pytest

import cqb.datasets
from cqb.datasets import paretobandit
from cqb.encoder import PACKAGE, encode_table
from cqb.files import read_arrays, write_arrays


@pytest.fixture(scope="module")
def table():
    return cqb.datasets.load("paretobandit")


def test_the_committed_table_is_real_and_holds_no_prompt(table):
    assert not table.stand_in
    assert table.scores.shape == (1785, 3)
    assert table.embeddings.shape == (1785, 384)
    assert table.report["distinct_vectors"] == len(np.unique(table.embeddings, axis=0)) == 1785
    assert {prompt.split(",")[1] for prompt in table.prompts} == {" not included]"}
    # By the package's own file: gemini-2.5-pro is the best and by far the dearest.
    assert table.scores.mean(axis=0) == pytest.approx([0.93492, 0.78878, 0.92476], abs=1e-5)
    assert table.costs.mean(axis=0) == pytest.approx([1.5037e-2, 2.929e-5, 5.029e-4], rel=1e-3)


def test_missing_and_damaged_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"paretobandit.npz: not there; `python -m cqb.dat"):
        cqb.datasets.load("paretobandit", tmp_path)
    (tmp_path / "paretobandit.npz").write_bytes(b"no archive")
    with pytest.raises(ValueError, match=r"paretobandit.npz: not a readable"):
        cqb.datasets.load("paretobandit", tmp_path)
    with pytest.raises(ValueError, match=r"paretobandit.npz: its sha256 is .*, expected 9590556e"):
        paretobandit.read_package(tmp_path / "paretobandit.npz")


needs_package = pytest.mark.skipif(
    importlib.util.find_spec("pareto_bandit") is None, reason="the extra `real` is not installed"
)


@needs_package
def test_the_numbers_are_those_of_the_package(table):
    source = paretobandit.read_package()
    assert source.ids == table.ids
    assert source.families == table.families
    assert source.models == table.models
    assert (source.scores == table.scores).all()
    assert (source.costs == table.costs).all()
    assert len(set(source.prompts)) == len(source)


@needs_package
@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec(PACKAGE) is None, reason="no encoder")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_some_vectors_are_made_again(table, tmp_path):
    source = paretobandit.read_package()
    some = range(0, len(source), 90)
    fields = {name: [getattr(source, name)[row] for row in some] for name in ("ids", "prompts")}
    part = cqb.routing_table.RoutingTable(
        name="part",
        stand_in=False,
        families=[source.families[row] for row in some],
        models=source.models,
        scores=source.scores[::90],
        costs=source.costs[::90],
        report={},
        **fields,
    )
    made = paretobandit.arrays_of(encode_table(part, tmp_path))
    write_arrays(tmp_path / "paretobandit.npz", made)
    again = read_arrays(tmp_path / "paretobandit.npz")["embedding"].astype(float)
    assert np.abs(again - table.embeddings[::90]).max() < 2e-4
