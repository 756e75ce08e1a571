"""EmbedLLM: right or wrong of 112 models on public benchmarks, one line per prompt and model.

Source: Zhuang et al., "EmbedLLM: Learning Compact Representations of Large Language Models",
arXiv 2410.02223; `train.csv` and `model_order.csv` of the Hugging Face data set RZ412/EmbedLLM.
A prompt may be listed under several categories (variants of one benchmark), each with an answer
of every model. The file, some gigabytes, is read in blocks and never held as a whole.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from cqb.datasets.listings import Listings
from cqb.datasets.prices import class_prices, count_tokens
from cqb.datasets.reading import strip_preambles
from cqb.files import sha256_file
from cqb.routing_table import RoutingTable

NAME = "EmbedLLM"
ANSWERS = "train.csv"
MODELS = "model_order.csv"
COLUMNS = ("prompt_id", "model_name", "label", "prompt")
CATEGORY = "category"
BLOCK = 1 << 24  # bytes of the file that are in memory at a time


def load(folder: Path | str) -> RoutingTable:
    """Read `train.csv` and `model_order.csv` in `folder`; nothing is encoded.

    A prompt that some model did not answer is dropped, and counted in the report. Of a prompt
    listed under several categories the first listing counts, as in the experiments of the ACQB
    paper (arXiv 2602.02061), and the report tells how many answers differ between listings. A
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
    folder = Path(folder)
    models = read_models(folder / MODELS)
    prices = class_prices(models)
    listings = pivot(folder / ANSWERS, models)
    found = listings.by_prompt()
    keep = np.flatnonzero((found.labels >= 0).all(axis=1))
    if keep.size == 0:
        raise ValueError(
            f"{folder / ANSWERS}: none of the {len(found.ids)} prompts is answered by all "
            f"{len(models)} models of {MODELS}"
        )
    families = [found.categories[row] or NAME for row in keep]
    whole = [found.prompts[row] for row in keep]
    prompts, removed = strip_preambles(whole, families)
    return RoutingTable(
        name=NAME,
        stand_in=False,
        ids=tuple(found.ids[row] for row in keep),
        prompts=tuple(prompts),
        families=tuple(families),
        models=models,
        scores=found.labels[keep],
        costs=count_tokens(whole)[:, None] * prices,
        report={
            "files": {name: sha256_file(folder / name) for name in (ANSWERS, MODELS)},
            "lines_read": listings.lines,
            "lines_repeated": listings.repeated,
            "rows_read": len(found.ids),
            "rows_dropped": {"not answered by every model": len(found.ids) - len(keep)},
            "prompts_in_several_categories": found.several,
            "answers_that_differ_between_categories": found.differing,
            "preamble_characters": removed,
        },
    )


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


def pivot(path: Path, models: tuple[str, ...]) -> Listings:
    """All answers in the long file at `path`, as one row of labels per prompt and category.

    Raises what `load` says; memory is that of a block and of the result.
    """
    listings = Listings(path.name, models)
    for block in _blocks(path, _header(path)):
        listings.add(block)
    return listings


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
    coded = pa.dictionary(pa.int32(), pa.string())
    types = {column: pa.string() if column == "prompt" else coded for column in columns}
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
