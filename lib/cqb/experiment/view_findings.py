"""What the views of an experiment's runs say, in text: rounded numbers, a line per policy."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from ..house_style import in_order
from .cell_rows import cells_of, pick

MANY = 5  # retrials


def main_models(views: pd.DataFrame, policies: Sequence[str], most: int = 3) -> str:
    """The models that each policy offered most in the last block of rounds, a line per setting."""
    rows = views[views["view"] == "models"]
    rows = rows[rows["place"] == rows["place"].max()]
    lines = []
    for K in sorted(set(rows["K"])):
        for cell in cells_of(rows, K):
            here = pick(rows, cell)
            for name in in_order([p for p in policies if p in set(here["policy"])]):
                own = here[here["policy"] == name].nlargest(most, "share_mean")
                shares = zip(own["part"], own["share_mean"], strict=True)
                said = ", ".join(f"{model} {100 * share:.0f}%" for model, share in shares)
                lines.append(f"K = {cell.K}, lam = {cell.lam:g}, {name}: {said}")
    return "\n".join(lines)


def retrial_table(views: pd.DataFrame, *, K: int) -> str:
    """Of all queries that arrived, in percent: departed at the first answer, after five retrials or
    more, and still waiting at the end; a line per policy, three columns per setting.
    """
    rows = views[views["view"] == "retrials"]
    columns = {}
    for cell in cells_of(rows, K):
        here = pick(rows, cell)
        gone, left = (here[here["part"] == part] for part in ("departed", "waiting"))
        kinds = {
            "at once": gone[gone["place"] == 0],
            f"{MANY}+": gone[gone["place"] >= MANY],
            "waiting": left,
        }
        columns[f"lam = {cell.lam:g}"] = pd.DataFrame(
            {kind: 100 * of.groupby("policy")["share_mean"].sum() for kind, of in kinds.items()}
        )
    return _text(pd.concat(columns, axis=1))


def wait_table(views: pd.DataFrame, *, K: int, after: Sequence[int] = (10, 100, 1000)) -> str:
    """The share of queries (%) still there so many rounds after they came, a line per policy."""
    rows = views[(views["view"] == "waits") & views["place"].isin(after)]
    columns = {
        f"lam = {cell.lam:g}": 100
        * pick(rows, cell).pivot(index="policy", columns="place", values="share_mean")
        for cell in cells_of(rows, K)
    }
    return _text(pd.concat(columns, axis=1))


def _text(table: pd.DataFrame) -> str:
    """A table of percentages with the policies in order."""
    table = table.reindex(in_order(list(table.index)))
    table.index.name, table.columns.names = None, [None] * table.columns.nlevels
    return table.map("{:.1f}".format).to_string()
