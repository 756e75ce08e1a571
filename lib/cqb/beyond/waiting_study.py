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
    """How long queries wait in a comparison's runs."""

    comparison: Settings

    def run(self, table: RoutingTable, make: bool = True) -> pd.DataFrame:
        """The distribution of waits in every run (:func:`.waiting.waiting_table`).

        Runs that are not stored yet are made, or else (not `make`) left out.
        """
        store = RunStore(paths.runs_dir(), table)
        if make:
            make_runs(self.comparison, table, store)
        return waiting_table(stored_runs(self.comparison, store))
