"""RouterBench: one row per prompt, one score and one cost column per model.

Source: Hu et al., "RouterBench: A Benchmark for Multi-LLM Routing System", arXiv 2403.12031; the
table `routerbench_0shot.pkl` of the Hugging Face data set withmartian/routerbench. CSV files of
the same columns are read as well.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from cqb.datasets.reading import check_unique, same_models, strip_preambles
from cqb.datasets.safe_pickle import load_frame
from cqb.files import sha256_file
from cqb.routing_table import RoutingTable

if TYPE_CHECKING:
    import pandas as pd

NAME = "RouterBench"
PICKLE = "routerbench_0shot.pkl"
COST = "|total_cost"
TEXT_COLUMNS = ("sample_id", "prompt", "eval_name")
IGNORED_COLUMNS = ("oracle_model_to_route_to",)  # a label of its authors, not an observation
T = TypeVar("T")
MISSING = {"", "nan", "none", "na", "<na>", "null"}


@dataclass(frozen=True, eq=False)
class Part:
    """What one file holds: texts by column, scores and costs of shape (rows, N), NaN if missing."""

    file: str
    ids: list[str]
    prompts: list[list[str]]
    families: list[str]
    scores: np.ndarray
    costs: np.ndarray


def load(folder: Path | str) -> RoutingTable:
    """Read the published pickle, or else every CSV file, in `folder`; nothing is encoded.

    Rows without a score or a cost for some model are dropped and counted in the report. From the
    prompts of each family the few-shot preamble they all share is removed
    (:func:`.reading.strip_preambles`).

    Raises
    ------
    FileNotFoundError
        The folder is missing or holds neither the pickle nor a CSV file.
    ValueError
        A column is missing, files disagree about the models, a value is out of range, or two
        complete rows carry one id. The message names file, row and column.
    """
    folder = Path(folder)
    files = find_files(folder)
    frames = {path.name: _read_frame(path) for path in files}
    models = same_models(
        {file: _models(file, list(map(str, frame.columns))) for file, frame in frames.items()}
    )
    parts = [_read_part(name, frame, models) for name, frame in frames.items()]
    scores = np.concatenate([part.scores for part in parts])
    costs = np.concatenate([part.costs for part in parts])
    no_score, no_cost = np.isnan(scores).any(axis=1), np.isnan(costs).any(axis=1)
    keep = np.flatnonzero(~no_score & ~no_cost)
    if keep.size == 0:
        raise ValueError(f"{folder}: none of the {len(scores)} rows has every score and cost")
    places = [f"{part.file}, row {row}" for part in parts for row in range(len(part.ids))]
    ids = _gather((part.ids for part in parts), keep)
    check_unique("id", ids, [places[row] for row in keep])
    families = _gather((part.families for part in parts), keep)
    turns = _gather((part.prompts for part in parts), keep)
    # A dialogue is encoded as one text; nearly every prompt is a list of one.
    prompts, removed = strip_preambles(["\n\n".join(texts) for texts in turns], families)
    return RoutingTable(
        name=NAME if files[0].name == PICKLE else _part_name(families),
        stand_in=False,
        ids=tuple(ids),
        prompts=tuple(prompts),
        families=tuple(families),
        models=models,
        scores=scores[keep],
        costs=costs[keep],
        report={
            "files": {path.name: sha256_file(path) for path in files},
            "rows_read": len(scores),
            "rows_dropped": {
                "without a score": int(no_score.sum()),
                "without a cost": int((no_cost & ~no_score).sum()),
            },
            "prompts_of_several_texts": sum(len(texts) > 1 for texts in turns),
            "preamble_characters": removed,
        },
    )


def _part_name(families: Sequence[str]) -> str:
    """What CSV files are called: a selection of the set's families, not the whole of it."""
    count = len(set(families))
    return f"{NAME}, {count} {'family' if count == 1 else 'families'}"


def find_files(folder: Path) -> list[Path]:
    """The pickle in `folder` where there is one, else its CSV files in alphabetical order."""
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder of RouterBench files")
    if (folder / PICKLE).is_file():
        return [folder / PICKLE]
    files = sorted(folder.glob("*.csv"))
    if not files:
        raise FileNotFoundError(f"{folder}: neither {PICKLE} nor a .csv file in it")
    return files


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


def _read_part(file: str, frame: pd.DataFrame, models: tuple[str, ...]) -> Part:
    ids = [str(value) for value in frame["sample_id"]]
    places = [f"{file}, row {row} ({name!r})" for row, name in enumerate(ids)]
    for place, name in zip(places, ids, strict=True):
        if name.strip().lower() in MISSING:
            raise ValueError(f"{place}: no sample_id")
    scores = [_numbers(frame[model], places, model, high=1.0) for model in models]
    costs = [_numbers(frame[model + COST], places, model + COST, high=np.inf) for model in models]
    return Part(
        file=file,
        ids=ids,
        prompts=[prompt_parts(*pair) for pair in zip(frame["prompt"], places, strict=True)],
        families=[str(value) for value in frame["eval_name"]],
        scores=np.column_stack(scores),
        costs=np.column_stack(costs),
    )


def _numbers(cells: Iterable[object], places: list[str], column: str, high: float) -> np.ndarray:
    """A column as float64, shape (rows,), NaN where a cell is empty; all others in [0, high]."""
    values = np.empty(len(places))
    for row, cell in enumerate(cells):
        text = str(cell).strip()
        try:
            values[row] = np.nan if text.lower() in MISSING else float(text)
        except ValueError:
            raise ValueError(f"{places[row]}: {column!r} is {text!r}; expected a number") from None
    bad = np.flatnonzero((values < 0) | (values > high) | np.isinf(values))
    if bad.size:
        wanted = "a score in [0, 1]" if high == 1.0 else "dollars, at least 0"
        raise ValueError(f"{places[bad[0]]}: {column!r} is {values[bad[0]]}; expected {wanted}")
    return values


def _gather(columns: Iterable[list[T]], keep: np.ndarray) -> list[T]:
    everything = [cell for column in columns for cell in column]
    return [everything[row] for row in keep]
