"""SPROUT, on parquet files in the layout of the published set."""

import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import cqb.datasets
from cqb.datasets import prices, sprout

MODELS = ("openai-gpt-4o-mini", "aws-claude-3-5-sonnet-v1")  # not in alphabetical order
ANSWER = pa.struct(
    {
        "judge_response": pa.string(),
        "num_input_tokens": pa.int64(),
        "num_output_tokens": pa.int64(),
        "response": pa.string(),
        "score": pa.float64(),
    }
)
REAL = os.environ.get("CQB_SPROUT_DIR", "")


def answer(score=1.0, prompt_tokens=100, answer_tokens=10, **more):
    return {
        "judge_response": "it is right",
        "num_input_tokens": prompt_tokens,
        "num_output_tokens": answer_tokens,
        "response": "an answer that is not read",
        "score": score,
    } | more


def row(key, prompt="What?", dataset="gsm8k", answers=(None, None)):
    cells = {"key": key, "dataset": dataset, "dataset_level": "train", "dataset_idx": 7}
    cells |= {"prompt": prompt, "golden_answer": "42"}
    return cells | {m: a or answer() for m, a in zip(MODELS, answers, strict=True)}


def write(folder, rows, name="train-00000-of-00001.parquet", kinds=None, drop=()):
    """The rows as the published files hold them; `kinds` changes the type of a column."""
    folder.mkdir(exist_ok=True)
    columns = [column for column in rows[0] if column not in drop]
    types = dict.fromkeys(MODELS, ANSWER) | {"dataset_idx": pa.int64()} | (kinds or {})
    arrays = [pa.array([r[c] for r in rows], types.get(c, pa.string())) for c in columns]
    pq.write_table(pa.table(dict(zip(columns, arrays, strict=True))), folder / name)
    return folder


def test_a_row_is_read_with_its_scores_and_its_costs(tmp_path):
    cells = row("k1", "Two?", "mmlu", (answer(0.5, 1000, 2000), answer(0.0, 10, 20)))
    table = cqb.datasets.load("sprout", write(tmp_path, [cells]))
    assert table.name == "SPROUT"
    assert not table.stand_in
    assert (table.ids, table.prompts, table.families) == (("k1",), ("Two?",), ("mmlu",))
    assert table.models == ("aws-claude-3-5-sonnet-v1", "openai-gpt-4o-mini")
    assert table.scores.tolist() == [[0.0, 0.5]]
    # By hand: 10 tokens at $3 and 20 at $15 a million; 1,000 at $.15 and 2,000 at $.60.
    assert table.costs[0] == pytest.approx([330e-6, 1350e-6])
    assert table.embeddings is None


def test_the_train_files_are_found_in_order_and_alone(tmp_path):
    (tmp_path / "data").mkdir()
    write(tmp_path / "data", [row("b")], "train-00001-of-00002.parquet")
    write(tmp_path / "data", [row("a")], "train-00000-of-00002.parquet")
    write(tmp_path / "data", [row("t")], "test-00000-of-00001.parquet")
    table = sprout.load(tmp_path)
    assert table.ids == ("a", "b")
    assert list(table.report["files"]) == [
        "train-00000-of-00002.parquet",
        "train-00001-of-00002.parquet",
    ]


def test_the_folder_may_come_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("CQB_SPROUT_DIR", str(write(tmp_path, [row("k1")])))
    assert cqb.datasets.load("sprout").ids == ("k1",)
    monkeypatch.delenv("CQB_SPROUT_DIR")
    monkeypatch.setenv("CQB_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="raw/sprout: no such folder"):
        cqb.datasets.load("sprout")


def test_incomplete_rows_are_dropped_and_counted(tmp_path):
    rows = [
        row("k1"),
        row("k2", answers=(answer(score=None), None)),
        row("k3", answers=(answer(prompt_tokens=None), None)),
        row("k4", answers=(None, answer(answer_tokens=None))),
        row("k5", answers=(answer(score=float("nan"), prompt_tokens=None), None)),
        row("k6"),
        row("k7", answers=(None, answer(score=None))),
        row("k1", answers=(answer(score=None), None)),  # may repeat the key of a complete row
    ]
    rows[5][MODELS[0]] = None  # no answer at all
    table = sprout.load(write(tmp_path, rows))
    assert table.ids == ("k1",)
    assert table.report["rows_read"] == 8
    assert table.report["rows_dropped"] == {"without a score": 5, "without token counts": 2}


def test_no_complete_row_is_an_error(tmp_path):
    rows = [row("k1", answers=(answer(score=None), None))]
    with pytest.raises(ValueError, match="none of the 1 rows has every score and every token"):
        sprout.load(write(tmp_path, rows))


def without(field):
    return pa.struct([f for f in ANSWER if f.name != field])


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        (without("score"), "score"),
        (without("num_input_tokens"), "num_input_tokens"),
        (without("num_output_tokens"), "num_output_tokens"),
        (pa.struct([*without("score"), pa.field("score", pa.string())]), "score"),
        (pa.string(), "score"),
        (pa.list_(pa.float64()), "score"),
    ],
)
def test_a_wrong_struct_is_named_with_its_column_and_field(tmp_path, kind, field):
    cells = row("k1")
    if not pa.types.is_struct(kind):
        cells[MODELS[0]] = None
    elif kind.get_field_index("score") >= 0 and kind.field("score").type == pa.string():
        cells[MODELS[0]] = answer(score="good")
    write(tmp_path, [cells], kinds={MODELS[0]: kind})
    message = rf"train-00000.*: no numbers in the field '{field}' of column 'openai-gpt-4o-mini'"
    with pytest.raises(ValueError, match=message):
        sprout.load(tmp_path)


@pytest.mark.parametrize("column", ["key", "prompt", "dataset"])
def test_a_missing_column_is_named(tmp_path, column):
    with pytest.raises(ValueError, match=f"train-.*: no column '{column}'; not a SPROUT table"):
        sprout.load(write(tmp_path, [row("k1")], drop=[column]))


def test_a_table_without_models_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no model columns"):
        sprout.load(write(tmp_path, [row("k1")], drop=MODELS))


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (
            row("k2", answers=(answer(1.5), None)),
            r"\('k2'\): 'score' of 'openai-gpt-4o-mini' is 1.5",
        ),
        (row("k2", answers=(None, answer(-0.5))), r"'score' of 'aws-claude.*' is -0.5; .*\[0, 1\]"),
        (row("k2", answers=(answer(prompt_tokens=-3), None)), "'num_input_tokens' of .* is -3"),
        (row("k2", answers=(answer(answer_tokens=-1), None)), "'num_output_tokens' of .* is -1"),
        (row("k2", prompt=None), "row 1: 'prompt' is None; expected text"),
        (row("k2", prompt="  "), "row 1: 'prompt' is '  '; expected text"),
        (row(None), "row 1: 'key' is None"),
        (row("k1"), "two complete rows with key 'k1': train-.*, row 0 and train-.*, row 1"),
    ],
)
def test_a_wrong_cell_is_named_with_file_row_and_column(tmp_path, bad, message):
    with pytest.raises(ValueError, match=message):
        sprout.load(write(tmp_path, [row("k1"), bad]))


def test_files_must_agree_about_the_models(tmp_path):
    write(tmp_path, [row("k1")], "train-00000-of-00002.parquet")
    write(tmp_path, [row("k2")], "train-00001-of-00002.parquet", drop=MODELS[:1])
    with pytest.raises(ValueError, match=r"differ in their models: \['openai-gpt-4o-mini'\]"):
        sprout.load(tmp_path)


def test_a_model_without_a_price_is_named_with_the_table_to_extend(tmp_path):
    cells = row("k1") | {"new-model": answer()}
    write(tmp_path, [cells], kinds={"new-model": ANSWER})
    with pytest.raises(ValueError, match=r"model 'new-model' has no price; add it .*sprout\.json"):
        sprout.load(tmp_path)


def test_absent_and_broken_files_are_named(tmp_path):
    how = ".*`make data`.*CQB_SPROUT_DIR"
    with pytest.raises(FileNotFoundError, match="no such folder of SPROUT files" + how):
        sprout.load(tmp_path / "absent")
    with pytest.raises(FileNotFoundError, match="no .parquet file in it" + how):
        sprout.load(tmp_path)
    (tmp_path / "train-00000-of-00001.parquet").write_text("not parquet")
    with pytest.raises(ValueError, match=r"train-00000.*: not a readable parquet file"):
        sprout.load(tmp_path)


def test_shared_opening_lines_are_removed_but_paid_for(tmp_path):
    rows = [row("k1", "Answer in one word.\nWhy?"), row("k2", "Answer in one word.\nHow?")]
    table = sprout.load(write(tmp_path, rows))
    assert table.prompts == ("Why?", "How?")
    assert table.report["preamble_characters"] == {"gsm8k": 20}
    assert (table.costs > 0).all()


@pytest.mark.skipif(not REAL, reason="CQB_SPROUT_DIR names no folder of SPROUT files")
def test_means_of_the_published_train_split():
    table = sprout.load(REAL)
    assert len(table.models) == prices.token_prices(table.models).shape[1] == 14
    means = dict(zip(table.models, table.scores.mean(axis=0), strict=True))
    assert means["openai-o3-mini"] == pytest.approx(0.9061, abs=2e-3)
    assert means["wxai-llama-3-2-1b-instruct"] == pytest.approx(0.4625, abs=2e-3)
