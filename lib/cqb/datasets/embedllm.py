"""EmbedLLM: right or wrong of 112 models on public benchmarks, one line per prompt and model.

Source: Zhuang et al., "EmbedLLM: Learning Compact Representations of Large Language Models",
arXiv 2410.02223; `train.csv` and `model_order.csv` of the Hugging Face data set RZ412/EmbedLLM.
A prompt may be listed under several categories (variants of one benchmark), each with an answer
of every model. The file, some gigabytes, is read in blocks: one text per prompt stays in memory,
and for each line a few small integers.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
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
COLUMNS = ("prompt_id", "model_name", "label", "prompt")
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
    answers = pivot(files[0], models)
    nothing = f"prompts is answered by all {len(models)} models of {MODELS}"
    rows, counts = reading.complete_rows([answers.rows], GAPS, "id", files[0], nothing)
    costs = count_tokens(rows.text["prompt"])[:, None] * prices
    found = {**answers.lines, **counts, **answers.listings}
    return reading.routing_table(NAME, models, files, rows, costs, found)


def read_models(path: Path) -> tuple[str, ...]:
    """The models in the order of `model_order.csv`.

    Raises FileNotFoundError if it is not there, ValueError for a missing column or a model named
    twice.
    """
    with open(path, encoding="utf-8", newline="") as handle:
        reader = csv.DictReader(handle)
        if "model_name" not in (reader.fieldnames or ()):
            raise ValueError(f"{path}: no column 'model_name'; not the model list of {NAME}")
        models = tuple(line["model_name"] or "" for line in reader)
    if not models or not all(models):
        raise ValueError(f"{path}: found {len(models)} models, some without a name or none at all")
    for row, model in enumerate(models):
        if model in models[:row]:
            raise ValueError(f"{path}, row {row}: model {model!r} is named twice")
    return models


@dataclass(frozen=True, eq=False)
class Answers:
    """The long file as one row per prompt, in the order of the file.

    `score` is NaN where a model did not answer; the other two hold counts for the report.
    """

    rows: Rows
    lines: dict[str, int]
    listings: dict[str, int]


def pivot(path: Path, models: tuple[str, ...]) -> Answers:
    """All answers in the long file at `path`.

    Of each prompt the first listing (prompt and category) counts; its gaps are filled from later ones.
    Raises what `load` says.
    """
    lines, texts = _read_lines(path)
    label = _checked(path.name, lines, models)
    ids, categories = lines["prompt_id"].cat.categories, lines[CATEGORY].cat.categories
    prompt = lines["prompt_id"].cat.codes.to_numpy(np.int64)
    pairs = prompt * len(categories) + lines[CATEGORY].cat.codes.to_numpy()
    listing, listings = pd.factorize(pairs)  # numbered in the order of the file
    of_prompt, of_category = np.divmod(listings, len(categories))
    _, first = np.unique(of_prompt, return_index=True)
    model = pd.Index(models).get_indexer(lines["model_name"].cat.categories)
    answers = pd.DataFrame(
        {
            "prompt": prompt,
            "listing": listing,
            "model": model[lines["model_name"].cat.codes],
            "label": label,
        }
    ).dropna()
    _check_conflicts(path.name, answers, lines)
    distinct = answers.drop_duplicates(["listing", "model"])
    by_pair = distinct.sort_values("listing", kind="stable").groupby(["prompt", "model"])["label"]
    labels = by_pair.agg(["first", "min", "max"])
    scores = np.full((len(ids), len(models)), np.nan)
    scores[labels.index.get_level_values(0), labels.index.get_level_values(1)] = labels["first"]
    families = [categories[code] or NAME for code in of_category[first]]
    prompts = [texts[name] for name in ids]
    rows = reading.rows(path.name, ids, families, prompts, {"score": scores})
    read = {"lines_read": len(lines), "lines_repeated": len(answers) - len(distinct)}
    found = {
        "prompts_in_several_categories": int((np.bincount(of_prompt) > 1).sum()),
        "answers_that_differ_between_categories": int((labels["min"] < labels["max"]).sum()),
    }
    return Answers(rows, read, found)


def _checked(file: str, lines: pd.DataFrame, models: tuple[str, ...]) -> np.ndarray:
    """The label of each line, float64, NaN where it is empty; ValueError for the first wrong cell."""

    def refuse(column: str, wrong: Callable[[str], bool], message: Callable[[str], str]) -> None:
        values = lines[column]
        bad = values.cat.categories[[wrong(text) for text in values.cat.categories]]
        if len(bad):
            row = int(np.argmax(values.isin(bad)))
            raise ValueError(f"{file}, row {row}: {message(values[row])}")

    refuse("prompt_id", _empty, lambda text: "no prompt_id")
    refuse(
        "model_name",
        lambda text: text not in models,
        lambda text: f"model {text!r} is not one of the {len(models)} in the model list",
    )
    refuse(
        "label",
        lambda text: text.strip() not in LABELS and not _empty(text),
        lambda text: f"'label' is {text!r}; expected 0 or 1",
    )
    values = [LABELS.get(text.strip(), np.nan) for text in lines["label"].cat.categories]
    return np.array(values)[lines["label"].cat.codes]


def _empty(text: str) -> bool:
    return text.strip().lower() in MISSING


def _check_conflicts(file: str, answers: pd.DataFrame, lines: pd.DataFrame) -> None:
    """Raise ValueError for a line whose label is not that of an earlier line of its listing."""
    earlier = answers.groupby(["listing", "model"])["label"].transform("first")
    if (clash := answers.index[answers["label"] != earlier]).size:
        name, category, model = lines.loc[clash[0], ["prompt_id", CATEGORY, "model_name"]]
        under = f" under category {category!r}" if category else ""
        raise ValueError(
            f"{file}, row {clash[0]}: prompt {name!r} and model {model!r}{under} have one label "
            "here and another elsewhere in the file; expected the same one wherever the pair is "
            "repeated"
        )


def _read_lines(path: Path) -> tuple[pd.DataFrame, dict[str, str]]:
    """Each line's id, category, model and label as categories, and the text of each prompt id."""
    columns, texts, blocks = _header(path), {}, []
    coded = [column for column in columns if column != "prompt"]
    for block in _blocks(path, columns):
        ids = block.column("prompt_id")
        for code, row in zip(*np.unique(ids.indices, return_index=True), strict=True):
            name = ids.dictionary[int(code)].as_py()
            if name not in texts:
                texts[name] = block.column("prompt")[int(row)].as_py()
        blocks.append(block.select(coded))
    schema = pa.schema([(column, CODED) for column in coded])
    lines = pa.Table.from_batches(blocks, schema).unify_dictionaries().to_pandas()
    if CATEGORY not in lines:
        lines[CATEGORY] = pd.Categorical([""] * len(lines), categories=[""])
    return lines, texts


def _header(path: Path) -> list[str]:
    """The columns that are read; the category is there in the published file, but not needed."""
    with open(path, encoding="utf-8", newline="") as handle:
        columns = next(csv.reader(handle), [])
    for column in COLUMNS:
        if column not in columns:
            raise ValueError(f"{path.name}: no column {column!r}; not the long table of {NAME}")
    return [*COLUMNS, CATEGORY] if CATEGORY in columns else list(COLUMNS)


def _blocks(path: Path, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """The file block by block. Everything is text; what repeats is coded by dictionaries."""
    types = {column: pa.string() if column == "prompt" else CODED for column in columns}
    try:
        with pacsv.open_csv(
            path,
            pacsv.ReadOptions(use_threads=False, block_size=BLOCK),
            pacsv.ParseOptions(newlines_in_values=True),
            # Without nulls: a prompt such as "null" must stay what it is.
            pacsv.ConvertOptions(
                include_columns=columns, column_types=types, strings_can_be_null=False
            ),
        ) as reader:
            yield from reader
    except pa.ArrowInvalid as error:
        raise ValueError(f"{path.name}: not a readable CSV file ({error})") from error
