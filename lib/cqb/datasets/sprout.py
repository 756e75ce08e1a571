"""SPROUT: one row per prompt, one struct column per model with its score and token counts.

Source: Somerstep et al., "CARROT: A Cost Aware Rate Optimal Router", arXiv 2502.03261; the train
split of the Hugging Face data set CARROT-LLM-Routing/SPROUT-o3mini. It records tokens, not
dollars: a query costs its tokens at the prices of `prices/sprout.json`.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cqb.datasets import reading
from cqb.datasets.prices import token_prices
from cqb.datasets.reading import Rows
from cqb.routing_table import RoutingTable

NAME = "SPROUT"
TEXT_COLUMNS = ("key", "dataset", "prompt")
OTHER_COLUMNS = ("dataset_level", "dataset_idx", "golden_answer", "__index_level_0__")
FIELDS = ("score", "num_input_tokens", "num_output_tokens")
GAPS = {"without a score": FIELDS[:1], "without token counts": FIELDS[1:]}
# The train split, or else whatever parquet files there are.
PATTERNS = ("train-*.parquet", "data/train-*.parquet", "*.parquet", "data/*.parquet")


def load(folder: Path | str) -> RoutingTable:
    """Read the train split in `folder`, or in its subfolder `data`; nothing is encoded.

    Rows without a score or without token counts for some model are dropped and counted in the
    report. The opening lines that all prompts of a data set share are removed
    (:func:`.reading.strip_preambles`).

    Raises
    ------
    FileNotFoundError
        The folder is missing or holds no parquet file.
    ValueError
        A column or a struct field is missing or of another type, files disagree about the
        models, a value is out of range, two complete rows carry one key, or a model has no price.
        The message names file, row and column.
    """
    folder, lacking = Path(folder), "no .parquet file in it or in its subfolder data"
    files = reading.find_files(folder, NAME, PATTERNS, lacking)
    models = reading.same_models({path.name: _models(path) for path in files})
    prompt_price, answer_price = token_prices(models)
    parts = [_read_part(path, models) for path in files]
    nothing = "rows has every score and every token count"
    rows, counts = reading.complete_rows(parts, GAPS, "key", folder, nothing)
    _, prompt_tokens, answer_tokens = (rows[field].to_numpy() for field in FIELDS)
    costs = prompt_tokens * prompt_price + answer_tokens * answer_price
    return reading.routing_table(NAME, models, files, rows, costs, counts)


def _models(path: Path) -> tuple[str, ...]:
    """The models of a file, sorted; every one is a struct with the fields of a SPROUT answer."""
    with reading.readable(path, "parquet"):
        schema = pq.read_schema(path)
    reading.need(path.name, schema.names, TEXT_COLUMNS, "not a SPROUT table")
    models = sorted(set(schema.names) - {*TEXT_COLUMNS, *OTHER_COLUMNS})
    if not models:
        raise ValueError(f"{path.name}: no model columns; not a SPROUT table")
    return tuple(models)


def _read_part(path: Path, models: Sequence[str]) -> Rows:
    # The answers are most of the file, and are left where they are.
    wanted = [f"{model}.{field}" for model in models for field in FIELDS]
    with reading.readable(path, "parquet"), pq.ParquetFile(path) as file:
        table = file.read(columns=[*TEXT_COLUMNS, *wanted])
        texts = {column: table.column(column).to_pylist() for column in TEXT_COLUMNS}
    for column, values in texts.items():
        for row, value in enumerate(values):
            if not isinstance(value, str | int) or not str(value).strip():
                raise ValueError(f"{path.name}, row {row}: {column!r} is {value!r}; expected text")
    ids, families, prompts = (list(map(str, texts[column])) for column in TEXT_COLUMNS)
    cells = [f"{path.name}, row {row} ({name!r})" for row, name in enumerate(ids)]
    numbers = {
        field: np.column_stack([_numbers(path.name, table, m, field, cells) for m in models])
        for field in FIELDS
    }
    return reading.rows(path.name, numbers, id=ids, family=families, prompt=prompts)


def _numbers(file: str, table: pa.Table, model: str, field: str, cells: list[str]) -> np.ndarray:
    """One field of a model's structs as float64, shape (rows,), NaN where field or struct is null."""
    try:
        values = pc.cast(pc.struct_field(table.column(model), field), pa.float64()).to_numpy()
    except (pa.ArrowException, KeyError) as error:
        raise ValueError(
            f"{file}: no numbers in the field {field!r} of column {model!r}; expected a struct with "
            f"the fields {', '.join(FIELDS)} ({error})"
        ) from error
    tokens = "a number of tokens, at least 0"
    reading.check_range(values, cells, f"{field!r} of {model!r}", field, tokens)
    return values
