import json

import numpy as np
import pytest

from cqb.datasets import prices

SPROUT = json.loads(prices.SPROUT.read_text())
EMBEDLLM = json.loads(prices.EMBEDLLM.read_text())


def write(folder, table):
    path = folder / "table.json"
    path.write_text(table if isinstance(table, str) else json.dumps(table))
    return path


def test_sprout_prices_are_dollars_per_token():
    found = prices.token_prices(["openai-gpt-4o-mini", "aws-claude-3-5-sonnet-v1"])
    assert found == pytest.approx(np.array([[0.15e-6, 3e-6], [0.6e-6, 15e-6]]))


def test_the_sprout_table_prices_the_fourteen_models():
    models = sorted(SPROUT["models"])
    assert len(models) == 14
    prompt, answer = prices.token_prices(models)
    assert (prompt > 0).all()
    assert (answer >= prompt).all()
    assert SPROUT["source"]
    assert SPROUT["date"]


@pytest.mark.parametrize(
    ("model", "dollars_per_million"),
    [
        ("google__gemma-2b-it", 0.1),
        ("meta-llama__Meta-Llama-3-8B", 0.2),
        ("upstage__SOLAR-10.7B-Instruct-v1.0", 0.3),
        ("tiiuae__falcon-40b-instruct", 0.8),
        ("Qwen__Qwen-72B", 0.9),
        ("mistralai__Mixtral-8x7B-Instruct-v0.1", 0.6),
        ("cloudyu__Mixtral_11Bx2_MoE_19B", 0.6),
        # The same models as papers and other files spell them.
        ("cloudyu/Mixtral-11Bx2-MoE-19B", 0.6),
        ("microsoft/phi-1.5", 0.1),
        ("microsoft__phi-1_5", 0.1),
    ],
)
def test_a_model_costs_what_its_size_class_costs(model, dollars_per_million):
    assert prices.class_prices([model]) == pytest.approx([dollars_per_million * 1e-6])


def test_every_class_has_a_source_and_every_model_a_class_with_a_price():
    assert [entry["price"] for entry in EMBEDLLM["classes"].values()] == [
        *(0.1, 0.2, 0.3, 0.8, 0.9, 1.8),  # dense
        *(0.6, 1.2, 2.4),  # mixtures of experts
    ]
    assert all(entry["source"] and entry["size"] for entry in EMBEDLLM["classes"].values())
    models = list(EMBEDLLM["models"])
    assert len({prices.plain_name(model) for model in models}) == len(models) >= 112
    assert len(prices.class_prices(models)) == len(models)
    assert set(EMBEDLLM["assumed"]) <= set(models)


@pytest.mark.parametrize("find", [prices.token_prices, prices.class_prices])
def test_an_unknown_model_is_named_with_the_table_to_extend(find):
    table = "sprout.json" if find is prices.token_prices else "embedllm.json"
    with pytest.raises(ValueError, match=rf"model 'new/model-7b' has no price; add it .*{table}"):
        find(["new/model-7b"])


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("{", "not readable as JSON"),
        ([], "not of format 'cqb token prices 1'"),
        ({"format": "cqb price classes 1"}, "not of format 'cqb token prices 1'"),
        ({"models": {"m": {"input": -1, "output": 1}}}, "'input' of 'm' is -1; expected US doll"),
        ({"models": {"m": {"input": 1, "output": "2"}}}, "'output' of 'm' is '2'"),
        ({"models": {"m": {"input": 1}}}, "'output' of 'm' is None"),
        ({"models": {"m": 3}}, "'input' of 'm' is None"),
        ({"models": {"m": {"input": True, "output": 1}}}, "'input' of 'm' is True"),
    ],
)
def test_a_wrong_table_of_token_prices_is_named(tmp_path, table, message):
    if isinstance(table, dict):
        table = {"format": "cqb token prices 1"} | table
    with pytest.raises(ValueError, match=message) as caught:
        prices.token_prices(["m"], write(tmp_path, table))
    assert "table.json" in str(caught.value)


def test_a_class_without_a_price_is_named(tmp_path):
    table = {
        "format": "cqb price classes 1",
        "classes": {"small": {"price": 0.1}, "odd": {"price": None}},
        "models": {"org/a": "small", "org/b": "large", "org/c": "odd"},
    }
    path = write(tmp_path, table)
    assert prices.class_prices(["org__a"], path) == pytest.approx([1e-7])
    with pytest.raises(ValueError, match="'price' of 'org__b, class large' is None"):
        prices.class_prices(["org__a", "org__b"], path)
    with pytest.raises(ValueError, match="'price' of 'org/c, class odd' is None"):
        prices.class_prices(["org/c"], path)


def test_tokens_by_the_fixed_rule():
    texts = ["", "one two", "internationally", "1234 + 5.", "naïve_x\n\n", "中文字"]
    # internationally has 15 letters: two pieces; 1234 is 123 and 4; a sign each; _ is one.
    assert prices.count_tokens(texts).tolist() == [0, 2, 2, 5, 3, 1]


def test_tokens_add_up_over_texts():
    a, b = "What is 2 + 2?", "Nothing, or four."
    parts = prices.count_tokens([a, b])
    assert prices.count_tokens([f"{a}\n{b}"])[0] == parts.sum()
    assert parts.dtype == np.float64
