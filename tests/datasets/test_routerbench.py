import csv
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cqb.datasets
from cqb.datasets import reading, routerbench
from cqb.datasets.table import prompt_parts

MODELS = ("b-model", "a/model")  # not in alphabetical order, as in the published files
REAL = os.environ.get("CQB_ROUTERBENCH_DIR", "")


def row(name, prompt="['What?']", family="fam", scores=(1.0, 0.0), costs=(0.001, 0.00002), **more):
    cells = {"sample_id": name, "prompt": prompt, "eval_name": family}
    cells |= dict(zip(MODELS, scores, strict=True))
    cells |= {f"{model}|total_cost": cost for model, cost in zip(MODELS, costs, strict=True)}
    return cells | {"oracle_model_to_route_to": "b-model"} | more


def write(folder, rows, name="part.csv", without=()):
    columns = [column for column in rows[0] if column not in without]
    with open(folder / name, "w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return folder


def test_files_are_read_in_order_and_models_sorted(tmp_path):
    write(tmp_path, [row("z.1", scores=(0.5, 1))], "b.csv")
    write(tmp_path, [row("y.1"), row("x.1", family="other")], "a.csv")
    table = cqb.datasets.load("routerbench", tmp_path)
    assert table.name == "RouterBench, 2 families"
    assert not table.stand_in
    assert table.ids == ("y.1", "x.1", "z.1")
    assert table.families == ("fam", "other", "fam")
    assert table.models == ("a/model", "b-model")
    assert table.scores.tolist() == [[0, 1], [0, 1], [1, 0.5]]
    assert table.costs[0].tolist() == [0.00002, 0.001]
    assert table.embeddings is None
    assert list(table.report["files"]) == ["a.csv", "b.csv"]


def test_model_responses_are_ignored(tmp_path):
    write(tmp_path, [row("x.1", **{"a/model|model_response": "text, with a comma"})])
    assert routerbench.load(tmp_path).models == ("a/model", "b-model")


@pytest.mark.parametrize("gap", ["", "nan", "NaN", " "])
def test_incomplete_rows_are_dropped_and_counted(tmp_path, gap):
    rows = [
        row("x.1"),
        row("x.2", scores=(gap, 1)),
        row("x.3", costs=(0.1, gap)),
        row("x.4", scores=(gap, gap), costs=(gap, gap)),
        row("x.1", scores=(1, gap)),  # an incomplete row may repeat the id of a complete one
    ]
    table = routerbench.load(write(tmp_path, rows))
    assert table.ids == ("x.1",)
    assert table.report["rows_read"] == 5
    assert table.report["rows_dropped"] == {"without a score": 3, "without a cost": 1}


def test_no_complete_row_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="none of the 1 rows has every score and cost"):
        routerbench.load(write(tmp_path, [row("x.1", scores=("", 1))]))


@pytest.mark.parametrize(
    ("without", "message"),
    [
        ("a/model", r"part.csv: model 'a/model' has no score column 'a/model'"),
        (
            "a/model|total_cost",
            r"part.csv: no column 'a/model\|total_cost'; expected it for every model",
        ),
        ("sample_id", "part.csv: no column 'sample_id'"),
        ("prompt", "part.csv: no column 'prompt'"),
        ("eval_name", "part.csv: no column 'eval_name'"),
    ],
)
def test_a_missing_column_is_named(tmp_path, without, message):
    with pytest.raises(ValueError, match=message):
        routerbench.load(write(tmp_path, [row("x.1")], without=[without]))


def test_a_table_without_models_is_refused(tmp_path):
    without = [*MODELS, *(f"{model}|total_cost" for model in MODELS)]
    with pytest.raises(ValueError, match=r"part.csv: no model columns"):
        routerbench.load(write(tmp_path, [row("x.1")], without=without))


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (row("x.2", scores=(1.5, 0)), r"part.csv, row 1 \('x.2'\): 'b-model' is 1.5; .*\[0, 1\]"),
        (row("x.2", scores=(1, -0.1)), r"row 1 \('x.2'\): 'a/model' is -0.1"),
        (row("x.2", scores=("inf", 0)), r"row 1 \('x.2'\): 'b-model' is inf"),
        (row("x.2", scores=("good", 0)), r"row 1 \('x.2'\): 'b-model' is 'good'; expected a numb"),
        (row("x.2", costs=(-1, 0)), r"row 1 \('x.2'\): 'b-model\|total_cost' is -1.0; .*dollars"),
        (row("x.2", prompt="[1, 2]"), r"row 1 \('x.2'\): the prompt is '\[1, 2\]'; expected text"),
        (row(""), r"row 1 \(''\): no sample_id"),
        (row("x.1"), r"two complete rows with id 'x.1': part.csv, row 0 and part.csv, row 1"),
    ],
)
def test_a_wrong_cell_is_named_with_file_row_and_column(tmp_path, bad, message):
    with pytest.raises(ValueError, match=message):
        routerbench.load(write(tmp_path, [row("x.1"), bad]))


def test_one_id_in_two_files_is_refused(tmp_path):
    write(tmp_path, [row("x.1")], "a.csv")
    write(tmp_path, [row("y.1"), row("x.1")], "b.csv")
    with pytest.raises(ValueError, match=r"id 'x.1': a.csv, row 0 and b.csv, row 1"):
        routerbench.load(tmp_path)


def test_files_must_agree_about_the_models(tmp_path):
    write(tmp_path, [row("x.1")], "a.csv")
    extra = row("x.2", **{"c-model": 1, "c-model|total_cost": 0.1})
    write(tmp_path, [extra], "b.csv")
    with pytest.raises(ValueError, match=r"b.csv and a.csv differ in their models: \['c-model'\]"):
        routerbench.load(tmp_path)


def test_a_folder_without_files_says_so_and_how_to_get_them(tmp_path):
    how = ".*`make data`.*CQB_ROUTERBENCH_DIR"
    with pytest.raises(FileNotFoundError, match="neither routerbench_0shot.pkl nor a .csv" + how):
        routerbench.load(tmp_path)
    with pytest.raises(
        FileNotFoundError, match="absent: no such folder of RouterBench files" + how
    ):
        routerbench.load(tmp_path / "absent")


def test_a_broken_csv_is_named(tmp_path):
    (tmp_path / "part.csv").write_text('a,b\n1,2\n1,2,3\n"')
    with pytest.raises(ValueError, match=r"part.csv: not a readable CSV"):
        routerbench.load(tmp_path)


def test_unknown_data_sets_are_refused():
    with pytest.raises(ValueError, match="no data set 'sprout2'; expected one of routerbench"):
        cqb.datasets.load("sprout2")


@pytest.mark.parametrize(
    ("cell", "parts"),
    [
        ("['What?']", ["What?"]),
        (' ["It\'s\\na line"] ', ["It's\na line"]),
        ("plain text", ["plain text"]),
        ("[sic] plain text", ["[sic] plain text"]),
        ("null", ["null"]),
        ("['first turn', 'second turn']", ["first turn", "second turn"]),
        (["a list already"], ["a list already"]),
    ],
)
def test_prompt_cells(cell, parts):
    assert prompt_parts(cell, "here") == parts


def test_a_dialogue_becomes_one_text_and_is_counted(tmp_path):
    table = routerbench.load(write(tmp_path, [row("x.1", prompt="['one', 'two']"), row("x.2")]))
    assert table.prompts[0] == "one\n\ntwo"
    assert table.report["prompts_of_several_texts"] == 1


def test_preambles_are_removed_by_family():
    prompts = ["Q: a\nA: b\nQ: cat?", "Q: a\nA: b\nQ: cow?", "Sum\n1", "No line 1", "No line 2"]
    families = ["shots", "shots", "single", "flat", "flat"]
    stripped, removed = reading.strip_preambles(prompts, families)
    assert stripped == ["Q: cat?", "Q: cow?", "Sum\n1", "No line 1", "No line 2"]
    assert removed == {"shots": 10, "single": 0, "flat": 0}


lines = st.text(alphabet="ab\n", max_size=12)


@given(st.lists(st.tuples(lines, st.sampled_from("xyz")), max_size=8), lines)
def test_what_is_removed_is_shared_whole_lines(rows, preamble):
    prompts = [preamble + text for text, _ in rows]
    families = [family for _, family in rows]
    stripped, removed = reading.strip_preambles(prompts, families)
    for before, after, family in zip(prompts, stripped, families, strict=True):
        opening = before[: removed[family]]
        assert opening + after == before
        assert opening == "" or opening.endswith("\n")
        mates = [p for p, f in zip(prompts, families, strict=True) if f == family]
        assert all(mate.startswith(opening) for mate in mates)
        if len(mates) > 1:
            assert len(opening) >= preamble.rfind("\n") + 1
        else:
            assert opening == ""


@pytest.fixture(scope="module")
def real():
    if not REAL:
        pytest.skip("CQB_ROUTERBENCH_DIR names no folder of RouterBench files")
    return routerbench.load(Path(REAL))


def test_real_values_are_sane(real):
    assert len(real.models) == 11
    assert len(real) == real.report["rows_read"] - sum(real.report["rows_dropped"].values())
    assert real.scores.mean(axis=0)[real.models.index("gpt-4-1106-preview")] > 0.75
    assert 1e-6 < real.costs.mean() < 1e-2


def test_counts_of_the_real_three_family_slice(real):
    if set(real.report["files"]) != {"arc_challenge.csv", "mbpp.csv", "winogrande.csv"}:
        pytest.skip("another selection of RouterBench files")
    assert real.report["rows_read"] == 2225
    assert len(real) == 2205
    removed = real.report["preamble_characters"]
    assert removed["mbpp"] == 0
    assert 1200 <= removed["winogrande"] <= 1700
    assert 1200 <= removed["arc-challenge"] <= 1700
    assert len(set(real.prompts)) == 2205


def test_means_of_the_whole_published_table(real):
    if real.report["rows_read"] < 30_000:
        pytest.skip("not the whole table")
    means = dict(zip(real.models, real.scores.mean(axis=0), strict=True))
    assert means["gpt-4-1106-preview"] == pytest.approx(0.7814, abs=2e-3)
    assert means["mistralai/mistral-7b-chat"] == pytest.approx(0.3061, abs=2e-3)
    costs = dict(zip(real.models, real.costs.mean(axis=0), strict=True))
    assert costs["gpt-4-1106-preview"] == pytest.approx(0.003293, rel=0.01)
    ties = (real.scores == real.scores.max(axis=1, keepdims=True)).sum(axis=1) > 1
    assert np.mean(ties) == pytest.approx(0.93, abs=0.01)
