"""EmbedLLM, on CSV files in the layout of the published set."""

import csv
import os
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cqb.datasets
from cqb.datasets import embedllm, prices

MODELS = ("Qwen__Qwen-72B", "google__gemma-2b-it", "mistralai__Mixtral-8x7B-Instruct-v0.1")
COLUMNS = ("prompt_id", "model_id", "category", "label", "prompt", "model_name")
REAL = os.environ.get("CQB_EMBEDLLM_DIR", "")


def lines(prompt_id, labels, prompt="What?", category="piqa"):
    """One line for each label, of the models in order."""
    return [
        dict(zip(COLUMNS, (prompt_id, j, category, label, prompt, MODELS[j]), strict=True))
        for j, label in enumerate(labels)
    ]


def write(folder, rows, columns=COLUMNS, models=MODELS):
    with open(folder / "train.csv", "w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    listed = "".join(f"{j},{model}\n" for j, model in enumerate(models))
    (folder / "model_order.csv").write_text("model_id,model_name\n" + listed)
    return folder


def test_lines_become_rows_and_models_keep_their_order(tmp_path):
    rows = lines(7, (1, 0, 1), "Two, or 3?") + lines(3, (0, 0, 1), 'A "quote"\nand a line', "asdiv")
    random.Random(1).shuffle(rows)
    rows.sort(key=lambda line: line["prompt_id"] != 7)  # prompt 7 comes first in the file
    table = cqb.datasets.load("embedllm", write(tmp_path, rows))
    assert table.name == "EmbedLLM"
    assert not table.stand_in
    assert table.models == MODELS
    assert table.ids == ("7", "3")
    assert table.families == ("piqa", "asdiv")
    assert table.prompts == ("Two, or 3?", 'A "quote"\nand a line')
    assert table.scores.tolist() == [[1, 0, 1], [0, 0, 1]]
    # By hand: "Two" "," "or" "3" "?" are 5 tokens, at $.9, $.1 and $.6 a million.
    assert table.costs[0] == pytest.approx([4.5e-6, 0.5e-6, 3e-6])
    assert table.report["lines_read"] == 6
    assert table.embeddings is None


def test_the_folder_may_come_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("CQB_EMBEDLLM_DIR", str(write(tmp_path, lines(1, (1, 0, 1)))))
    assert cqb.datasets.load("embedllm").ids == ("1",)
    monkeypatch.delenv("CQB_EMBEDLLM_DIR")
    monkeypatch.setenv("CQB_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="raw/embedllm"):
        cqb.datasets.load("embedllm")


def test_the_category_is_not_needed(tmp_path):
    columns = ("prompt_id", "model_name", "label", "prompt")
    table = embedllm.load(write(tmp_path, lines(1, (1, 0, 1)), columns))
    assert table.families == ("EmbedLLM",)


def test_a_prompt_not_answered_by_all_models_is_dropped_and_counted(tmp_path):
    rows = lines(1, (1, 0, 1)) + lines(2, (1, 0)) + lines(3, (1, "", 0)) + lines(4, (0, 0, 0))
    table = embedllm.load(write(tmp_path, rows))
    assert table.ids == ("1", "4")
    assert table.report["rows_read"] == 4
    assert table.report["rows_dropped"] == {"not answered by every model": 2}


def test_no_complete_prompt_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="none of the 1 prompts is answered by all 3 models"):
        embedllm.load(write(tmp_path, lines(1, (1, 0))))


def test_a_pair_said_twice_alike_is_counted_once(tmp_path):
    rows = lines(1, (1, 0, 1)) + lines(1, (1,)) + lines(1, ("",)) + lines(1, (1, 0))
    table = embedllm.load(write(tmp_path, rows))
    assert table.scores.tolist() == [[1, 0, 1]]
    assert table.report["lines_repeated"] == 3
    assert table.report["lines_read"] == 7


@pytest.mark.parametrize("block", [100, 1 << 24])  # the two labels in different blocks, or in one
@pytest.mark.parametrize("columns", [COLUMNS, COLUMNS[:2] + COLUMNS[3:]])
def test_a_pair_with_two_labels_is_refused_by_name(tmp_path, monkeypatch, block, columns):
    monkeypatch.setattr(embedllm, "BLOCK", block)
    rows = lines(1, (1, 0, 1)) + lines(2, (1, 1, 1)) + lines(1, (1, 1))
    with pytest.raises(ValueError, match=r"train.csv, row [17]: prompt '1' and model 'google__g"):
        embedllm.load(write(tmp_path, rows, columns))


def test_of_several_categories_the_first_counts_and_differences_are_told(tmp_path):
    other = lines(2, (0, 0, 0), category="gpqa_x")
    first, second = lines(1, (1, 0), category="gpqa_main"), lines(1, (0, 0, 1), category="gpqa_x")
    table = embedllm.load(write(tmp_path, other + first + second))
    assert table.ids == ("2", "1")
    assert table.scores.tolist() == [[0, 0, 0], [1, 0, 1]]  # a gap is filled from the second
    assert table.families == ("gpqa_x", "gpqa_main")
    assert table.report["prompts_in_several_categories"] == 1
    assert table.report["answers_that_differ_between_categories"] == 1
    assert table.report["lines_repeated"] == 0


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (lines(2, (1, 2, 0)), r"train.csv, row 4: 'label' is '2'; expected 0 or 1"),
        (lines(2, (1, 0, "good")), r"row 5: 'label' is 'good'"),
        (lines("", (1, 0, 1)), "row 3: no prompt_id"),
        (
            [lines(2, (1,))[0] | {"model_name": "who/else"}],
            "row 3: model 'who/else' is not one of the 3",
        ),
    ],
)
def test_a_wrong_cell_is_named_with_file_row_and_column(tmp_path, bad, message):
    with pytest.raises(ValueError, match=message):
        embedllm.load(write(tmp_path, lines(1, (1, 0, 1)) + bad))


def test_rows_are_counted_over_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(embedllm, "BLOCK", 200)
    rows = [line for i in range(50) for line in lines(i, (1, 0, 1))]
    rows[131]["label"] = "x"
    with pytest.raises(ValueError, match="row 131: 'label' is 'x'"):
        embedllm.load(write(tmp_path, rows))


@pytest.mark.parametrize("column", ["prompt_id", "model_name", "label", "prompt"])
def test_a_missing_column_is_named(tmp_path, column):
    columns = [name for name in COLUMNS if name != column]
    with pytest.raises(ValueError, match=f"train.csv: no column '{column}'"):
        embedllm.load(write(tmp_path, lines(1, (1, 0, 1)), columns))


def test_texts_that_look_like_nothing_stay_what_they_are(tmp_path):
    rows = lines("NA-1", (1, 0, 1), "null") + lines("2", (1, 0, 1), "NA")
    assert embedllm.load(write(tmp_path, rows)).prompts == ("null", "NA")


def test_a_model_without_a_price_is_named_with_the_table_to_extend(tmp_path):
    models = (*MODELS[:2], "new__model-7b")
    write(tmp_path, lines(1, (1, 0)), models=models)
    with pytest.raises(ValueError, match=r"model 'new__model-7b' has no price; .*embedllm\.json"):
        embedllm.load(tmp_path)


def test_a_wrong_model_list_is_named(tmp_path):
    write(tmp_path, lines(1, (1, 0, 1)), models=(*MODELS, MODELS[0]))
    with pytest.raises(ValueError, match="row 3: model 'Qwen__Qwen-72B' is named twice"):
        embedllm.load(tmp_path)
    (tmp_path / "model_order.csv").write_text("model\nx\n")
    with pytest.raises(ValueError, match=r"model_order\.csv: no column 'model_name'"):
        embedllm.load(tmp_path)
    (tmp_path / "model_order.csv").write_text("model_name\n")
    with pytest.raises(ValueError, match="found 0 models"):
        embedllm.load(tmp_path)
    (tmp_path / "model_order.csv").unlink()
    with pytest.raises(FileNotFoundError, match=r"model_order\.csv"):
        embedllm.load(tmp_path)


def test_absent_and_broken_files_are_named(tmp_path):
    write(tmp_path, lines(1, (1, 0, 1)))
    with open(tmp_path / "train.csv", "a") as handle:
        handle.write("2,too,few\n")
    with pytest.raises(ValueError, match=r"train.csv: not a readable CSV file"):
        embedllm.load(tmp_path)
    (tmp_path / "train.csv").unlink()
    how = ".*`make data`.*CQB_EMBEDLLM_DIR"
    with pytest.raises(FileNotFoundError, match=r"train\.csv: no such file of EmbedLLM" + how):
        embedllm.load(tmp_path)


cells = st.sampled_from([0, 1, ""])


@settings(deadline=None)  # a CSV file is written and read
@given(st.lists(st.tuples(*[cells] * 3), min_size=1, max_size=8), st.randoms(), st.booleans())
def test_the_order_of_lines_and_the_size_of_blocks_change_nothing(
    tmp_path_factory, labels, shuffle, small
):
    folder = tmp_path_factory.mktemp("long")
    rows = [line for i, answers in enumerate(labels) for line in lines(i, answers, f"Item {i}")]
    shuffle.shuffle(rows)
    write(folder, rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embedllm, "BLOCK", 120 if small else 1 << 24)
        found = embedllm.pivot(folder / "train.csv", MODELS)[0]
    expected = np.array([[-1 if x == "" else x for x in answers] for answers in labels])
    order = np.array([int(name) for name in found["text"]["id"]])
    assert sorted(order) == list(range(len(labels)))
    assert (np.nan_to_num(found["score"], nan=-1) == expected[order]).all()
    assert list(found["text"]["prompt"]) == [f"Item {i}" for i in order]


@pytest.mark.skipif(not REAL, reason="CQB_EMBEDLLM_DIR names no folder of EmbedLLM files")
def test_counts_of_the_published_train_file():
    table = embedllm.load(REAL)
    assert len(table.models) == len(prices.class_prices(table.models)) == 112
    assert table.report["lines_read"] == 3_814_272
    assert len(table) == 29_673
