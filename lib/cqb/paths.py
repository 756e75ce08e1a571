"""The folders of the repository, found from any working directory.

Each place can be moved by an environment variable: CQB_ROOT (the repository), CQB_DATA
(stand-ins, raw downloads, cache), CQB_FIGURES (figures of the notebooks) and CQB_RUNS (unfinished
work). If a variable is not set, the folder inside the repository is used.
"""

import os
from collections.abc import Iterable
from pathlib import Path

MARKER = Path("lib") / "cqb" / "paths.py"  # identifies the repository
SETTINGS = ("CQB_ROOT", "CQB_DATA", "CQB_FIGURES", "CQB_RUNS", "CQB_ENCODER_DIR", "CQB_BACKEND")


def _override(name: str) -> Path | None:
    value = os.environ.get(name, "").strip()
    return Path(value).expanduser().resolve() if value else None


def root() -> Path:
    """The repository: CQB_ROOT, else the checkout this file lies in, else one above the cwd.

    Raises
    ------
    FileNotFoundError
        The package is installed outside a checkout and the working directory is not in one.
    """
    if override := _override("CQB_ROOT"):
        return override
    here = Path(__file__).resolve().parents[2]
    for folder in (here, Path.cwd(), *Path.cwd().parents):
        if (folder / MARKER).is_file():
            return folder
    raise FileNotFoundError(
        f"no cqb checkout found at or above {Path.cwd()} (looked for {MARKER}); "
        "set CQB_ROOT to the repository folder"
    )


def data_dir() -> Path:
    """The data folder: CQB_DATA, else `data/` in the repository."""
    return _override("CQB_DATA") or root() / "data"


def figures_dir() -> Path:
    """The figures folder: CQB_FIGURES, else `figures/` in the repository."""
    return _override("CQB_FIGURES") or root() / "figures"


def results_dir() -> Path:
    """The folder of stored tables: `results/` in the data folder."""
    return data_dir() / "results"


def runs_dir() -> Path:
    """The folder of unfinished work: CQB_RUNS, else `runs/` in the data folder."""
    return _override("CQB_RUNS") or data_dir() / "runs"


def cache_dir() -> Path:
    """The folder of computed files that can be recomputed, such as embeddings."""
    return data_dir() / "cache"


def raw_dir() -> Path:
    """The folder of downloaded data sets, one folder for each set."""
    return data_dir() / "raw"


def dataset_dir(name: str) -> Path | None:
    """The folder that CQB_NAME_DIR names for a data set, e.g. CQB_SPROUT_DIR; None if unset."""
    return _override(f"CQB_{name.upper()}_DIR")


def check_names(sets: Iterable[str]) -> None:
    """Raise ValueError for a variable CQB_... that nothing reads: a misspelt one would be ignored.

    Parameters
    ----------
    sets : the data sets whose folder a variable may name.
    """
    known = [*SETTINGS, *(f"CQB_{name.upper()}_DIR" for name in sets)]
    for name in sorted(os.environ):
        if name.startswith("CQB_") and not name.startswith("CQB_TEST_") and name not in known:
            raise ValueError(
                f"{name} is set, but no such setting exists; they are {', '.join(known)}"
            )
