"""All studies that are installed, found by the entry points of the group ``cqb.studies``.

An entry point names a module with a dictionary ``STUDIES`` (name to :class:`.Study`) and, if it has
reports, a dictionary ``REPORTS`` (path in the figures folder to a function that derives the table).
Another package adds its studies to the command line by declaring one.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points

from .replay import Report
from .study import Study, StudyError

GROUP = "cqb.studies"


@cache
def studies() -> dict[str, Study]:
    """Every study by name, in the order of the packages and of their declarations.

    Raises
    ------
    StudyError
        Two packages declare a study of one name.
    """
    found: dict[str, Study] = {}
    for module in _modules():
        if twice := found.keys() & module.STUDIES.keys():
            raise StudyError(f"{min(twice)}: declared twice, once in {module.__name__}")
        found |= module.STUDIES
    return found


@cache
def reports() -> dict[str, Report]:
    """Every report by its path in the figures folder."""
    return {
        path: report
        for module in _modules()
        for path, report in getattr(module, "REPORTS", {}).items()
    }


def _modules() -> list[object]:
    return [point.load() for point in sorted(entry_points(group=GROUP), key=lambda p: p.name)]
