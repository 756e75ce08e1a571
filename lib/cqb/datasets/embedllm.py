"""EmbedLLM: right or wrong of 112 models on public benchmarks, one line per prompt and model.

Source: Zhuang et al., "EmbedLLM: Learning Compact Representations of Large Language Models",
arXiv 2410.02223; `train.csv` and `model_order.csv` of the Hugging Face data set RZ412/EmbedLLM.
A prompt may be listed under several categories (variants of one benchmark), each with an answer
of every model. The file, some gigabytes, is read in blocks: one text per prompt stays in memory,
and for each line a few small integers.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pacsv

from cqb.datasets import reading
from cqb.datasets.prices import class_prices, count_tokens
from cqb.datasets.reading import MISSING, Rows
from cqb.routing_table import RoutingTable

NAME = "EmbedLLM"
ANSWERS = "train.csv"
MODELS = "model_order.csv"
PAIR = ["prompt_id", "model_name"]
COLUMNS = (*PAIR, "label", "prompt")
CATEGORY = "category"
LABELS = {"0": 0.0, "1": 1.0, "0.0": 0.0, "1.0": 1.0, "False": 0.0, "True": 1.0}
GAPS = {"not answered by every model": ["score"]}
BLOCK = 1 << 24  # bytes of the file that are in memory at a time
CODED = pa.dictionary(pa.int32(), pa.string())


def load(folder: Path | str) -> RoutingTable:
    """Read `train.csv` and `model_order.csv` in `folder`; nothing is encoded.

    A prompt that some model did not answer is dropped, and counted in the report. If a prompt is
    listed under several categories, its first listing counts, as in the experiments of the ACQB
    paper (arXiv 2602.02061), and the report counts the answers that differ between listings. A
    query costs the tokens of its whole prompt (`cqb.datasets.prices.count_tokens`) at the price
    of the model's size class. The opening lines that all prompts of a category share are removed
    (:func:`.reading.strip_preambles`) after the tokens are counted.

    Raises
    ------
    FileNotFoundError
        A file is missing.
    ValueError
        A column is missing, a label is neither 0 nor 1, a prompt has no id, a model is not in
        `model_order.csv` or has no price, one (prompt, model) pair has two different labels in
        one category, or no prompt is complete. The message names file, row and column.
    """
    files = [Path(folder) / ANSWERS, Path(folder) / MODELS]
    for path in files:
        if not path.is_file():
            raise reading.not_here(f"{path}: no such file of {NAME}", NAME)
    models = read_models(files[1])
    prices = class_prices(models)
    answers, found = pivot(files[0], models)
    nothing = f"prompts is answered by all {len(models)} models of {MODELS}"
    rows, counts = reading.complete_rows([answers], GAPS, "id", files[0], nothing)
    costs = count_tokens(rows["text"]["prompt"])[:, None] * prices
    return reading.routing_table(NAME, models, files, rows, costs, {**counts, **found})


def read_models(path: Path) -> tuple[str, ...]:
    """The models in the order of `model_order.csv`.

    Raises FileNotFoundError if it is not there, ValueError for a missing column or a model named
    twice.
    """
    frame = reading.read_csv(path)
    reading.need(str(path), frame, ["model_name"], f"not the model list of {NAME}")
    models = tuple(frame["model_name"])
    if not all(models) or not models:
        raise ValueError(f"{path}: found {len(models)} models, some without a name or none at all")
    if (again := frame["model_name"].duplicated()).any():
        row = int(np.argmax(again))
        raise ValueError(f"{path}, row {row}: model {models[row]!r} is named twice")
    return models


def pivot(path: Path, models: tuple[str, ...]) -> tuple[Rows, dict[str, int]]:
    """One row per prompt of the long file at `path`, in the order of the file, and counts of its lines.

    Of each prompt the first listing (prompt and category) counts; its gaps are filled from later ones.
    `score` is NaN where a model did not answer. Raises what `load` says.
    """
    lines, texts = _read_lines(path)
    lines["label"] = _labels(path.name, lines, models)
    by_listing = lines.groupby(["prompt_id", CATEGORY], sort=False, observed=True)
    lines["listing"] = by_listing.ngroup()  # numbered in the order of the file
    answers = lines.dropna(subset="label")
    distinct = answers.drop_duplicates(["listing", "model_name", "label"])
    _check_conflicts(path.name, distinct)
    by_pair = distinct.sort_values("listing", kind="stable").groupby(PAIR, observed=True)
    labels = by_pair["label"].agg(["first", "min", "max"])
    first = lines.drop_duplicates("prompt_id", ignore_index=True)
    first = first.astype({"prompt_id": str, CATEGORY: str})
    ids = first["prompt_id"]
    scores = labels["first"].unstack().reindex(index=ids, columns=models).to_numpy(float)
    text = {"id": ids, "family": first[CATEGORY].replace("", NAME), "prompt": ids.map(texts)}
    rows = reading.rows(path.name, {"score": scores}, **text)
    listings = lines.drop_duplicates("listing")["prompt_id"].value_counts()
    return rows, {
        "lines_read": len(lines),
        "lines_repeated": len(answers) - len(distinct),
        "prompts_in_several_categories": int((listings > 1).sum()),
        "answers_that_differ_between_categories": int((labels["min"] < labels["max"]).sum()),
    }


def _labels(file: str, lines: pd.DataFrame, models: tuple[str, ...]) -> pd.Series:
    """The label of each line, float64, NaN where it is empty; ValueError for the first wrong cell."""

    def empty(column: str) -> pd.Series:
        return lines[column].str.strip().str.lower().isin(MISSING)

    labels = lines["label"].str.strip().map(LABELS).astype(float)
    listed = lines["model_name"].isin(models)
    unlisted = f"model {{!r}} is not one of the {len(models)} in the model list"
    for column, wrong, message in (
        ("prompt_id", empty("prompt_id"), "no prompt_id"),
        ("model_name", ~listed, unlisted),
        ("label", labels.isna() & ~empty("label"), "'label' is {!r}; expected 0 or 1"),
    ):
        if wrong.any():
            row = int(np.argmax(wrong))
            raise ValueError(f"{file}, row {row}: {message.format(lines[column][row])}")
    return labels


def _check_conflicts(file: str, distinct: pd.DataFrame) -> None:
    """Raise ValueError for a line whose label is not that of an earlier line of its listing."""
    clashes = distinct[distinct.duplicated(["listing", "model_name"])]
    if len(clashes):
        row, line = next(clashes.iterrows())
        under = f" under category {line[CATEGORY]!r}" if line[CATEGORY] else ""
        raise ValueError(
            f"{file}, row {row}: prompt {line['prompt_id']!r} and model {line['model_name']!r}"
            f"{under} have one label here and another elsewhere in the file; expected the same one"
        )


def _read_lines(path: Path) -> tuple[pd.DataFrame, dict[str, str]]:
    """Each line's id, category, model and label as categories, and the text of each prompt id."""
    header = reading.read_csv(path, nrows=0).columns
    reading.need(path.name, header, COLUMNS, f"not the long table of {NAME}")
    coded = [column for column in (*PAIR, "label", CATEGORY) if column in header]
    types = {"prompt": pa.string(), **dict.fromkeys(coded, CODED)}
    texts, blocks = {}, []
    options = (
        pacsv.ReadOptions(use_threads=False, block_size=BLOCK),
        pacsv.ParseOptions(newlines_in_values=True),
        # By default without nulls: a prompt such as "null" stays what it is.
        pacsv.ConvertOptions(include_columns=list(types), column_types=types),
    )
    with reading.readable(path, "CSV"), pacsv.open_csv(path, *options) as reader:
        for block in reader:
            prompts = block.select(["prompt_id", "prompt"]).to_pandas()
            first = prompts.drop_duplicates("prompt_id")
            texts = dict(zip(first["prompt_id"], first["prompt"], strict=True)) | texts
            blocks.append(block.select(coded))
    schema = pa.schema([(column, CODED) for column in coded])
    lines = pa.Table.from_batches(blocks, schema).unify_dictionaries().to_pandas()
    return lines if CATEGORY in lines else lines.assign(**{CATEGORY: ""}), texts
