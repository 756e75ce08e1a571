"""Summaries of results tables: sentences that follow from the numbers, and tables of text.

All numbers are rounded, so that a notebook's output can be compared with an
earlier one, and so that the words are right for whichever data the notebook was run on.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from .claims import halves, published
from .figures.experiments import DECIMALS
from .figures.style import in_order
from .policies.fifo_bandits import exploration_rate
from .stats import final
from .tables import percent, select, spread, spreads

MANY_RETRIALS = 5
NOUN = {"regret": "regret", "gap": "queue-length regret"}


def final_table(summary: pd.DataFrame, paired: pd.DataFrame, *, K: int, value: str) -> pd.DataFrame:
    """Final means and paired differences for one K: a line per policy, two columns per setting.

    Parameters
    ----------
    summary, paired : of :func:`cqb.stats.summarise` and :func:`cqb.stats.paired`.
    value : "regret" or "gap".
    """
    rows, digits = select(final(summary), K=K), DECIMALS[value]
    cell = ["arrival_rate", "lam"]
    pairs = select(paired, K=K).set_index([*cell, "policy"])
    columns = {}
    for (rate, lam), here in rows.groupby(cell):
        mean, gap = here.set_index("policy"), pairs.loc[rate, lam]
        ends = mean[f"{value}_mean"], mean[f"{value}_high"]
        columns[f"lam = {lam:g}", "mean"] = pd.Series(spreads(*ends, digits), mean.index)
        ends = gap[f"{value}_difference"], gap[f"{value}_high"]
        columns[f"lam = {lam:g}", "difference"] = pd.Series(spreads(*ends, digits, "+"), gap.index)
    return pd.DataFrame(columns).reindex(in_order(rows["policy"])).fillna("-")


def verdicts(paired: pd.DataFrame, *, value: str) -> str:
    """One sentence per policy: in how many settings it differs from ACQB, and how.

    Two policies differ if the 95% interval of the paired difference leaves out 0. A last sentence says
    how many intervals would do so by chance if no policy differed from ACQB.
    """
    lines, others = [], paired[paired["policy"] != "ORACLE"]
    for name in in_order(others["policy"]):
        rows = others[others["policy"] == name]
        below = int((rows[f"{value}_low"] > 0).sum())
        above = int((rows[f"{value}_high"] < 0).sum())
        lines.append(
            f"{name}: ACQB has the lower {NOUN[value]} in {below} of {len(rows)} settings, the "
            f"higher in {above}, and no clear difference in {len(rows) - below - above}."
        )
    count = len(others)
    lines.append(
        f"By chance alone, about {0.05 * count:.1f} of these {count} intervals would leave out 0."
    )
    return "\n".join(lines)


def growth(summary: pd.DataFrame, policy: str = "ACQB") -> str:
    """How a policy's regret grew over the second half of the run, a line per setting.

    The ratio R(T) / R(T/2) is 1.41 where regret grows like the square root of t, and 2 on a line.
    """
    rows = summary[summary["policy"] == policy]
    middle, T = halves(rows)
    lines = []
    for (K, rate, lam), cell in rows.groupby(["K", "arrival_rate", "lam"]):
        regret = cell.set_index("t")["regret_mean"]
        half, full = regret[middle], regret[T]
        ratio = f"{full / half:.2f}" if half > 0 else "not defined"
        lines.append(
            f"{policy}, K = {K}, lam = {lam:g}, arrival rate {rate:g}: "
            f"R({T}) / R({middle}) = {full:.0f} / {half:.0f} = {ratio}"
        )
    return "\n".join(lines)


def side_table(tidy: pd.DataFrame, *, K: int) -> pd.DataFrame:
    """Means over seeds of what regret does not show, for one K: a line per policy and lam.

    Mean queue over all rounds, share of repeated failures, share of waits over 100 rounds (both in
    percent), dollars per query served (where costs are known), and queries served.
    """
    rows = select(final(tidy), K=K)
    rows = rows.assign(per_thousand=1e3 * rows["dollars"] / rows["served"])
    mean = rows.groupby(["lam", "policy"]).mean(numeric_only=True)
    order = [(lam, name) for lam in sorted(set(rows["lam"])) for name in in_order(rows["policy"])]
    lines = [
        {
            "lam": f"{row.Index[0]:g}",
            "policy": row.Index[1],
            "mean queue": f"{row.queue_mean:.1f}",
            "repeats %": f"{100 * row.repeat_share:.0f}",
            "long waits %": f"{100 * row.wait_over_100:.1f}",
            "$ per 1000 served": f"{row.per_thousand:.2f}",
            "served": f"{row.served:.0f}",
        }
        for row in mean.reindex(order).itertuples()
    ]
    unknown = [] if rows["dollars"].notna().any() else ["$ per 1000 served"]
    return pd.DataFrame(lines).drop(columns=unknown)


def exploring_share(n_models: int, T: int) -> float:
    """The share of T rounds in which Q-UCB and Q-ThS explore: the mean of min(1, 3 N log(t)^2 / t)."""
    return float(np.mean([exploration_rate(t, n_models) for t in range(1, T + 1)]))


def seconds_per_run(summary: pd.DataFrame) -> str:
    """CPU time of one run by policy and K, the mean over settings and seeds."""
    mean = final(summary).groupby(["K", "policy"])["seconds_per_run"].mean()
    lines = []
    for K in sorted(set(summary["K"])):
        times = [f"{name} {mean[K, name]:.2f} s" for name in in_order(mean[K].index)]
        lines.append(f"K = {K}: {', '.join(times)}")
    return "\n".join(lines)


def published_comparison(tidy: pd.DataFrame, dataset: str = "") -> pd.DataFrame:
    """The authors' own final regrets at lam = 5, next to ours for the same K and policy.

    Means with standard deviations over seeds, at the arrival rate of theirs that is nearest to ours.
    Where these rows have no costs, ours are at lam = 0.

    Parameters
    ----------
    tidy : of real rows. dataset : the authors' set, by default the one that the rows are named after.
    Generated data are not compared: the table then holds a note.
    """
    if tidy["stand_in"].any():
        return pd.DataFrame({"note": ["generated data: not compared with the authors' numbers"]})
    theirs = published(dataset or tidy["dataset"].iloc[0]).dropna(subset="authors_regret_mean")
    theirs = theirs[theirs["t"] == theirs["t"].max()]
    last, keys = final(tidy), ["K", "policy"]
    last = last[last["lam"] == last["lam"].max()]
    ours = last.groupby([*keys, "arrival_rate"])["regret"].agg(["mean", "std"]).reset_index()
    table = theirs.merge(ours, on=keys, suffixes=("", "_here"))
    distance = (table["arrival_rate"] - table["arrival_rate_here"]).abs()
    table = table.loc[distance.groupby([table["K"], table["policy"]]).idxmin()]
    columns = {"authors": ("authors_regret_mean", "authors_regret_sd"), "here": ("mean", "std")}
    for name, (mean, deviation) in columns.items():
        table[name] = list(map(spread, table[mean], table[deviation]))
    shown = table[[*keys, "arrival_rate", "authors", "arrival_rate_here", "here"]]
    return shown.rename(columns={"arrival_rate": "authors' rate", "arrival_rate_here": "rate here"})


def main_models(views: pd.DataFrame, policies: Sequence[str], most: int = 3) -> str:
    """The models that each policy offered most in the last block of rounds, a line per setting."""
    rows = select(views, view="models")
    rows = rows[rows["place"] == rows["place"].max()]
    lines = []
    for (K, _, lam), here in rows.groupby(["K", "arrival_rate", "lam"]):
        for name in in_order(set(policies) & set(here["policy"])):
            own = here[here["policy"] == name].nlargest(most, "share_mean")
            shares = zip(own["part"], own["share_mean"], strict=True)
            said = ", ".join(f"{model} {100 * share:.0f}%" for model, share in shares)
            lines.append(f"K = {K}, lam = {lam:g}, {name}: {said}")
    return "\n".join(lines)


def retrial_table(views: pd.DataFrame, *, K: int) -> pd.DataFrame:
    """Of all queries that arrived, in percent: departed at the first answer, after five retrials or
    more, and still waiting at the end; a line per policy, three columns per setting.
    """
    rows = select(views, view="retrials", K=K)
    kinds = [rows["part"] == "waiting", rows["place"] == 0, rows["place"] >= MANY_RETRIALS]
    names = np.select(kinds, ["waiting", "at once", f"{MANY_RETRIALS}+"], "")
    return _percentages(rows.assign(kind=names)[names != ""], "kind")


def wait_table(
    views: pd.DataFrame, *, K: int, after: Sequence[int] = (10, 100, 1000)
) -> pd.DataFrame:
    """The share of queries (%) still there so many rounds after they came, a line per policy."""
    return _percentages(select(views, view="waits", place=list(after), K=K), "place")


def _percentages(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """Shares in percent: a line per policy, for each setting a column per value of `column`."""
    keys = ["arrival_rate", "lam", column]
    table = rows.pivot_table("share_mean", "policy", keys, "sum", sort=False)
    table.columns = pd.MultiIndex.from_tuples([(f"lam = {k[1]:g}", k[2]) for k in table])
    return percent(table.reindex(in_order(table.index)))
