"""The data sets: each loader returns a :class:`~cqb.routing_table.RoutingTable`."""

import importlib
from pathlib import Path
from typing import Any

from cqb import paths
from cqb.arrivals import Trace
from cqb.routing_table import RoutingTable

REAL = ("routerbench", "sprout", "embedllm")
# By name: the module that reads the set, and what its loader is told.
COMMITTED = {
    "paretobandit": ("paretobandit", {}),
    **{f"{name}-standin": ("standin", {"dataset": name}) for name in REAL},
}
FETCHED = {
    **{name: (name, {}) for name in REAL},
    "zeroeval": ("table", {"name": "ZeroEval"}),
    "llmrouter": ("table", {"name": "LLMRouter"}),
    "evalperf": ("table", {"name": "EvalPerf"}),
    "cruxeval": ("table", {"name": "CRUXEval", "prompts": False}),
    **{name: ("traces", {"name": name}) for name in ("azure", "burstgpt")},
}
LOADERS = {**FETCHED, **COMMITTED, "table": ("table", {})}


def load(name: str, folder: Path | str | None = None, **options: Any) -> RoutingTable | Trace:
    """Load the data set called `name`, one of :data:`LOADERS`.

    ================================================  =============================================
    name                                              what is read
    ================================================  =============================================
    "table"                                           a table of your own: `folder` is a CSV or Parquet
                                                      file or a folder of them, `options` are those of
                                                      :func:`cqb.datasets.table.load`
    "routerbench", "sprout", "embedllm"               the published files
    "zeroeval", "llmrouter", "evalperf"               CSV files in the form of "table"
    "cruxeval"                                        the same without prompts; each column is an attempt
    "paretobandit"                                    real rows, committed as numbers and vectors
    "routerbench-standin", "sprout-standin", ...      generated tables, committed
    "azure", "burstgpt"                               recorded requests: a :class:`~cqb.arrivals.Trace`
    ================================================  =============================================

    A set that is not committed is read from `folder`, else from the folder that the variable
    CQB_NAME_DIR names (for instance CQB_SPROUT_DIR), else from the one that `make data` downloads into.
    It comes without embeddings (see `cqb.encoder`); the committed ones have them.

    >>> table = load("paretobandit")
    >>> table.name, table.scores.shape, table.embeddings.shape
    ('ParetoBandit', (1785, 3), (1785, 384))

    Raises
    ------
    ValueError
        No such data set, or one with wrong content.
    FileNotFoundError
        The files are not there; the message says how to get them.
    """
    if name not in LOADERS:
        raise ValueError(f"no data set {name!r}; expected one of {', '.join(LOADERS)}")
    if name == "table" and folder is None:
        raise ValueError("table: name the file or folder to read")
    if name in FETCHED:
        folder = folder or paths.dataset_dir(name) or paths.raw_dir() / name
    module, told = LOADERS[name]
    return importlib.import_module(f"cqb.datasets.{module}").load(folder, **told, **options)
