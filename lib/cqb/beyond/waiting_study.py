"""The waits of the comparison's runs, as one table."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from .. import paths
from ..experiment.run_store import RunStore
from ..experiment.settings import Settings
from ..routing_table import RoutingTable
from .runner import make_runs, stored_runs
from .waiting import waiting_table


@dataclass(frozen=True)
class WaitingStudy:
    """How long queries wait in a comparison's runs, made where they are not stored yet if `make`."""

    comparison: Settings
    make: bool = True

    def run(self, table: RoutingTable) -> pd.DataFrame:
        """The distribution of waits in every run (:func:`.waiting.waiting_table`)."""
        store = RunStore(paths.runs_dir(), table)
        if self.make:
            make_runs(self.comparison, table, store)
        return waiting_table(stored_runs(self.comparison, store))
