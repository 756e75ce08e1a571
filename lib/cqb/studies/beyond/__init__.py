"""The studies of ACQB-recall, which learns from the retrials of the same query, and of its opponents."""

from __future__ import annotations

from ...study import Study
from . import bar, capacity, robust, tuning, verdict

STUDIES: dict[str, Study] = {
    study.name: study for module in (tuning, capacity, robust, bar) for study in module.STUDIES
}
REPORTS = verdict.REPORTS
