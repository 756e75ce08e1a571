"""Summaries of the studies' tables: intervals over seeds, paired differences, and text.

A seed deals the same table again, so an interval over seeds is about other deals of these rows, not
about other rows. Text has rounded numbers, and its words follow from the numbers.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from cqb.stats import differences, half_width, intervals
from cqb.tables import percent, select, spreads

from . import dual
from .registry import BASELINES, OURS, PUBLISHED, REFERENCE, ROUTERS, published
from .router import Port, few_samples_expected
from .scenario import Scenario
from .session import measure, replay

BEST = "PORT-RH+"
PRICED = (*PUBLISHED, *OURS)
CELL = ["experiment", "setting"]
GROUP = ["dataset", "stand_in", *CELL, "policy"]
NO_DIFFERENCE = "no clear difference"
# The results table of arXiv 2509.02718: one unseeded run, without error bars. Perf is a sum over 10,000
# (RouterBench, Leaderboard) or about 13,273 (SPROUT) queries, so only ratios compare with runs of other
# sizes. Predictor-* are its Roberta-*.
PUBLISHED_RESULTS = Path(__file__).with_name("published.csv")


def summarise(rows: pd.DataFrame) -> pd.DataFrame:
    """A row per data set, cell and policy: seeds, and of each measure `_mean`, `_low`, `_high`.

    `_low` and `_high` bound a 95% t-interval for the mean over seeds.

    Parameters
    ----------
    rows : the table of a study; every column that names no row is a measure.
    """
    groups = rows.groupby(GROUP, sort=False)
    count = groups["seed"].nunique()
    measures = [name for name in rows if name not in (*GROUP, "seed", "task")]
    return pd.DataFrame({"seeds": count, **intervals(groups, measures, count)}).reset_index()


def policy_table(summary: pd.DataFrame) -> pd.DataFrame:
    """Mean ± half the interval of Perf / LP optimum: a line per policy, a column per setting."""
    return _by_setting(summary, summary["lpr_mean"], summary["lpr_high"])


def difference_table(rows: pd.DataFrame, against: str) -> pd.DataFrame:
    """Every priced policy minus `against` on the same seeds: mean ± half the interval."""
    table = _priced_differences(rows, against)
    return _by_setting(table, table["lpr_difference"], table["lpr_high"], "+")


def _priced_differences(rows: pd.DataFrame, against: str) -> pd.DataFrame:
    table = differences(rows, against, CELL, ["lpr"])
    return select(table, policy=PRICED)


def _by_setting(
    rows: pd.DataFrame, mean: pd.Series, high: pd.Series, sign: str = ""
) -> pd.DataFrame:
    """Mean ± half, a line per policy in the order of the registry, a column per setting."""
    column = rows["setting"].where(rows["experiment"] == "split", rows["experiment"])
    shown = pd.Series(spreads(mean, high, 3, sign), [rows["policy"], column]).unstack()
    return shown.loc[[name for name in ROUTERS if name in shown.index], column.unique()]


def verdict_table(rows: pd.DataFrame) -> pd.DataFrame:
    """The best of ours minus Approx Optimum and minus every baseline, in shares of the LP optimum.

    Columns: experiment, setting, against, seeds, mean, low, high (95%), verdict.
    """
    table = differences(rows, BEST, CELL, ["lpr"]).rename(columns={"policy": "against"})
    table = select(table, against=[REFERENCE, *BASELINES])
    table = table.sort_values([*CELL, "against"], ignore_index=True)
    mean, low, high = (-table[f"lpr_{end}"] for end in ("difference", "high", "low"))
    verdict = np.select([low > 0, high < 0], ["above", "below"], NO_DIFFERENCE)
    table = table[[*CELL, "against", "seeds"]]
    return table.assign(mean=mean, low=low, high=high, verdict=verdict)


def closest(table: pd.DataFrame) -> pd.DataFrame:
    """Of :func:`verdict_table`, the rows of Approx Optimum and of each setting's best baseline."""
    baselines = table[table["against"] != REFERENCE]
    best = baselines.loc[baselines.groupby(CELL, sort=False)["mean"].idxmin()]
    return pd.concat([table[table["against"] == REFERENCE], best]).sort_index()


def verdicts(table: pd.DataFrame) -> str:
    """In words, from :func:`verdict_table`: in how many settings the policy is above, and where not."""
    lines = []
    reference = table["against"] == REFERENCE
    for what, rows in ((REFERENCE, table[reference]), ("every baseline", table[~reference])):
        everywhere = (rows["verdict"] == "above").groupby([rows[name] for name in CELL]).all()
        lines.append(f"{BEST} is above {what} in {everywhere.sum()} of {len(everywhere)} settings")
        lines += [
            f"  {row.verdict} in {row.experiment} {row.setting}, {row.against}: "
            f"{row.mean:+.3f} ({row.low:+.3f} to {row.high:+.3f})"
            for row in rows[rows["verdict"] != "above"].itertuples()
        ]
    return "\n".join(lines)


def where_port_loses(rows: pd.DataFrame, against: str = "Greedy-Cost") -> str:
    """In words: in how many settings each priced policy is below, or above, a simple rule."""
    table = _priced_differences(rows, against)
    lines = []
    for name in PRICED:
        own = select(table, policy=name)
        below, above = int((own["lpr_high"] < 0).sum()), int((own["lpr_low"] > 0).sum())
        lines.append(
            f"{name}: below {against} in {below} of {len(own)} settings, above in {above}, "
            f"{NO_DIFFERENCE} in {len(own) - below - above}"
        )
    return "\n".join(lines)


def published_ratios(measure: str = "perf") -> pd.DataFrame:
    """A measure over that of Approx Optimum as published: policies by data sets."""
    table = pd.read_csv(PUBLISHED_RESULTS)
    wide = table.pivot(index="policy", columns="dataset", values=measure)[table["dataset"].unique()]
    return wide / wide.loc[REFERENCE]


def published_comparison(
    sources: Mapping[str, pd.DataFrame], measure: str = "perf"
) -> pd.DataFrame:
    """A measure over that of Approx Optimum, in per cent: as published, and from tables of ours.

    The head of a column names the source of its cells; "-" marks what was not run or published.

    Parameters
    ----------
    sources : comparisons by their description. measure : "perf", "cost", "ppc" or "throughput".
    """
    theirs = percent(published_ratios(measure)).add_prefix("published, ")
    columns = theirs.reindex(ROUTERS, fill_value="-")
    for head, rows in sources.items():
        rows = select(rows, experiment="split", setting="weighted")
        wide = rows.pivot(index="seed", columns="policy", values=measure)
        ratio = 100 * wide.div(wide[REFERENCE], axis=0)
        mean, half = ratio.mean(), half_width(ratio.std(), ratio.count())
        columns[head] = pd.Series(spreads(mean, mean + half, 1), mean.index)
    return columns


def modes(here: Scenario, alphas: Sequence[float]) -> str:
    """Perf over the LP optimum on one stream: the true dual, and reference mode by its alpha."""
    bound = dual.lp_value(here.scores, here.costs, here.budgets)
    kinds = {"true dual": {}}
    kinds |= {f"reference, alpha {a:g}": {"alpha": a, "mode": "reference"} for a in alphas}
    lines = []
    for name, settings in kinds.items():
        with few_samples_expected():
            router = Port(here.budgets, here.horizon, random=here.random("first phase"), **settings)
        found = measure(replay(router, here.budgets, published(here), here.scores, here.costs))
        share, declined, lost = found["perf"] / bound, found["declined"], found["lost"]
        lines.append(f"{name:24s} Perf / LP optimum {share:.3f}, declined {declined}, lost {lost}")
    return "\n".join(lines)


def worth(here: Scenario, names: Sequence[str], alpha: float) -> pd.DataFrame:
    """Price times mean cost of every model, in points of score, on true values in either mode."""
    truth = (here.scores, here.costs, here.budgets)
    solved = {
        "PORT": dual.solve(*truth),
        "PORT-ref": dual.solve(*truth, mode="reference", alpha=alpha),
    }
    columns = {name: found.gamma * here.costs.mean(axis=1) for name, found in solved.items()}
    return pd.DataFrame(columns, index=list(names))


def spread_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Perf / LP optimum over many orders, and splits: mean ± half the interval, 5% and 95% quantiles."""
    many = rows[rows["experiment"].str.startswith("100")]
    groups = many.groupby(["experiment", "policy"], sort=False)["lpr"]
    mean, half = groups.mean(), half_width(groups.std(), groups.count())
    quantiles = {f"{q:.0%}": groups.quantile(q).round(3) for q in (0.05, 0.95)}
    return pd.DataFrame({"mean": spreads(mean, mean + half, 3), **quantiles}, mean.index)


def queue_table(summary: pd.DataFrame) -> pd.DataFrame:
    """Mean ± half the interval of every measure of the queue, a line per system."""
    table = summary.set_index("policy")
    measures = [name.removesuffix("_mean") for name in table if name.endswith("_mean")]
    columns = {m: _short(table[f"{m}_mean"], table[f"{m}_high"]) for m in measures}
    return pd.DataFrame(columns, table.index)


def queue_differences(rows: pd.DataFrame, against: str) -> pd.DataFrame:
    """Every system minus `against`, on the same arrivals, outcomes and budgets: mean ± half."""
    measures = ["perf", "cost", "departed", "lost", "wait"]
    table = differences(rows, against, CELL, measures).set_index("policy")
    columns = {m: _short(table[f"{m}_difference"], table[f"{m}_high"], "+") for m in measures}
    return pd.DataFrame(columns, table.index)


def _short(means: pd.Series, highs: pd.Series, sign: str = "") -> list[str]:
    """Means with half their interval, to the second digit of the half that is typical of the column."""
    half = max(float((highs - means).median()), 1e-6)
    return spreads(means, highs, max(0, 1 - math.floor(math.log10(half))), sign)
