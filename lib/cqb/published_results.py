"""The authors' own final values, as they published them with their code (arXiv 2602.02061).

``published_results.csv`` next to this module holds means and standard deviations over runs, from their
repository (lam = 5, 5,000 rounds; some cells were never stored). Nothing in it was computed here.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

FILE = Path(__file__).with_suffix(".csv")
SETS = ("routerbench", "sprout", "embedllm")
# Their name for a policy, and ours for the same algorithm. They ran the radius of the last round at
# every round (ACQB-T) and vectors as the layer norm leaves them (ACQB-CL-LN).
NAMES = {
    "ACQB": ("ACQB", "ACQB-T"),
    "ACQB-CL": ("ACQB-CL", "ACQB-CL-LN"),
    "CQB_eps": ("CQB-eps",),
    "Q_UCB": ("Q-UCB",),
    "Q_THS": ("Q-ThS",),
    "RAND": ("RANDOM",),
}
COLUMNS = {
    "assort_K": "K",
    "lam_cost": "lam",
    "cum_regret_mean": "authors_regret_mean",
    "cum_regret_sd": "authors_regret_sd",
    "qgap_mean": "authors_gap_mean",
    "qgap_sd": "authors_gap_sd",
    "n_runs": "authors_runs",
}
KEYS = ["K", "lam", "arrival_rate", "policy", "t"]
VALUES = [name for name in COLUMNS.values() if name.startswith("authors_")]


def of(dataset: str) -> pd.DataFrame:
    """The authors' values on the set that `dataset` names, columns :data:`KEYS` and :data:`VALUES`.

    Several versions of a cell are in their repository where a name carries one ("ACQB-CL@..."): of
    these the first that is listed counts, and only where no version without a mark exists. A set of
    which they report nothing gives no rows.
    """
    table = pd.read_csv(FILE)
    table = table[table["dataset"] == _set(dataset)]
    marked = table["algorithm"].str.contains("@")
    table = table.assign(algorithm=table["algorithm"].str.split("@").str[0], marked=marked)
    where = ["assort_K", "lam_cost", "arrival_rate", "algorithm", "t"]
    table = table.sort_values("marked", kind="stable").drop_duplicates(where)
    table["policy"] = table["algorithm"].map(NAMES)
    return (
        table.explode("policy")
        .rename(columns=COLUMNS)[[*KEYS, *VALUES]]
        .astype({"lam": float})
        .sort_values(KEYS)
        .reset_index(drop=True)
    )


def _set(dataset: str) -> str:
    """The authors' name of a set of ours; "" for any other."""
    return next((name for name in SETS if dataset.lower().startswith(name)), "")
