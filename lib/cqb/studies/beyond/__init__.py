"""Policies that learn from the retrials of the same query: the studies of notebook 09."""

from __future__ import annotations

from ...study import Study
from . import capacity, comparison, scenarios, tuning

STUDIES: dict[str, Study] = {
    study.name: study
    for module in (comparison, tuning, scenarios, capacity)
    for study in module.STUDIES
}
REPORTS = comparison.REPORTS
