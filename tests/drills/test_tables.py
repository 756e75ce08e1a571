"""Two hundred malformed tables of every loader: each is a named error or loads as a valid table."""

import csv
import gzip
import io
import random
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cqb import datasets
from cqb.arrivals import Trace

CASES = 200
ROUTERBENCH = [
    ["sample_id", "prompt", "eval_name", "b-model", "a/model"],
    *[[f"fam.{n}", f"['Question {n}?']", "fam", str(n % 2), ".5"] for n in range(6)],
]
for line in ROUTERBENCH:
    line += ["b-model|total_cost", "a/model|total_cost"] if line[0] == "sample_id" else [".1", ".2"]
EMBEDLLM = [
    ["prompt_id", "model_id", "category", "label", "prompt", "model_name"],
    *[
        [str(n), str(m), "piqa", str(n % 2), f"What {n}?", model]
        for n in range(4)
        for m, model in enumerate(("Qwen__Qwen-72B", "google__gemma-2b-it"))
    ],
]
AZURE = [
    ["TIMESTAMP", "ContextTokens", "GeneratedTokens"],
    *[[f"2023-11-16 18:15:{40 + n}.6805900", str(374 + n), "44"] for n in range(6)],
]
BURSTGPT = [
    ["Timestamp", "Model", "Request tokens", "Response tokens", "Total tokens", "Log Type"],
    *[[str(5 * n), "GPT-4", "472", "18", "490", "API log"] for n in range(6)],
]
ATTEMPTS = [["sample_id", "attempt_0", "attempt_1"], *[[f"s{n}", "1", "0"] for n in range(6)]]
SPROUT_MODELS = ("openai-gpt-4o-mini", "aws-claude-3-5-sonnet-v1")
CELLS = (
    "NaN",
    "inf",
    "-inf",
    "1e400",
    "-1",
    "2",
    "abc",
    "",
    " ",
    "１",
    "0x1",
    "1_0",
    "True",
    "1,5",
)
TEXTS = ("", "null", "[", "['a', 1]", "[" * 3000, "x" * 200_000, "\u2028", "a\x00b", '"', "é\ud7ff")


def csv_text(lines: list[list[str]]) -> bytes:
    handle = io.StringIO()
    csv.writer(handle).writerows(lines)
    return handle.getvalue().encode()


def answers() -> pd.DataFrame:
    struct = {"score": 1.0, "num_input_tokens": 100, "num_output_tokens": 10}
    text = {"key": [f"k{n}" for n in range(6)], "dataset": "gsm8k", "prompt": "What?"}
    return pd.DataFrame(text | {model: [struct] * 6 for model in SPROUT_MODELS})


def frame() -> pd.DataFrame:
    made = pd.DataFrame(ROUTERBENCH[1:], columns=ROUTERBENCH[0])
    return made.astype(dict.fromkeys(ROUTERBENCH[0][3:], float))


# --- harm ----------------------------------------------------------------------------------------


def harmed_lines(rng: random.Random, lines: list[list[str]]) -> list[list[str]]:
    """One to three wrong cells, headers, rows or columns."""
    lines = [list(line) for line in lines]
    for _ in range(rng.randint(1, 3)):
        row, column = rng.randrange(len(lines)), rng.randrange(len(lines[0]))
        kind = rng.randrange(9)
        if kind == 0:
            lines[0][column % len(lines[0])] = rng.choice(["", lines[0][0], "other", "a|b"])
        elif kind == 1:
            lines[0] = [name.upper() for name in lines[0]]
        elif kind == 2:
            del lines[row][column:]
        elif kind == 3:
            lines[row].append("more")
        elif kind == 4:
            lines.append(lines[row])
        elif kind == 5:
            lines = [line[:column] + line[column + 1 :] for line in lines] if column else lines[1:]
        elif kind == 6:
            del lines[1:]
        elif column < len(lines[row]):
            lines[row][column] = rng.choice(CELLS if kind == 7 else TEXTS)
        if not lines or not lines[0]:
            return [[""]]
    return lines


def harmed_bytes(rng: random.Random, content: bytes) -> bytes:
    """Content cut short, flipped, in another encoding, or of another kind."""
    kind = rng.randrange(9)
    if kind == 0:
        return content[: rng.randrange(len(content))]
    if kind == 1:
        flipped = bytearray(content)
        for _ in range(rng.randint(1, 5)):
            flipped[rng.randrange(len(flipped))] ^= 1 << rng.randrange(8)
        return bytes(flipped)
    if kind == 2:
        return rng.randbytes(rng.randint(1, 3000))
    place = rng.randrange(len(content))
    return [
        b"",
        gzip.compress(content),
        b"\xef\xbb\xbf" + content,
        content[:place] + b"\x00" + content[place:],
        content.replace(b"\n", b"\r"),
        content.decode("latin-1").encode("utf-16"),
    ][kind - 3]


def harmed_csv(lines: list[list[str]], file: str, others: dict[str, bytes] | None = None):
    def make(rng: random.Random, folder: Path) -> None:
        for name, content in (others or {}).items():
            (folder / name).write_bytes(content)
        found = csv_text(harmed_lines(rng, lines) if rng.random() < 0.7 else lines)
        if rng.random() < 0.4:
            found = harmed_bytes(rng, found)
        (folder / file).write_bytes(found)

    return make


def harmed_frame(made: Callable[[], pd.DataFrame], file: str):
    kinds = [object, str, "float32", "int8", bool, "category", "datetime64[ns]", "string"]

    def make(rng: random.Random, folder: Path) -> None:
        table, path = made(), folder / file
        for _ in range(rng.randint(0, 2)):
            column = rng.choice(list(table))
            kind = rng.randrange(5)
            if kind == 0 and table.shape[1] > 1:
                table = table.drop(columns=column)
            elif kind == 1:
                other = rng.choice(["", "other", column.upper()])
                table = table.rename(columns={} if other in table else {column: other})
            elif kind == 2:
                table[column] = rng.choice([None, np.nan, np.inf, -1.0, 2, "text", b"\xff", True])
            elif kind == 3:
                table = table.iloc[: rng.randrange(2)]
            else:
                table[column] = pd.Series([rng.choice([0, 1])] * len(table)).astype(
                    rng.choice(kinds)
                )
        if path.suffix == ".pkl":
            table.to_pickle(path)
        else:
            pq.write_table(pa.Table.from_pandas(table, preserve_index=False), path)
        if rng.random() < 0.5:
            path.write_bytes(harmed_bytes(rng, path.read_bytes()))

    return make


MODEL_LIST = csv_text([["model_id", "model_name"], ["0", EMBEDLLM[1][5]], ["1", EMBEDLLM[2][5]]])
LOADERS = {
    "table-csv": ("table", harmed_csv(ROUTERBENCH, "mine.csv")),
    "table-parquet": ("table", harmed_frame(frame, "mine.parquet")),
    "routerbench-csv": ("routerbench", harmed_csv(ROUTERBENCH, "part.csv")),
    "routerbench-pickle": ("routerbench", harmed_frame(frame, "routerbench_0shot.pkl")),
    "sprout": ("sprout", harmed_frame(answers, "train-0.parquet")),
    "embedllm": ("embedllm", harmed_csv(EMBEDLLM, "train.csv", {"model_order.csv": MODEL_LIST})),
    "embedllm-models": (
        "embedllm",
        harmed_csv(
            [line.split(",") for line in MODEL_LIST.decode().split()],
            "model_order.csv",
            {"train.csv": csv_text(EMBEDLLM)},
        ),
    ),
    "zeroeval": ("zeroeval", harmed_csv(ROUTERBENCH, "gsm8k.csv")),
    "cruxeval": ("cruxeval", harmed_csv(ATTEMPTS, "attempts.csv")),
    "azure": ("azure", harmed_csv(AZURE, "trace.csv")),
    "burstgpt": ("burstgpt", harmed_csv(BURSTGPT, "trace.csv")),
}
PRICES = (
    r"(sprout|embedllm)\.json"  # a model without a price: the message names the table to extend
)


def check_valid(found: datasets.RoutingTable | Trace) -> None:
    if isinstance(found, Trace):
        assert np.isfinite(found.times).all()
        assert (np.diff(found.times) >= 0).all()
        return
    assert len(found) > 0
    assert ((found.scores >= 0) & (found.scores <= 1)).all()
    assert found.costs is None or (np.isfinite(found.costs) & (found.costs >= 0)).all()
    assert len(set(found.ids)) == len(found)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("case", range(CASES))
@pytest.mark.parametrize("loader", LOADERS)
def test_a_malformed_table(loader, case, tmp_path, record_property):
    name, harm = LOADERS[loader]
    harm(random.Random(f"{loader} {case}"), tmp_path)
    try:
        found = datasets.load(name, tmp_path)
    except ValueError as error:
        outcome, said = "named errors", str(error)
    else:
        outcome, said = "valid tables", str(tmp_path)
        check_valid(found)
    names = [
        re.escape(name) for name in (str(tmp_path), *(path.name for path in tmp_path.iterdir()))
    ]
    assert re.search("|".join([*names, PRICES]), said), said
    record_property("outcome", outcome)
