"""RouterBench: one row per prompt, one score and one cost column per model.

Source: Hu et al., "RouterBench: A Benchmark for Multi-LLM Routing System", arXiv 2403.12031; the
table `routerbench_0shot.pkl` of the Hugging Face data set withmartian/routerbench. CSV files of
the same columns are read as well.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cqb.datasets import reading
from cqb.datasets.reading import MISSING, Rows
from cqb.datasets.safe_pickle import load_frame
from cqb.routing_table import RoutingTable

if TYPE_CHECKING:
    import pandas as pd

NAME = "RouterBench"
PICKLE = "routerbench_0shot.pkl"
COST = "|total_cost"
TEXT_COLUMNS = ("sample_id", "prompt", "eval_name")
IGNORED_COLUMNS = ("oracle_model_to_route_to",)  # a label of its authors, not an observation
GAPS = {"without a score": ["score"], "without a cost": ["cost"]}


def load(folder: Path | str) -> RoutingTable:
    """Read the published pickle, or else every CSV file, in `folder`; nothing is encoded.

    Rows without a score or a cost for some model are dropped and counted in the report. The few-shot
    preamble that all prompts of a family share is removed (:func:`.reading.strip_preambles`). CSV
    files are a selection of the set, so the table is then named by its number of families.

    Raises
    ------
    FileNotFoundError
        The folder is missing or holds neither the pickle nor a CSV file.
    ValueError
        A column is missing, files disagree about the models, a value is out of range, or two
        complete rows carry one id. The message names file, row and column.
    """
    folder, lacking = Path(folder), f"neither {PICKLE} nor a .csv file in it"
    files = reading.find_files(folder, NAME, (PICKLE, "*.csv"), lacking)
    frames = {path.name: _read_frame(path) for path in files}
    models = reading.same_models(
        {file: _models(file, list(map(str, frame.columns))) for file, frame in frames.items()}
    )
    parts = [_read_part(name, frame, models) for name, frame in frames.items()]
    rows, counts = reading.complete_rows(parts, GAPS, "id", folder, "rows has every score and cost")
    counts["prompts_of_several_texts"] = sum(len(texts) > 1 for texts in rows.prompts)
    families = len(set(rows.families))
    selection = f"{NAME}, {families} {'family' if families == 1 else 'families'}"
    name = NAME if files[0].name == PICKLE else selection
    return reading.routing_table(name, models, files, rows, rows.numbers["cost"], counts)


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
    raise ValueError(
        f"{place}: the prompt is {str(value)[:60]!r}; expected text or a list of texts"
    )


def _read_frame(path: Path) -> pd.DataFrame:
    import pandas as pd

    if path.suffix == ".pkl":
        return load_frame(path)
    try:
        # Text only: an id such as "NA" or a prompt such as "null" must stay what it is.
        return pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
    except (ValueError, pd.errors.ParserError) as error:
        raise ValueError(f"{path}: not a readable CSV file ({error})") from error


def _models(file: str, columns: list[str]) -> tuple[str, ...]:
    """The models of a file, sorted; every one must have a score and a cost column."""
    for column in TEXT_COLUMNS:
        if column not in columns:
            raise ValueError(f"{file}: no column {column!r}; not a RouterBench table")
    scored = {c for c in columns if "|" not in c} - set(TEXT_COLUMNS) - set(IGNORED_COLUMNS)
    costed = {c.removesuffix(COST) for c in columns if c.endswith(COST)}
    if not scored | costed:
        raise ValueError(f"{file}: no model columns; not a RouterBench table")
    if missing := sorted(scored - costed):
        raise ValueError(f"{file}: model {missing[0]!r} has no cost column {missing[0] + COST!r}")
    if missing := sorted(costed - scored):
        raise ValueError(f"{file}: model {missing[0]!r} has no score column {missing[0]!r}")
    return tuple(sorted(scored))


def _read_part(file: str, frame: pd.DataFrame, models: tuple[str, ...]) -> Rows:
    ids = [str(value) for value in frame["sample_id"]]
    cells = [f"{file}, row {row} ({name!r})" for row, name in enumerate(ids)]
    for cell, name in zip(cells, ids, strict=True):
        if name.strip().lower() in MISSING:
            raise ValueError(f"{cell}: no sample_id")
    columns = {"score": models, "cost": [model + COST for model in models]}
    return Rows(
        places=[f"{file}, row {row}" for row in range(len(ids))],
        ids=ids,
        families=[str(value) for value in frame["eval_name"]],
        prompts=[prompt_parts(*pair) for pair in zip(frame["prompt"], cells, strict=True)],
        numbers={
            field: np.column_stack([_numbers(frame[name], cells, field) for name in names])
            for field, names in columns.items()
        },
    )


def _numbers(column: pd.Series, cells: list[str], field: str) -> np.ndarray:
    """A column as float64, shape (rows,), NaN where a cell is empty."""
    values = np.empty(len(cells))
    for row, value in enumerate(column):
        text = str(value).strip()
        try:
            values[row] = np.nan if text.lower() in MISSING else float(text)
        except ValueError:
            raise ValueError(
                f"{cells[row]}: {column.name!r} is {text!r}; expected a number"
            ) from None
    high, wanted = (
        (1.0, "a score in [0, 1]") if field == "score" else (np.inf, "dollars, at least 0")
    )
    reading.check_range(values, cells, repr(column.name), high, wanted)
    return values
