"""Data that are not there: every loader says how to get them, and which variable names their folder."""

import pytest

from cqb import datasets
from cqb.datasets.download import ENTRIES


@pytest.mark.parametrize("there", [False, True], ids=["no folder", "empty folder"])
@pytest.mark.parametrize("name", datasets.FETCHED)
def test_every_loader_says_how_to_get_its_files(name, there, tmp_path, monkeypatch):
    monkeypatch.delenv(f"CQB_{name.upper()}_DIR", raising=False)
    folder = tmp_path / "data"
    if there:
        folder.mkdir()
    with pytest.raises(FileNotFoundError) as caught:
        datasets.load(name, folder)
    said = str(caught.value)
    assert str(folder) in said
    assert f"set CQB_{name.upper()}_DIR to the folder" in said
    assert "names this place" not in said
    # A command that cannot fetch a set is not named for it.
    assert ("`make data`" in said) == (name in ENTRIES)


def test_a_folder_that_a_variable_names_is_said_to_be_named_by_it(tmp_path, monkeypatch):
    monkeypatch.setenv("CQB_AZURE_DIR", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"\(CQB_AZURE_DIR names this place\)"):
        datasets.load("azure")
