"""The studies of ACQB-recall, which learns from the retrials of the same query, and of its opponents."""

from . import bar, capacity, robust, tuning, verdict

STUDIES = {one.name: one for module in (tuning, capacity, robust, bar) for one in module.STUDIES}
REPORTS = verdict.REPORTS
