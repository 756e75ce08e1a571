"""What to know of a data set before its results, stored so that absent rows can be described."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..environment import from_table
from ..experiments import Experiment
from ..routing_table import RoutingTable
from ..runs import Cell
from ..study import Study
from .experiments import EXPERIMENTS


@dataclass(frozen=True)
class Facts:
    """The task: the facts of one data set, with the oracle's capacity in each cell.

    Attributes
    ----------
    cells : settings of the service. seed, pool_size : of the job pool that the capacities are about.
    """

    cells: tuple[Cell, ...]
    seed: int
    pool_size: int

    def __str__(self) -> str:
        return "facts"


def facts(task: Facts, table: RoutingTable) -> pd.DataFrame:
    """Columns `dataset`, `stand_in`, `view`, `name`, `value`; the views are

    "table" (counts and shares), "family" (rows), "score" (mean by model), "cost" (mean dollars by model)
    and "capacity" (of the oracle, queries per round, by cell).
    """
    scores, report = table.scores, table.report
    at_best = (scores == scores.max(axis=1, keepdims=True)).sum(axis=1)
    views = {
        "table": {
            "rows": len(table),
            "models": len(table.models),
            "dimension": table.embeddings.shape[1],
            "dropped": sum(report.get("rows_dropped", {}).values()),
            "distinct vectors": len(np.unique(table.embeddings, axis=0)),
            "cut off": report["truncated_share"],
            "two or more best": np.mean(at_best > 1),
            "all zero": np.mean(scores.max(axis=1) == 0),
            "zero or one": np.mean((scores == 0) | (scores == 1)),
        },
        "family": pd.Series(table.families).value_counts().sort_index().to_dict(),
        "score": dict(zip(table.models, scores.mean(axis=0), strict=True)),
        "capacity": {
            str(cell): from_table(table, task.seed, cell.lam, task.pool_size).capacity(cell.K)
            for cell in task.cells
        },
    }
    if table.costs is not None:
        views["cost"] = dict(zip(table.models, table.costs.mean(axis=0), strict=True))
    rows = [(view, name, float(v)) for view, of in views.items() for name, v in of.items()]
    found = pd.DataFrame(rows, columns=["view", "name", "value"])
    return found.assign(dataset=table.name, stand_in=table.stand_in)


def view(found: pd.DataFrame, name: str) -> pd.Series:
    """The values of one view of :func:`facts`, by name."""
    return found[found["view"] == name].set_index("name")["value"]


def describe(found: pd.DataFrame) -> str:
    """What the table is, in four lines of text."""
    about = view(found, "table")
    kind = "generated" if found["stand_in"].iloc[0] else "real rows"
    return (
        f"{found['dataset'].iloc[0]} ({kind}): {about['rows']:.0f} rows, {about['models']:.0f} models, "
        f"vectors of d = {about['dimension']:.0f}\n"
        f"rows dropped {about['dropped']:.0f}; distinct vectors {about['distinct vectors']:.0f}; "
        f"prompts cut off by the encoder {about['cut off']:.1%}\n"
        f"scores that are 0 or 1: {about['zero or one']:.1%}\n"
        f"rows on which two or more models share the best score: {about['two or more best']:.1%}, "
        f"on which every score is 0: {about['all zero']:.1%}"
    )


def models(found: pd.DataFrame) -> pd.DataFrame:
    """Mean score and dollars per 1,000 queries of each model, the best first."""
    table = pd.DataFrame({"score": view(found, "score")})
    if (found["view"] == "cost").any():
        table["$ per 1000 queries"] = 1000 * view(found, "cost")
    return table.sort_values("score", ascending=False)


def capacities(found: pd.DataFrame) -> str:
    """The oracle's capacity in each cell, a line each."""
    return "\n".join(f"{cell}: {most:.3f}" for cell, most in view(found, "capacity").items())


def _study(of: Experiment) -> Study:
    tasks = (Facts(of.cells, of.seeds[0], of.pool_size),)
    return Study(f"facts-{of.dataset}", 1, of.dataset, tasks, facts, default=True)


STUDIES = {f"facts-{of.dataset}": _study(of) for of in reversed(EXPERIMENTS.values())}
