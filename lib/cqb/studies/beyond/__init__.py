"""Policies that learn from the retrials of the same query: the studies of notebook 09."""

from __future__ import annotations

from ...study import Study
from . import capacity, comparison, laws, scenario_study, tuning

STUDIES: dict[str, Study] = {
    name: study
    for module in (comparison, tuning, laws, scenario_study, capacity)
    for name, study in module.STUDIES.items()
}
REPORTS = comparison.REPORTS
