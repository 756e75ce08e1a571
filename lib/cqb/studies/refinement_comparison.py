"""Each refined variant of :mod:`.refinement` against raw vectors of its own length: tables and text."""

import pandas as pd

from .. import stats, tables
from ..contrastive.diagnostics import MEASURES
from ..metrics import CELL
from ..study import Study

RAW = "raw"  # what the paper compares with, whatever the length of the refined vectors
SHOWN = {
    "agreement": "neighbours agree",
    "agreement_trained": "on trained rows",
    "alignment": "alignment",
    "uniformity": "uniformity",
    "fit": "linear fit",
}


def differences(study: Study, runs: pd.DataFrame, *, equal_length: bool = True) -> pd.DataFrame:
    """Final regret of each refined variant minus that of raw vectors, paired by seed.

    Parameters
    ----------
    study : whose variants are compared. runs : of :func:`.refinement.runs`.
    equal_length : compare with raw vectors of the same length; False compares everything with raw
        vectors of length 1, as published.

    Returns
    -------
    A row per cell and refined variant: the columns of the cell, `policy` (the variant), `against`,
    `seeds`, `regret` (its mean over those seeds), `raw` (that of the other), `difference`, `low` and
    `high` (95% t-interval of the mean paired difference), and the last three as shares of `raw`.
    """
    last = stats.final(runs)
    parts = []
    for variant in dict.fromkeys(task.variant for task in study.tasks):
        if variant.refinement is not None:
            base = variant.against if equal_length else RAW
            rows = tables.select(last, policy=[variant.name, base])
            parts.append(stats.paired(rows, base).assign(against=base).sort_values(CELL))
    names = {f"regret_{part}": part for part in ("difference", "low", "high")}
    found = pd.concat(parts).rename(columns=names)
    found = found.merge(last.groupby([*CELL, "policy"], as_index=False)["regret"].mean())
    found["raw"] = found["regret"] - found["difference"]
    shares = {f"{part}_share": found[part] / found["raw"] for part in names.values()}
    columns = [*CELL, "policy", "against", "seeds", "regret", "raw", *names.values()]
    return found[columns].assign(**shares)


def differences_table(table: pd.DataFrame) -> pd.DataFrame:
    """A line per variant and lam (or planted world): mean regrets, paired difference and verdict."""
    worlds = table["dataset"].nunique() > 1
    lines = [
        {
            **({"world": row.dataset.partition(", ")[2]} if worlds else {"lam": f"{row.lam:g}"}),
            "vectors": row.policy,
            "seeds": str(row.seeds),
            "regret": f"{row.regret:.0f}",
            "raw, same seeds": f"{row.raw:.0f} ({row.against})",
            "difference": tables.spread(row.difference, row.high - row.difference, sign="+"),
            "refined is": verdict(row.low, row.high),
        }
        for row in table.itertuples()
    ]
    return pd.DataFrame(lines)


def verdict(low: float, high: float) -> str:
    """ "better" for an interval of regret differences below 0, "worse" above, else "inconclusive"."""
    if high < 0:
        return "better"
    return "worse" if low > 0 else "inconclusive"


def tally(table: pd.DataFrame) -> str:
    """One sentence: in how many comparisons refined vectors are better, worse, or inconclusive."""
    found = [verdict(low, high) for low, high in zip(table["low"], table["high"], strict=True)]
    return (
        f"of {len(found)} comparisons, refined vectors have the lower regret in "
        f"{found.count('better')}, the higher in {found.count('worse')}, and "
        f"{found.count('inconclusive')} are inconclusive; by chance alone about "
        f"{0.05 * len(found):.1f} intervals would exclude 0"
    )


def geometry_table(geometry: pd.DataFrame) -> pd.DataFrame:
    """Means over seeds of the geometry as text, a row per lam and variant."""
    mean = geometry.groupby(["lam", "policy"], sort=False)[list(MEASURES)].mean()
    shown = mean[list(SHOWN)].rename(columns=SHOWN).map("{:.3f}".format).reset_index("lam")
    shown = shown.sort_values("lam", ascending=False, kind="stable")
    return shown.assign(lam=shown["lam"].map("{:g}".format))


def against_raw(geometry: pd.DataFrame) -> pd.DataFrame:
    """The mean change of the neighbours' agreement from raw vectors to each refined variant.

    A row per refined variant and cell: `policy`, the columns of the cell and `change`, the mean over
    the variant's own seeds.
    """
    table = stats.differences(geometry, RAW, CELL, ["agreement"])
    return table.rename(columns={"agreement_difference": "change"})[["policy", *CELL, "change"]]
