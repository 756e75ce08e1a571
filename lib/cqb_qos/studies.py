"""The studies of this package, by name."""

from cqb.study import Study

STUDIES: dict[str, Study] = {}
