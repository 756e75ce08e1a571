"""Each refined variant of :mod:`.refinement` against raw vectors of its own length: tables and text."""

from __future__ import annotations

import pandas as pd

from .. import tables
from ..contrastive.diagnostics import MEASURES
from ..metrics import CELL
from ..stats import final, paired
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
    last = final(runs)
    parts = [
        _against(last, variant.name, variant.against if equal_length else RAW)
        for variant in dict.fromkeys(task.variant for task in study.tasks)
        if variant.refinement is not None
    ]
    found = pd.concat(parts, ignore_index=True)
    for column in ("difference", "low", "high"):
        found[f"{column}_share"] = found[column] / found["raw"]
    return found


def _against(last: pd.DataFrame, variant: str, base: str) -> pd.DataFrame:
    """One variant against another on the variant's own seeds, a row per cell, by rising lam."""
    seeds = set(last.loc[last["policy"] == variant, "seed"])
    rows = tables.select(last, policy=[variant, base])
    rows = rows[rows["seed"].isin(seeds)]
    means = rows.groupby([*CELL, "policy"])["regret"].mean().unstack()
    pairs = paired(rows, against=base).set_index(CELL)
    return pd.DataFrame(
        {
            "policy": variant,
            "against": base,
            "seeds": pairs["seeds"],
            "regret": means[variant],
            "raw": means[base],
            "difference": pairs["regret_difference"],
            "low": pairs["regret_low"],
            "high": pairs["regret_high"],
        }
    ).reset_index()


def differences_text(table: pd.DataFrame) -> str:
    """A line per variant and lam (or planted world): mean regrets, paired difference and verdict."""
    worlds = table["dataset"].nunique() > 1
    lines = [
        {
            **({"world": row.dataset.partition(", ")[2]} if worlds else {"lam": f"{row.lam:g}"}),
            "vectors": row.policy,
            "seeds": str(row.seeds),
            "regret": f"{row.regret:.0f}",
            "raw, same seeds": f"{row.raw:.0f} ({row.against})",
            "difference": f"{row.difference:+.0f} ± {row.high - row.difference:.0f}",
            "refined is": verdict(row.low, row.high),
        }
        for row in table.itertuples()
    ]
    return tables.text(pd.DataFrame(lines), index=False)


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


def geometry_text(geometry: pd.DataFrame) -> str:
    """Means over seeds of the geometry, a line per variant and lam, with the agreement in families."""
    order = list(dict.fromkeys(geometry["policy"]))
    mean = geometry.groupby(["lam", "policy"])[list(MEASURES)].mean()
    blocks = []
    for lam in sorted(set(geometry["lam"]), reverse=True):
        block = mean.loc[lam].reindex(order)
        family = block["family"].iloc[0]
        shown = block[list(SHOWN)].rename(columns=SHOWN).map("{:.3f}".format)
        blocks.append(f"lam = {lam:g}; two random prompts of one family agree by {family:.3f}")
        blocks.append(tables.text(shown))
    return "\n".join(blocks)


def against_raw(geometry: pd.DataFrame, measure: str = "agreement") -> pd.DataFrame:
    """The mean change of a measure of the geometry from raw vectors to each refined variant.

    A row per refined variant and cell: `policy`, the columns of the cell and `change`, the mean over
    the variant's own seeds.
    """
    keys = [*CELL, "seed"]
    raw = geometry[geometry["policy"] == RAW].set_index(keys)[measure]
    rows = geometry[geometry["policy"] != RAW]
    same_seed = raw.loc[pd.MultiIndex.from_frame(rows[keys])].to_numpy()
    change = rows.assign(change=rows[measure] - same_seed)
    return change.groupby(["policy", *CELL], sort=False)["change"].mean().reset_index()
