"""The studies of this package, by name; each module declares one family of them."""

from __future__ import annotations

from ..study import Study
from ..study.replay import Report
from . import (
    abstracts,
    attempts,
    beyond,
    bursts,
    experiments,
    facts,
    pass_rates,
    refinement,
    sensitivity,
    theory,
)

MODULES = (
    beyond,
    bursts,
    experiments,
    refinement,
    sensitivity,
    theory,
    attempts,
    pass_rates,
    facts,
    abstracts,
)
STUDIES: dict[str, Study] = {name: s for module in MODULES for name, s in module.STUDIES.items()}
REPORTS: dict[str, Report] = {
    path: report for module in MODULES for path, report in getattr(module, "REPORTS", {}).items()
}
