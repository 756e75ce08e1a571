"""The README's claims are those of figures/claims.json, and notebook 08 shows the same ones."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest

import readme
from cqb.studies.abstracts import verdicts

ROOT = Path(__file__).resolve().parents[1]
ROWS = [
    {"claim": "a", "source": "arXiv 2602.02061", "data": "S (real rows)", "verdict": "holds"},
    {"claim": "b", "source": "arXiv 2602.02061", "data": "S (real rows)", "verdict": "fails"},
    {"claim": "b", "source": "arXiv 2602.02061", "data": "R, 3 families", "verdict": "undecided"},
    {"claim": "c", "source": "arXiv 2509.02718", "data": "S (real rows)", "verdict": "holds"},
]
CLAIMS = pd.DataFrame(ROWS).assign(notebook=["n1", "n1", "n2", "n3"])


def test_the_readme_shows_the_claims_of_claims_json():
    text = (ROOT / "README.md").read_text("utf-8")
    message = "run `python notebooks/readme.py`"
    assert readme.filled(text, readme.stored(ROOT)) == text, message


def test_the_claims_fit_one_screen_and_come_after_the_commands():
    text = (ROOT / "README.md").read_text("utf-8")
    section = text.partition("\n## Claims\n")[2].partition("\n## ")[0]
    assert len(section.splitlines()) <= 40
    heads = re.findall("^## (.*)$", text, re.MULTILINE)
    assert heads[:2] == ["Two commands", "Claims"]
    assert text.index("![") < text.index("## ")


def test_a_row_per_claim_and_a_column_per_data_set_in_their_order():
    found = verdicts(CLAIMS)
    assert list(found) == ["arXiv 2602.02061", "arXiv 2509.02718"]
    first = found["arXiv 2602.02061"]
    assert (list(first.index), list(first)) == (["a", "b"], ["S", "R"])
    assert first.to_numpy().tolist() == [["holds", ""], ["fails", "undecided"]]


def test_the_section_links_each_data_set_to_its_notebook():
    first, second = readme.section(CLAIMS).split("\n\n")
    lines = first.splitlines()
    assert lines[0].endswith("| [S](notebooks/n1.ipynb) | [R](notebooks/n2.ipynb) |")
    assert lines[2:] == ["| a | holds |  |", "| b | fails | undecided |"]
    assert second.splitlines()[2] == "| c | holds |"


def test_what_has_no_place_is_named():
    with pytest.raises(readme.ReadmeError, match="found no lines"):
        readme.filled("# no marks\n", CLAIMS)
    with pytest.raises(readme.ReadmeError, match="found no name for arXiv 1"):
        readme.section(CLAIMS.assign(source="arXiv 1"))


def test_notebook_08_shows_the_same_verdicts():
    cells = json.loads((ROOT / "notebooks" / "08_claims.ipynb").read_text("utf-8"))["cells"]
    pages = [
        "".join(output["data"]["text/html"])
        for cell in cells
        for output in cell.get("outputs", [])
        if "text/html" in output.get("data", {})
    ]
    for wide in verdicts(readme.stored(ROOT)).values():
        assert wide.to_html(border=0, index_names=False, na_rep="") in pages
