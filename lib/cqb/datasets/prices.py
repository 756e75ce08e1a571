"""Costs of queries: price tables as data files, and the token count to which they apply.

The tables are in the folder `prices/` next to this module, each with its source and date. A model that
is not in its table is an error that names both; no price is guessed.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cqb.datasets.reading import read_json

FOLDER = Path(__file__).with_name("prices")
SPROUT = FOLDER / "sprout.json"
EMBEDLLM = FOLDER / "embedllm.json"
MILLION = 1e6
# Up to 8 letters of a word, up to 3 digits of a number, or one mark. On the RouterBench slice it
# counts .98 to 1.04 times the tokens of all-MiniLM-L6-v2, and needs nothing installed.
TOKEN = re.compile(r"[^\W\d_]{1,8}|\d{1,3}|[^\w\s]|_")


def count_tokens(texts: Sequence[str]) -> np.ndarray:
    """Tokens of each text by one fixed rule, the same for every model: float64, shape (texts,)."""
    return np.array([sum(1 for _ in TOKEN.finditer(text)) for text in texts], dtype=np.float64)


def token_prices(models: Sequence[str], path: Path | str = SPROUT) -> np.ndarray:
    """US dollars per token of the prompt and of the answer: float64, shape (2, N).

    Raises
    ------
    OSError
        The table is not there.
    ValueError
        It is another kind of file, holds a wrong price, or lacks a model.
    """
    table = read_json(path, "cqb token prices 1")
    entries = {model: _entry(table["models"], model, model, path) for model in models}
    sides = ("input", "output")
    return np.array([[_price(e, side, m, path) for m, e in entries.items()] for side in sides])


def class_prices(models: Sequence[str], path: Path | str = EMBEDLLM) -> np.ndarray:
    """US dollars per token of the prompt, by the size class of each model: float64, shape (N,).

    A model is found by its name as ORGANISATION/MODEL; the double underscore that data files put
    for the slash, and the difference between `_`, `.` and `-`, do not matter.

    Raises
    ------
    OSError, ValueError
        As for `token_prices`; also a model whose class the table does not price.
    """
    table = read_json(path, "cqb price classes 1")
    classes = {plain_name(model): name for model, name in table["models"].items()}
    prices = []
    for model in models:
        name = _entry(classes, plain_name(model), model, path)
        prices.append(_price(table["classes"].get(name), "price", f"{model}, class {name}", path))
    return np.array(prices)


def plain_name(model: str) -> str:
    """The name of a model without the spelling variants of different files."""
    return re.sub(r"[_.]", "-", model.replace("__", "/").lower())


def _entry(table: dict[str, Any], key: str, model: str, path: Path | str) -> Any:
    if key not in table:
        raise ValueError(f'model {model!r} has no price; add it under "models" to the table {path}')
    return table[key]


def _price(entry: Any, side: str, name: str, path: Path | str) -> float:
    """One price, given in US dollars per million tokens, as dollars per token."""
    value = entry.get(side) if isinstance(entry, dict) else None
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (number and 0 <= value < np.inf):
        raise ValueError(
            f"{path}: {side!r} of {name!r} is {value!r}; expected US dollars per million tokens"
        )
    return value / MILLION
