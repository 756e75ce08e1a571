"""The claims of the paper's abstract, tested on results tables, and the authors' own published values.

Every number is a mean over seeds of a number per seed, itself the mean over the settings of one table,
with a 95% t-interval. A claim counts as reproduced if its interval lies on the claimed side, as not
reproduced if it lies on the other side, and as not decided if it contains both. Generated data can
reproduce nothing: there the verdict says on which side the interval lies.

``published_results.csv`` next to this module holds the authors' final means and standard deviations over
runs, as published with their code (arXiv 2602.02061; lam = 5, 5,000 rounds; some cells were never
stored). Nothing in it was computed here.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from .metrics import CELL
from .stats import MEASURES, final, interval, intervals, paired

LEARNERS = ("ACQB", "ACQB-CL")
BASELINES = ("Q-UCB", "Q-ThS", "RANDOM", "CQB-eps")
SETTING = CELL[2:]
ROOT = 0.5  # the exponent of a regret that grows like the square root of t
COLUMNS = ["claim", "data", "measure", "settings", "seeds", "estimate", "low", "high", "verdict"]
GROWTH = "growth exponent of the regret, second half"
SHORT = {"reproduced": "yes", "not reproduced": "no", "not decided": "open"}
LATE = "queue-length regret, last fifth of the rounds less the second"
FILE = Path(__file__).with_name("published_results.csv")
SETS = ("routerbench", "sprout", "embedllm")
# The two policies of ours that are theirs: they ran the radius of the last round at every round (ACQB-T)
# and vectors as the layer norm leaves them (ACQB-CL-LN).
BOTH = {"ACQB": ("ACQB", "ACQB-T"), "ACQB-CL": ("ACQB-CL", "ACQB-CL-LN")}
PUBLISHED_KEYS = ["K", "lam", "arrival_rate", "policy", "t"]

PARTS = ("mean", "sd", "low", "high", "difference", "difference_low", "difference_high")
FULL = [*CELL, "policy", "seeds", "t", *(f"{of}_{part}" for of in MEASURES for part in PARTS)]


def full_table(tidy: pd.DataFrame) -> pd.DataFrame:
    """Final values, a row per setting and policy: columns :data:`FULL` and the authors' own numbers.

    `_mean`, `_sd` over seeds and `_low`, `_high`, a 95% t-interval for the mean; `_difference`, the mean
    of the policy minus ACQB on the same seeds, with its own interval (empty for ACQB). The authors'
    values are empty where they published none, and for generated data.
    """
    groups = final(tidy).groupby([*CELL, "policy", "t"], sort=False)
    seeds = groups["seed"].nunique()
    table = pd.DataFrame({"seeds": seeds, **intervals(groups, MEASURES, seeds)})
    for measure in MEASURES:
        table[f"{measure}_sd"] = groups[measure].std()
    differences = paired(tidy).drop(columns="seeds")
    differences = differences.rename(
        columns={f"{m}_{end}": f"{m}_difference_{end}" for m in MEASURES for end in ("low", "high")}
    )
    table = table.reset_index().merge(differences, how="left", on=[*CELL, "policy", "t"])[FULL]
    theirs = published("" if table["stand_in"].any() else table["dataset"].iloc[0])
    return table.merge(theirs, how="left", on=PUBLISHED_KEYS).round(9)


def paper_claims(tidy: pd.DataFrame) -> pd.DataFrame:
    """The claims tested on one results table, a row each; columns :data:`COLUMNS`.

    Parameters
    ----------
    tidy : of one data set, columns :data:`cqb.metrics.COLUMNS`.
    """
    name, stand_in = tidy[["dataset", "stand_in"]].iloc[0]
    data, rows = f"{name} ({'generated' if stand_in else 'real rows'})", []
    for claim, measure, values, claimed in _measured(tidy):
        mean, low, high, seeds = interval(values.groupby("seed").mean())
        settings = values.groupby(SETTING).ngroups
        verdict = verdict_on(low, high, claimed, bool(stand_in))
        rows.append((claim, data, measure, settings, seeds, mean, low, high, verdict))
    return pd.DataFrame(rows, columns=COLUMNS)


def _measured(tidy: pd.DataFrame) -> Iterator[tuple[str, str, pd.Series, float]]:
    """Claim, what is measured, its values by setting and seed, and the value they should lie below."""
    last = final(tidy).set_index(["policy", *SETTING, "seed"])
    present = set(tidy["policy"])
    learners = [name for name in LEARNERS if name in present]
    for name in learners:
        yield f"{name}'s routing regret grows like sqrt(t)", GROWTH, exponent(tidy, name), ROOT
    for name in learners:
        yield f"{name}'s queue-length regret shrinks", LATE, late_gap(tidy, name), 0.0
    pairs = [
        (f"{learner} beats {other}", learner, other) for learner in LEARNERS for other in BASELINES
    ]
    pairs.append(("ACQB-CL beats ACQB at equal scale", "ACQB-CL", "ACQB"))
    pairs.append(("ACQB-CL as published (long vectors) beats ACQB", "ACQB-CL-LN", "ACQB"))
    for claim, one, other in pairs:
        if {one, other} <= present:
            ours, theirs = last.loc[one], last.loc[other]
            # Measured by each setting's mean over seeds.
            typical = theirs["regret"].groupby(SETTING).transform("mean")
            share = 100 * (ours["regret"] - theirs["regret"]) / typical
            yield claim, "regret, difference in % of the other's", share.dropna(), 0.0
            gap = (ours["gap"] - theirs["gap"]).dropna()
            yield claim, "queue-length regret, difference in queries", gap, 0.0


def exponent(tidy: pd.DataFrame, policy: str) -> pd.Series:
    """log2 of R(T) / R(T/2) by setting and seed: 0.5 for the square root of t, 1 for a line.

    Runs without regret in the first half are left out.
    """
    rows = tidy[tidy["policy"] == policy]
    middle, T = halves(rows)
    table = rows.pivot(index=[*SETTING, "seed"], columns="t", values="regret")
    table = table[table[middle] > 0]
    return np.log(table[T] / table[middle]) / np.log(T / middle)


def halves(rows: pd.DataFrame) -> tuple[int, int]:
    """The round `t` of the rows nearest to half of the last (the earlier of two), and the last."""
    T = rows["t"].max()
    return min(set(rows["t"]), key=lambda t: (abs(t - T / 2), t)), T


def late_gap(tidy: pd.DataFrame, policy: str) -> pd.Series:
    """Mean queue-length regret in the last fifth of the rounds less the second fifth's, in queries.

    By setting and seed; the first fifth, in which every policy begins with an empty queue, is left out.
    """
    rows = tidy[tidy["policy"] == policy]
    fifth = np.ceil(5 * rows["t"] / rows["t"].max()).astype(int)
    table = rows.groupby([*SETTING, "seed", fifth.rename("fifth")])["gap"].mean().unstack("fifth")
    return table[5] - table[2]


def verdict_on(low: float, high: float, claimed: float, stand_in: bool) -> str:
    """In words, where the interval lies; NaN (one seed) decides nothing."""
    if high <= claimed:
        return "on the claimed side" if stand_in else "reproduced"
    if low > claimed:
        return "on the other side" if stand_in else "not reproduced"
    return "not decided"


def claims_table(found: pd.DataFrame) -> pd.DataFrame:
    """Rows of :func:`paper_claims` of one measure for people: a row per claim, a column per data set.

    A cell has the estimate, its interval, and the verdict as a word of :data:`SHORT`.
    """
    digits = 2 if (found["measure"] == GROWTH).all() else 1
    ends = zip(found["estimate"], found["low"], found["high"], strict=True)
    text = [f"{mean:.{digits}f} ({low:.{digits}f}, {high:.{digits}f}) " for mean, low, high in ends]
    cells = found.assign(text=text + found["verdict"].replace(SHORT), data=short(found["data"]))
    wide = cells.pivot(index="claim", columns="data", values="text").fillna("")
    return wide.loc[cells["claim"].unique(), cells["data"].unique()]


def short(data: pd.Series) -> pd.Series:
    """Names of data sets for the heads of columns: without "(real rows)" and the number of families."""
    return data.str.replace(r" \(real rows\)|, 3 families", "", regex=True)


def of_the_authors() -> str:
    """Two of the claims in the authors' own published means; nothing of it was run here."""
    lines, ratios = [], []
    for dataset in SETS:
        table = published(dataset).set_index(PUBLISHED_KEYS)
        for (K, _, rate, policy), row in table["authors_regret_mean"].unstack("t").iterrows():
            if policy in LEARNERS and row.get(2500, np.nan) > 0:
                growth = np.log2(row[5000] / row[2500])
                place = f"{dataset}, K = {K}, arrival rate {rate:g}, {policy}"
                lines.append(f"{place}: growth exponent {growth:.2f}")
        last = table.xs(5000, level="t")
        mean = last["authors_regret_mean"].unstack("policy")
        variance = (last["authors_regret_sd"] ** 2 / last["authors_runs"]).unstack("policy")
        error = np.sqrt(variance["ACQB"] + variance["ACQB-CL"])
        ratios += ((mean["ACQB-CL"] - mean["ACQB"]) / error).dropna().tolist()
    beyond = sum(abs(ratio) > 2 for ratio in ratios)
    lines.append(
        f"ACQB-CL less ACQB in their regrets, in standard errors of an unpaired difference: "
        f"{len(ratios)} settings, from {min(ratios):.1f} to {max(ratios):.1f}, {beyond} beyond 2"
    )
    return "\n".join(lines)


def published(dataset: str) -> pd.DataFrame:
    """The authors' values on the set that `dataset` names: :data:`PUBLISHED_KEYS` and `authors_...`.

    Several versions of a cell are in their repository where a name carries one ("ACQB-CL@..."). Of
    these the first that is listed counts, and only where no version without a mark exists. A set of
    which they report nothing gives no rows.
    """
    table = pd.read_csv(FILE, dtype={"lam": float})
    named = next((name for name in SETS if dataset.lower().startswith(name)), "")
    table = table[table["dataset"] == named]
    table = table.sort_values("policy", key=lambda names: names.str.contains("@"), kind="stable")
    table["policy"] = table["policy"].str.split("@").str[0]
    table = table.drop_duplicates(PUBLISHED_KEYS).drop(columns="dataset")
    table["policy"] = table["policy"].map(lambda name: BOTH.get(name, name))
    return table.explode("policy").sort_values(PUBLISHED_KEYS, ignore_index=True)
