"""The studies of this package, by name; each module declares one family of them."""

from importlib import import_module

# In the order in which the command line lists their studies.
NAMES = ("beyond", "bursts", "experiments", "refinement", "sensitivity", "theory")
NAMES += ("attempts", "pass_rates", "facts", "abstracts")
MODULES = tuple(import_module(f".{name}", __name__) for name in NAMES)
STUDIES = {name: study for module in MODULES for name, study in module.STUDIES.items()}
REPORTS = {
    path: report for module in MODULES for path, report in getattr(module, "REPORTS", {}).items()
}
