"""A long table of answers, one line per prompt and model, gathered into rows block by block."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

MISSING = frozenset({"", "nan", "none", "na", "<na>", "null"})
LABELS = {"0": 0, "1": 1, "0.0": 0, "1.0": 1, "False": 0, "True": 1}
NONE = -1  # in place of a label: not answered


@dataclass(frozen=True, eq=False)
class ByPrompt:
    """One row per prompt: `labels` int8 of shape (prompts, N), -1 where a model did not answer.

    `several` counts the prompts with more than one listing, `differing` the (prompt, model) pairs
    whose label is not the same in all of them.
    """

    ids: list[str]
    prompts: list[str]
    categories: list[str]
    labels: np.ndarray
    several: int
    differing: int


class Listings:
    """What a long file says, one row of labels per listing: a prompt under one category.

    Parameters
    ----------
    file : its name, for messages. models : the N columns, in order.

    Attributes
    ----------
    lines : lines read so far. repeated : those that said again what an earlier one had said.
    """

    def __init__(self, file: str, models: tuple[str, ...]) -> None:
        self.file = file
        self.models = models
        self.lines = 0
        self.repeated = 0
        self._columns = {model: column for column, model in enumerate(models)}
        self._rows: dict[tuple[str, str], int] = {}  # listing -> row
        self._texts: dict[str, str] = {}  # prompt id -> text of its first line
        self._labels = np.full((1024, len(models)), NONE, dtype=np.int8)

    def add(self, block: pa.RecordBatch) -> None:
        """Take in a block of lines.

        Raises
        ------
        ValueError
            No prompt id, an unknown model, a label other than 0 and 1, or a second label for a
            (prompt, model) pair of one category.
        """
        rows, columns = self._listings(block), self._models(block)
        labels = self._read_labels(block)
        answered = np.flatnonzero(labels != NONE)
        rows, columns, labels = rows[answered], columns[answered], labels[answered]
        before = self._labels[rows, columns]
        new = before == NONE
        self._labels[rows[new], columns[new]] = labels[new]
        # Within the block the last label was kept, else the one from before: either shows here.
        if (clash := np.flatnonzero(self._labels[rows, columns] != labels)).size:
            raise self._conflict(rows[clash[0]], columns[clash[0]], answered[clash[0]])
        cells = rows[new] * len(self.models) + columns[new]
        self.repeated += len(labels) - np.unique(cells).size
        self.lines += len(block)

    def _listings(self, block: pa.RecordBatch) -> np.ndarray:
        """The row of each line's listing; a listing that is new gets the next one."""
        ids, id_codes = self._coded(block, "prompt_id")
        if "category" in block.schema.names:
            categories, category_codes = self._coded(block, "category")
        else:
            categories, category_codes = [""], np.zeros(len(block), dtype=np.int64)
        for code, name in enumerate(ids):
            if name.strip().lower() in MISSING:
                raise ValueError(f"{self._line(id_codes == code)}: no prompt_id")
        pairs = id_codes * len(categories) + category_codes
        distinct, first, place = np.unique(pairs, return_index=True, return_inverse=True)
        rows = np.empty(len(distinct), dtype=np.int64)
        for position in np.argsort(first):  # in the order of the file
            id_code, category_code = divmod(int(distinct[position]), len(categories))
            name, category = ids[id_code], categories[category_code]
            if name not in self._texts:
                self._texts[name] = block.column("prompt")[int(first[position])].as_py()
            rows[position] = self._rows.setdefault((name, category), len(self._rows))
        while len(self._rows) > len(self._labels):
            more = np.full_like(self._labels, NONE)
            self._labels = np.concatenate([self._labels, more])
        return rows[place]

    def _models(self, block: pa.RecordBatch) -> np.ndarray:
        """The column of each line's model."""
        names, codes = self._coded(block, "model_name")
        for code, name in enumerate(names):
            if name not in self._columns:
                raise ValueError(
                    f"{self._line(codes == code)}: model {name!r} is not one of the "
                    f"{len(self.models)} in the model list"
                )
        return np.array([self._columns[name] for name in names], dtype=np.int64)[codes]

    def _read_labels(self, block: pa.RecordBatch) -> np.ndarray:
        """The label of each line, int8, -1 where it is empty."""
        texts, codes = self._coded(block, "label")
        values = np.full(len(texts), NONE, dtype=np.int8)
        for code, text in enumerate(texts):
            if text.strip() in LABELS:
                values[code] = LABELS[text.strip()]
            elif text.strip().lower() not in MISSING:
                raise ValueError(
                    f"{self._line(codes == code)}: 'label' is {text!r}; expected 0 or 1"
                )
        return values[codes]

    def _coded(self, block: pa.RecordBatch, column: str) -> tuple[list[str], np.ndarray]:
        """The distinct texts of a column, and for each line which of them it is."""
        coded = block.column(column)
        return coded.dictionary.to_pylist(), coded.indices.to_numpy().astype(np.int64)

    def _line(self, where: np.ndarray) -> str:
        """The place of the first line of the block that `where` marks."""
        return f"{self.file}, row {self.lines + int(np.argmax(where))}"

    def _conflict(self, row: int, column: int, line: int) -> ValueError:
        name, category = list(self._rows)[row]
        under = f" under category {category!r}" if category else ""
        return ValueError(
            f"{self.file}, row {self.lines + int(line)}: prompt {name!r} and model "
            f"{self.models[column]!r}{under} have one label here and another elsewhere in the "
            "file; expected the same one wherever the pair is repeated"
        )

    def by_prompt(self) -> ByPrompt:
        """One row per prompt: its first listing, filled up from later ones where it has gaps."""
        ids = list(self._texts)
        place = {name: row for row, name in enumerate(ids)}
        labels = np.full((len(ids), len(self.models)), NONE, dtype=np.int8)
        categories = [""] * len(ids)
        times = np.zeros(len(ids), dtype=np.int64)
        differing = np.zeros(labels.shape, dtype=bool)
        for (name, category), listing in self._rows.items():
            row, found = place[name], self._labels[listing]
            if times[row] == 0:
                categories[row] = category
            times[row] += 1
            differing[row] |= (labels[row] != NONE) & (found != NONE) & (labels[row] != found)
            labels[row] = np.where(labels[row] == NONE, found, labels[row])
        texts = list(self._texts.values())
        several = int((times > 1).sum())
        return ByPrompt(ids, texts, categories, labels, several, int(differing.sum()))
