"""The studies of policies that learn from the retrials of the same query, and of their opponents."""

from __future__ import annotations

from ...study import Study
from . import bar, capacity, comparison, scenarios, tuning, verdict

STUDIES: dict[str, Study] = {
    study.name: study
    for module in (comparison, tuning, scenarios, capacity, bar)
    for study in module.STUDIES
}
REPORTS = {**comparison.REPORTS, **verdict.REPORTS}
