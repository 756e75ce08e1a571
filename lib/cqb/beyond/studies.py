"""The studies beside the comparison, each one table: made once, kept with the code, verified when read.

A stored table is used where its settings and data are those asked for; one printed line says whether the
code behind it is still the same. Studies take minutes, so they are made again by their command
(``python -m cqb.beyond``) and not by whoever reads them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from ..experiment.code_hash import code_hash
from ..experiment.provenance import digest
from ..experiment.run_store import policy_code
from ..experiment.stored import (
    Record,
    place,
    read_stored,
    write_record,
    write_table,
)
from ..policies import POLICIES
from ..routing_table import RoutingTable
from .hidden_study import HiddenStudy
from .law_study import LawStudy
from .spread_study import SpreadStudy
from .stability import StabilityStudy
from .tuning import TuningStudy
from .waiting_study import WaitingStudy
from .world_study import WorldStudy

FORMAT = "cqb beyond study 1"
Settings = (
    HiddenStudy | LawStudy | SpreadStudy | StabilityStudy | TuningStudy | WaitingStudy | WorldStudy
)


def codes(module: str, policies: Iterable[str]) -> dict[str, str]:
    """sha256 (hex) of the code behind a table: of the module that takes it, and of each policy run."""
    return {module: code_hash(module), **{name: policy_code(name) for name in policies}}


@dataclass(frozen=True)
class Study:
    """A study by name: its settings, and the module whose code decides its table."""

    name: str
    settings: Settings
    module: str

    def with_(self, **changes: Any) -> Study:
        """A copy with some of the settings changed."""
        return replace(self, settings=replace(self.settings, **changes))

    @property
    def policies(self) -> tuple[str, ...]:
        """The registered policies whose runs the table is made of."""
        of = getattr(self.settings, "comparison", self.settings)
        return tuple(name for name in getattr(of, "policies", ()) if name in POLICIES)

    @property
    def codes(self) -> dict[str, str]:
        """Hashes of the code behind the table (:func:`codes`)."""
        return codes(self.module, self.policies)

    def key(self, table: RoutingTable) -> dict[str, str]:
        """Hashes of settings, data and code."""
        return {
            "settings": digest(self.settings),
            "data": table.data_hash(),
            "code": digest(self.codes),
        }


STUDIES = {
    study.name: study
    for study in (
        Study("tuning", TuningStudy(), "beyond.tuning"),
        Study("laws", LawStudy(), "beyond.law_study"),
        Study("worlds", WorldStudy(), "beyond.world_study"),
        Study("stability", StabilityStudy(), "beyond.stability"),
        Study("hidden", HiddenStudy(), "beyond.hidden_study"),
        Study("spreads", SpreadStudy(), "beyond.spread_study"),
    )
}
# What is run on the stand-in: fewer seeds and rounds.
SMALL: dict[str, dict[str, Any]] = {
    "tuning": {"seeds": (100,), "T": 600},
    "laws": {"seeds": (100,), "T": 600},
    "worlds": {"seeds": (42, 43), "T": 1000},
    "stability": {"seeds": (42, 43), "T": 1000, "steps": 4},
    "hidden": {},
    "spreads": {"seeds": (42, 43)},
}


def study_for(name: str, stand_in: bool) -> Study:
    """The study at the size that is shown: in full on real rows, smaller on the stand-in."""
    return STUDIES[name].with_(**SMALL[name]) if stand_in else STUDIES[name]


def stored_name(study: str, dataset: str) -> str:
    """The name under which a study's table of a data set is kept."""
    return f"beyond-{study}-{dataset}"


def results(
    study: Study, table: RoutingTable, dataset: str, folder: Path | None = None
) -> pd.DataFrame:
    """The stored table if it is of these settings and data, else a new one; a line says which.

    A damaged table is a ValueError that names its file.
    """
    now, name = study.key(table), stored_name(study.name, dataset)
    try:
        frame, record = load(name, folder)
    except FileNotFoundError:
        reason = "no table is stored"
    else:
        if all(record["key"][part] == now[part] for part in ("settings", "data")):
            same = record["key"]["code"] == now["code"]
            print(
                f"{name}: from the stored table ({'same code' if same else 'made with other code'})"
            )
            return frame
        reason = "the stored table is of other settings or data"
    print(f"{name}: running it ({reason})", flush=True)
    return study.settings.run(table)


def store(
    study: Study,
    table: RoutingTable,
    dataset: str,
    frame: pd.DataFrame,
    folder: Path | None = None,
    **about: Any,
) -> Path:
    """Write a study's table and its record (with `about` added); returns the table's path.

    OSError if they cannot be.
    """
    path = place(stored_name(study.name, dataset), folder)
    write_record(
        path.with_suffix(".json"),
        format=FORMAT,
        key=study.key(table),
        codes=study.codes,
        sha256=write_table(path, frame),
        rows=len(frame),
        dataset=table.name,
        stand_in=table.stand_in,
        settings=study.settings,
        **about,
    )
    return path


def load(name: str, folder: Path | None = None) -> tuple[pd.DataFrame, Record]:
    """A stored table, verified, and its record.

    Raises
    ------
    FileNotFoundError
        There is none.
    ValueError
        It is damaged; the message names the file.
    """
    return read_stored(place(name, folder), FORMAT)
