"""An evaluation table of one's own, in every form that its columns may take."""

import numpy as np
import pandas as pd
import pytest

import cqb.datasets
from cqb.datasets.table import load

PLAIN = pd.DataFrame({"prompt": ["1 + 1?", "2 + 2?", "Why?"], "b": [1, 0.5, 0], "a": [0, 1, 1]})


def write(folder, frame=PLAIN, name="mine.csv", **columns):
    folder.mkdir(exist_ok=True)
    frame = frame.assign(**columns)
    if name.endswith(".parquet"):
        frame.to_parquet(folder / name)
    else:
        frame.to_csv(folder / name, index=False)
    return folder / name


@pytest.mark.parametrize("name", ["mine.csv", "mine.parquet"])
def test_prompts_and_scores_are_enough(tmp_path, name):
    table = cqb.datasets.load("table", write(tmp_path, name=name))
    assert (table.name, table.stand_in, table.models) == ("mine", False, ("a", "b"))
    assert table.scores.tolist() == [[0, 1], [1, 0.5], [1, 0]]
    assert table.ids == ("mine.0", "mine.1", "mine.2")
    assert set(table.families) == {"mine"}
    assert table.costs is None
    assert table.utility(0.0).tolist() == table.scores.tolist()
    with pytest.raises(ValueError, match=r"lam is 1.0, but mine has no costs; expected 0"):
        table.utility(1.0)


def test_a_table_without_costs_is_hashed(tmp_path):
    table = load(write(tmp_path))
    assert table.data_hash() == load(write(tmp_path)).data_hash()
    costly = load(write(tmp_path, **{"a|total_cost": 0.0, "b|total_cost": 0.0}))
    assert costly.data_hash() != table.data_hash()


def test_all_columns_are_used(tmp_path):
    more = {"sample_id": ["x", "y", "z"], "eval_name": ["sum", "sum", "talk"]}
    dollars = {"a|total_cost": [0.1, 0.2, 0.3], "b|total_cost": 0.0, "a|note": "not read"}
    table = load(write(tmp_path, oracle_model_to_route_to="a", **more, **dollars))
    assert table.ids == ("x", "y", "z")
    assert table.families == ("sum", "sum", "talk")
    assert table.models == ("a", "b")
    assert table.costs.tolist() == [[0.1, 0], [0.2, 0], [0.3, 0]]


@pytest.mark.parametrize("price", [2e-6, {"a": 2e-6, "b": 0.0}])
@pytest.mark.parametrize("unit", ["output_chars", "output_tokens"])
def test_a_price_makes_costs_of_amounts(tmp_path, price, unit):
    path = write(tmp_path, **{f"a|{unit}": [10, 20, 30], f"b|{unit}": [0, 5, 5]})
    assert load(path).costs is None
    expected = np.array([[10, 0], [20, 5], [30, 5]]) * [2e-6, 2e-6 if price == 2e-6 else 0]
    assert cqb.datasets.load("table", path, price=price).costs == pytest.approx(expected)


def test_of_several_files_the_common_models_are_read_and_the_others_named(tmp_path):
    write(tmp_path / "set", PLAIN.assign(c=1.0), "one.csv")
    write(tmp_path / "set", PLAIN.drop(columns="b").assign(c=0.5), "two.parquet")
    table = load(tmp_path / "set")
    assert table.name == "set"
    assert table.models == ("a", "c")
    assert table.report["models_dropped"] == ["b"]
    assert table.families == ("one",) * 3 + ("two",) * 3
    assert table.ids[3] == "two.0"


def test_gaps_and_ambiguous_prompts_are_counted(tmp_path):
    frame = PLAIN.assign(a=[0.1, None, 1], prompt=["same", "gap", "same"])
    table = load(write(tmp_path, frame))
    assert len(table) == 2
    assert table.report["rows_dropped"] == {"without a score": 1}
    assert table.report["prompts_with_several_scores"] == 1


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"a": "good"}, r"mine.csv, row 0 \('mine.0'\): 'a' is 'good'; expected a number"),
        ({"a": [0, 1, 1.5]}, r"mine.csv, row 2 \('mine.2'\): 'a' is 1.5; expected a score"),
        ({"a|total_cost": 1.0}, r"mine.csv: no column 'b\|total_cost'; expected it for every"),
        ({"c|total_cost": 1.0}, r"mine.csv: model 'c' has no score column 'c'"),
        ({"a|total_cost": -1, "b|total_cost": 1}, r"'a\|total_cost' is -1.0; expected dollars"),
        ({"sample_id": ["x", "y", "x"]}, r"id 'x': mine.csv, row 0 and mine.csv, row 2"),
        ({"sample_id": ["x", "", "z"]}, r"mine.csv, row 1 \(''\): no sample_id"),
    ],
)
def test_a_wrong_cell_or_column_is_named(tmp_path, columns, message):
    with pytest.raises(ValueError, match=message):
        load(write(tmp_path, **columns))


@pytest.mark.parametrize(
    ("price", "message"),
    [
        (1e-6, r"price: found 1e-06, but no column a\|output_chars to multiply it with"),
        (-1.0, "price of 'a': found -1.0, expected dollars"),
        ({"a": 1.0}, "price of 'b': found None, expected dollars"),
    ],
)
def test_a_wrong_price_is_named(tmp_path, price, message):
    amounts = {} if price == 1e-6 else {"a|output_chars": 1, "b|output_chars": 1}
    with pytest.raises(ValueError, match=message):
        load(write(tmp_path, **amounts), price=price)


def test_what_is_no_table_is_named(tmp_path):
    with pytest.raises(ValueError, match="table: name the file or folder"):
        cqb.datasets.load("table")
    with pytest.raises(FileNotFoundError, match="absent: no such file"):
        load(tmp_path / "absent")
    with pytest.raises(FileNotFoundError, match=r"no \.csv or \.parquet file"):
        load(tmp_path)
    with pytest.raises(ValueError, match=r"mine.csv: no column 'prompt'; its columns are b, a"):
        load(write(tmp_path, PLAIN[["b", "a"]]))
    with pytest.raises(ValueError, match=r"mine.csv: no model columns"):
        load(write(tmp_path, PLAIN[["prompt"]]))
    write(tmp_path / "two", PLAIN[["prompt", "a"]], "one.csv")
    write(tmp_path / "two", PLAIN[["prompt", "b"]], "two.csv")
    with pytest.raises(ValueError, match=r"no model is in every one of the files one.csv, two"):
        load(tmp_path / "two")
    (tmp_path / "broken.parquet").write_text("not parquet")
    with pytest.raises(ValueError, match=r"broken.parquet: not a readable parquet"):
        load(tmp_path / "broken.parquet")
