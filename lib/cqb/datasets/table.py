"""Evaluation tables of one's own: one row per prompt, one score column per model.

The columns of a CSV or Parquet file are `prompt`; `sample_id` (by default the file and the row);
`eval_name`, the family (by default the file); and for each model a score in [0, 1]. Costs are optional:
`MODEL|total_cost` in dollars, or `MODEL|output_chars` or `MODEL|output_tokens` with a price. Columns of
another name with a `|` in it are not read.
"""

import ast
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd

from cqb.checks import number
from cqb.datasets import reading
from cqb.datasets.reading import MISSING, Rows
from cqb.datasets.safe_pickle import load_frame
from cqb.routing_table import RoutingTable

DOLLARS = "|total_cost"
AMOUNTS = ("|output_chars", "|output_tokens")  # cost an amount times a price
TEXT_COLUMNS = ("sample_id", "prompt", "eval_name")
IGNORED_COLUMNS = ("oracle_model_to_route_to",)  # RouterBench's label, not an observation
Price = float | Mapping[str, float]


def load(
    path: Path | str, price: Price | None = None, name: str | None = None, prompts: bool = True
) -> RoutingTable:
    """Read one file, or every CSV and Parquet file in a folder; nothing is encoded.

    Files may differ in their models: those that all of them have are read, and the report names the
    others. Rows without a score or a cost are dropped and counted, and so are prompts that occur again
    with other scores. The opening lines that all prompts of a family share are removed.

    Parameters
    ----------
    price : dollars for one character or token of the answer, for all models or by model.
    name : of a published set, printed in titles; by default that of the file or folder.
    prompts : False for a set without prompts, whose rows then all have the same embedding.

    Raises
    ------
    FileNotFoundError
        There is no such file, or no file in the folder.
    ValueError
        A column is missing, a score column is no number, a value is out of range, only some models have
        a cost or a price, or two complete rows have one id. The message names file, row and column.
    """
    path = Path(path)
    files = [path]
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix in (".csv", ".parquet"))
    if not files or not files[0].is_file():
        lacking = f"{path}: no such file, or no .csv or .parquet file in the folder"
        raise reading.not_here(lacking, name) if name else FileNotFoundError(lacking)
    frames = {file.name: read_frame(file) for file in files}
    needed = ("prompt",) if prompts else ()
    found = {file: models_of(file, frame, needed) for file, frame in frames.items()}
    models = sorted(set.intersection(*map(set, found.values())))
    if not models:
        raise ValueError(f"{path}: no model is in every one of the files {', '.join(frames)}")
    suffix = _cost_suffix(frames, models, price)
    kept, counts = complete(frames, models, path, suffix)
    costs = kept["cost"].to_numpy() if suffix else None
    if suffix in AMOUNTS:
        costs = costs * _prices(price, models)
    counts["models_dropped"] = sorted(set().union(*found.values()) - set(models))
    distinct = kept["score"].assign(prompt=kept["text"]["prompt"]).drop_duplicates()
    counts["prompts_with_several_scores"] = int((distinct["prompt"].value_counts() > 1).sum())
    table = reading.routing_table(name or path.stem, models, files, kept, costs, counts)
    return table if prompts else table.with_embeddings(np.ones((len(table), 1)))


def read_frame(path: Path) -> pd.DataFrame:
    """The columns of a CSV, Parquet or pickled file; ValueError, naming it, if it is not readable."""
    if path.suffix == ".pkl":
        return load_frame(path)
    if path.suffix == ".parquet":
        with reading.readable(path, "parquet"):
            return pd.read_parquet(path)
    return reading.read_csv(path)


def models_of(file: str, frame: pd.DataFrame, needed: Sequence[str]) -> tuple[str, ...]:
    """The models of a file, sorted; ValueError if there are none, or a `needed` column is missing."""
    columns = list(map(str, frame.columns))
    reading.need(file, columns, needed, f"its columns are {', '.join(columns)}")
    models = {c for c in columns if "|" not in c} - {*TEXT_COLUMNS, *IGNORED_COLUMNS}
    costed = {c.removesuffix(DOLLARS) for c in columns if c.endswith(DOLLARS)}
    if not models | costed:
        raise ValueError(f"{file}: no model columns")
    if missing := sorted(costed - models):
        raise ValueError(f"{file}: model {missing[0]!r} has no score column {missing[0]!r}")
    return tuple(sorted(models))


def complete(
    frames: Mapping[str, pd.DataFrame], models: Sequence[str], where: Path, suffix: str | None
) -> tuple[Rows, dict]:
    """The complete rows of all files and the counts of the report; costs from columns with `suffix`."""
    columns = {"score": models}
    gaps = {"without a score": ["score"]}
    if suffix:
        columns["cost"] = [model + suffix for model in models]
        gaps["without a cost"] = ["cost"]
    parts = [_read_part(file, frame, columns) for file, frame in frames.items()]
    nothing = "rows has every score and cost" if suffix else "rows has every score"
    kept, counts = reading.complete_rows(parts, gaps, "id", where, nothing)
    counts["prompts_of_several_texts"] = int((kept["text"]["texts"] > 1).sum())
    return kept, counts


def prompt_parts(value: object, place: str) -> list[str]:
    """The texts inside a prompt cell: a list (or its literal) of texts, or one plain text.

    Raises ValueError, naming `place`, for a list of anything but texts.
    """
    parsed = value
    if isinstance(value, str):
        if not value.lstrip().startswith("["):
            return [value]
        try:
            parsed = ast.literal_eval(value.strip())
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            return [value]  # a plain prompt that happens to open with a bracket
    if isinstance(parsed, list) and parsed and all(isinstance(part, str) for part in parsed):
        return parsed
    shown = str(value)[:60]
    raise ValueError(f"{place}: the prompt is {shown!r}; expected text or a list of texts")


def _read_part(file: str, frame: pd.DataFrame, columns: Mapping[str, Sequence[str]]) -> Rows:
    reading.need(file, frame, chain(*columns.values()), "expected it for every model")
    stem = Path(file).stem
    numbered = [f"{stem}.{row}" for row in range(len(frame))]
    ids = list(map(str, frame.get("sample_id", numbered)))
    cells = [f"{file}, row {row} ({name!r})" for row, name in enumerate(ids)]
    for cell, name in zip(cells, ids, strict=True):
        if name.strip().lower() in MISSING:
            raise ValueError(f"{cell}: no sample_id")
    families = list(map(str, frame.get("eval_name", [stem] * len(ids))))
    prompts = frame.get("prompt", [""] * len(ids))
    texts = [prompt_parts(*pair) for pair in zip(prompts, cells, strict=True)]
    numbers = {
        field: np.column_stack([_numbers(frame[name], cells, field) for name in names])
        for field, names in columns.items()
    }
    text = {"id": ids, "family": families, "prompt": ["\n\n".join(parts) for parts in texts]}
    return reading.rows(file, numbers, texts=list(map(len, texts)), **text)


def _numbers(column: pd.Series, cells: list[str], field: str) -> np.ndarray:
    """A column as float64, shape (rows,), NaN where a cell is empty."""
    values = np.empty(len(cells))
    for row, value in enumerate(column):
        text = str(value).strip()
        try:
            values[row] = np.nan if text.lower() in MISSING else float(text)
        except ValueError:
            raise ValueError(
                f"{cells[row]}: {column.name!r} is {text!r}; expected a number (every column of "
                f"another name than {', '.join(TEXT_COLUMNS)} is taken for a model)"
            ) from None
    wanted = "dollars, at least 0" if column.name.endswith(DOLLARS) else "at least 0"
    reading.check_range(values, cells, repr(column.name), field, wanted)
    return values


def _cost_suffix(
    frames: Mapping[str, pd.DataFrame], models: Sequence[str], price: Price | None
) -> str | None:
    """The suffix of the columns that give the costs; None if there are no costs."""
    for suffix in (DOLLARS,) if price is None else AMOUNTS:
        if any(model + suffix in frame for frame in frames.values() for model in models):
            return suffix
    if price is not None:
        column = f"{models[0]}{AMOUNTS[0]}"
        raise ValueError(f"price: found {price}, but no column {column} to multiply it with")
    return None


def _prices(price: Price | None, models: Sequence[str]) -> np.ndarray:
    """Dollars per unit of each model: float64, shape (N,)."""
    by_model = price if isinstance(price, Mapping) else dict.fromkeys(models, price)
    wanted = "dollars, at least 0"
    return np.array([number(f"price of {m!r}", by_model.get(m), expected=wanted) for m in models])
