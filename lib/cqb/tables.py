"""Tables for people and programs: CSV files, and plain text with rounded numbers."""

import json
import math
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd


def csv(table: pd.DataFrame) -> str:
    """A table as the text of a CSV file: six significant digits, truth values in lower case."""
    flags = table.select_dtypes(bool).columns
    words = {flag: table[flag].map({True: "true", False: "false"}) for flag in flags}
    return table.assign(**words).to_csv(index=False, float_format="%.6g", lineterminator="\n")


def records(table: pd.DataFrame) -> str:
    """A table as the text of a JSON file: a list of rows, six significant digits, null for NaN."""
    rows = [
        {name: _plain(value) for name, value in row.items()} for row in table.to_dict("records")
    ]
    return json.dumps(rows, indent=1, ensure_ascii=False) + "\n"


def _plain(value: object) -> object:
    if not isinstance(value, float):
        return value
    return float(f"{value:.6g}") if math.isfinite(value) else None


def file_text(name: str, table: pd.DataFrame) -> str:
    """A table as the text of the file `name`: JSON (:func:`records`) or CSV (:func:`csv`)."""
    return records(table) if name.endswith(".json") else csv(table)


def text(table: pd.DataFrame, *, index: bool = True) -> str:
    """A table as text, without names for its index and columns."""
    return table.to_string(index=index, index_names=False)


def show(table: pd.DataFrame | pd.Series, *, index: bool = True) -> None:
    """Display a table in a notebook: as HTML where there is a browser, else as its text."""
    from IPython.display import display  # of the extra `notebooks`, which scripts do without

    frame = pd.DataFrame(table)
    drawn = frame.to_html(index=index, border=0, index_names=False, na_rep="")
    display({"text/html": drawn, "text/plain": text(frame, index=index)}, raw=True)


def spread(mean: float, half: float, digits: int = 0, sign: str = "") -> str:
    """ "628 ± 59": a mean and half its interval. A mean that rounds to 0 has no minus sign."""
    shown = 0.0 if round(mean, digits) == 0 else mean
    return f"{shown:{sign}.{digits}f} ± {half:.{digits}f}"


def spreads(
    means: Iterable[float], highs: Iterable[float], digits: int = 0, sign: str = ""
) -> list[str]:
    """:func:`spread` for every mean and the upper end of its interval."""
    pairs = zip(means, highs, strict=True)
    return [spread(mean, high - mean, digits, sign) for mean, high in pairs]


def percent(table: pd.DataFrame, digits: int = 1) -> pd.DataFrame:
    """Shares as percentages in text."""
    return (100.0 * table).map(f"{{:.{digits}f}}".format)


def select(rows: pd.DataFrame, **values: object) -> pd.DataFrame:
    """The rows whose columns have these values; a sequence of values means any of them."""
    chosen = np.ones(len(rows), dtype=bool)
    for column, value in values.items():
        several = isinstance(value, Sequence) and not isinstance(value, str)
        chosen &= (rows[column].isin(value) if several else rows[column] == value).to_numpy()
    return rows[chosen]
