"""Files that are not what their name says: every loader raises a ValueError that names the file."""

import gzip
import re

import pandas as pd
import pytest

from cqb import datasets

HEADERS = {
    "table": "prompt,model",
    "routerbench": "sample_id,prompt,eval_name,model,model|total_cost",
    "embedllm": "prompt_id,model_name,label,prompt",
    "cruxeval": "sample_id,attempt_0",
    "azure": "TIMESTAMP,ContextTokens,GeneratedTokens",
    "burstgpt": "Timestamp,Request tokens,Response tokens",
}


def write(folder, name, content: bytes):
    (folder / "train.csv").write_bytes(content)  # a name that every loader of CSV files reads
    if name == "embedllm":
        (folder / "model_order.csv").write_text("model_name\nQwen__Qwen-72B\n")


@pytest.mark.parametrize("harm", ["compressed", "longer rows", "one_endless_cell"])
@pytest.mark.parametrize("name", HEADERS)
def test_a_csv_file_that_is_not_readable_is_named(name, harm, tmp_path):
    cells = len(HEADERS[name].split(","))
    row = ",".join(["1"] * (cells + 1))
    content = {
        "compressed": gzip.compress(HEADERS[name].encode()),
        "longer rows": f"{HEADERS[name]}\n{row}\n{row}\n".encode(),
        "one_endless_cell": b"x" * 300_000,
    }
    write(tmp_path, name, content[harm])
    with pytest.raises(ValueError, match=rf"train\.csv|{tmp_path}: none of the 0 rows"):
        datasets.load(name, tmp_path)


@pytest.mark.parametrize("name", ["table", "sprout"])
def test_a_flipped_byte_of_a_parquet_file_is_harmless_or_the_file_is_named(name, tmp_path):
    answer = {"score": 1.0, "num_input_tokens": 100, "num_output_tokens": 10}
    value = 1.0 if name == "table" else answer
    rows = {"key": ["a", "b"], "dataset": "d", "prompt": ["What?", "Why?"]}
    if name == "table":
        rows = {"prompt": rows["prompt"]}
    path = tmp_path / "train-0.parquet"
    pd.DataFrame(rows | {"openai-gpt-4o-mini": [value] * 2}).to_parquet(path)
    assert len(datasets.load(name, tmp_path)) == 2
    content, named = path.read_bytes(), 0
    for place in range(0, len(content), 31):
        path.write_bytes(content[:place] + bytes([content[place] ^ 255]) + content[place + 1 :])
        try:
            datasets.load(name, tmp_path)
        except ValueError as error:
            named += bool(re.search(r"train-0\.parquet|sprout\.json", str(error)))
            continue
        named += 1
    assert named == len(range(0, len(content), 31))
