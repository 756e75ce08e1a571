"""What a study's tables say: each arm against raw vectors of its own length, in numbers and in words."""

from __future__ import annotations

import pandas as pd

from ..experiment.metrics import CELL
from ..experiment.summary import paired, summarise
from .arms import MEASURES
from .study import Study

PUBLISHED_BASE = "raw"  # what the paper compares with, whatever the length of the refined vectors
SHOWN = {
    "agreement": "neighbours agree",
    "agreement_trained": "on trained rows",
    "alignment": "alignment",
    "uniformity": "uniformity",
    "fit": "linear fit",
}


def differences(study: Study, runs: pd.DataFrame, *, equal_length: bool = True) -> pd.DataFrame:
    """Final regret of each refined arm less that of raw vectors, paired by seed.

    Parameters
    ----------
    equal_length : compare with raw vectors of the same length (each arm's `against`); False compares
        everything with raw vectors of length 1, as published.

    Returns
    -------
    A row per cell and refined arm: the columns of the cell, `policy` (the arm), `against`, `seeds`,
    `regret` (its mean over those seeds), `raw` (that of the other), `difference`, `low` and `high`
    (95% t-interval of the mean paired difference), and the three again in shares of `raw`.
    """
    last = runs[runs["t"] == runs["t"].max()]
    parts = [
        _against(last, arm.name, arm.against if equal_length else PUBLISHED_BASE)
        for arm in study.arms
        if arm.refinement is not None
    ]
    found = pd.concat(parts, ignore_index=True)
    for column in ("difference", "low", "high"):
        found[f"{column}_share"] = found[column] / found["raw"]
    return found


def _against(last: pd.DataFrame, arm: str, base: str) -> pd.DataFrame:
    """One arm against another on the arm's own seeds, a row per cell."""
    seeds = set(last.loc[last["policy"] == arm, "seed"])
    rows = last[last["policy"].isin([arm, base]) & last["seed"].isin(seeds)]
    means = summarise(rows).set_index([*CELL, "policy"])["regret_mean"].unstack()
    table = paired(rows, against=base).set_index(CELL)
    return pd.DataFrame(
        {
            "policy": arm,
            "against": base,
            "seeds": table["seeds"],
            "regret": means[arm],
            "raw": means[base],
            "difference": table["regret_difference"],
            "low": table["regret_low"],
            "high": table["regret_high"],
        }
    ).reset_index()


def differences_text(table: pd.DataFrame) -> str:
    """A line per arm and lam (or planted world): mean regrets, paired difference, what it tells."""
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
    return pd.DataFrame(lines).to_string(index=False)


def verdict(low: float, high: float) -> str:
    """Whether an interval of differences in regret lies below 0, above it, or holds it."""
    if high < 0:
        return "better"
    return "worse" if low > 0 else "not told apart"


def tally(table: pd.DataFrame) -> str:
    """One sentence: in how many comparisons refined vectors were better, worse, or not told apart."""
    told = [verdict(low, high) for low, high in zip(table["low"], table["high"], strict=True)]
    return (
        f"of {len(told)} comparisons, refined vectors have the lower regret in {told.count('better')}, "
        f"the higher in {told.count('worse')}, and are not told apart in "
        f"{told.count('not told apart')}; "
        f"by chance alone about {0.05 * len(told):.1f} intervals would leave out 0"
    )


def geometry_text(geometry: pd.DataFrame) -> str:
    """Means over seeds of the geometry, a line per arm and lam, with the agreement within families."""
    order = list(dict.fromkeys(geometry["policy"]))
    mean = geometry.groupby(["lam", "policy"])[list(MEASURES)].mean()
    lines = []
    for lam in sorted(set(geometry["lam"]), reverse=True):
        block = mean.loc[lam].reindex(order)
        shown = block[list(SHOWN)].rename(columns=SHOWN).map("{:.3f}".format)
        shown.index.name = None
        family = block["family"].iloc[0]
        lines.append(f"lam = {lam:g}; two random prompts of one family agree by {family:.3f}")
        lines.append(shown.to_string())
    return "\n".join(lines)


def against_raw(geometry: pd.DataFrame, measure: str = "agreement") -> pd.DataFrame:
    """How far each refined arm moved a measure of the geometry: its mean over seeds less that of raw.

    A row per cell and refined arm: the columns of the cell, `policy` and `change`. Both means are over
    the arm's own seeds.
    """
    parts = []
    raw = geometry[geometry["policy"] == PUBLISHED_BASE].set_index([*CELL, "seed"])[measure]
    for policy, rows in geometry.groupby("policy", sort=False):
        if policy == PUBLISHED_BASE:
            continue
        index = pd.MultiIndex.from_frame(rows[[*CELL, "seed"]])
        change = rows.assign(change=rows[measure].to_numpy() - raw.loc[index].to_numpy())
        parts.append(change.groupby(CELL, sort=False)["change"].mean().reset_index())
        parts[-1]["policy"] = policy
    return pd.concat(parts, ignore_index=True)
