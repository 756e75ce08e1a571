"""The tables and sentences of notebook 06, made from the tables of the study."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from cqb.experiment.summary import half_width
from cqb.routing_table import RoutingTable
from . import dual, oracles, published, runs, tables
from .contenders import BASELINES, CONTENDERS, OURS
from .metrics import measure
from .parts import table_name, tasks_of
from .router import FewSamplesWarning, Port, PortSettings
from .session import replay
from .study import SPLITS
from .summary import CELL, QUEUE_METRICS, paired
from .world import World

BEST = "PORT-RH+"
PRICED = ("PORT", "PORT-ref", *OURS)
YARDSTICK = "Approx Optimum"
COMPARED = ["split", "sorted", "order"]
COLUMNS = (*SPLITS, "sorted", "order")


def results_of(
    dataset: str, table: RoutingTable | None, parts: Sequence[str], *, stand_in: bool
) -> dict[str, pd.DataFrame]:
    """The stored tables of some parts of the study on a data set; a line is printed for each.

    `table` holds its rows, or is None where they are not at hand.
    Raises :class:`.tables.StaleTableError` if one is missing, damaged or of other tasks or data.
    """
    return {
        part: tables.stored(
            table_name(part, dataset),
            tables.key(tasks_of(part, stand_in), table, runs.PLAYERS[part][1]),
        )
        for part in parts
    }


def policy_table(summary: pd.DataFrame, measure: str = "lpr") -> str:
    """Mean ± half the interval of a measure, a line per policy and a column per compared setting."""
    rows = summary[summary["experiment"].isin(COMPARED)]
    return _wide(rows, rows[f"{measure}_mean"], rows[f"{measure}_high"], "policy")


def difference_table(tidy: pd.DataFrame, against: str, measure: str = "lpr") -> str:
    """Every priced policy less `against` on the same seeds: mean ± half the interval."""
    rows = paired(tidy[tidy["experiment"].isin(COMPARED)], against, measure)
    rows = rows[rows["against"].isin(PRICED)]
    return _wide(rows, -rows["mean"], -rows["low"], "against", signed=True)


def told_apart(tidy: pd.DataFrame, policy: str = BEST) -> pd.DataFrame:
    """`policy` less Approx Optimum and less every baseline, in shares of the LP optimum.

    Columns: experiment, setting, against, seeds, mean, low, high, verdict.
    """
    table = paired(tidy, policy)
    table = table[table["against"].isin([YARDSTICK, *BASELINES])].reset_index(drop=True)
    above, below = table["low"] > 0, table["high"] < 0
    table["verdict"] = np.select([above, below], ["above", "below"], "not told apart")
    return table


def closest(apart: pd.DataFrame) -> pd.DataFrame:
    """Of :func:`told_apart`, the row of Approx Optimum and that of the best baseline per setting."""
    baselines = apart[apart["against"] != YARDSTICK]
    best = baselines.loc[baselines.groupby(CELL, sort=False)["mean"].idxmin()]
    return pd.concat([apart[apart["against"] == YARDSTICK], best]).sort_index()


def verdicts(apart: pd.DataFrame) -> str:
    """In words, from :func:`told_apart`: against whom the policy is above, and where not."""
    lines = []
    yardstick = apart["against"] == YARDSTICK
    for what, rows in ((YARDSTICK, apart[yardstick]), ("every baseline", apart[~yardstick])):
        everywhere = (rows["verdict"] == "above").groupby([rows[name] for name in CELL]).all()
        lines.append(f"{BEST} is above {what} in {everywhere.sum()} of {len(everywhere)} settings")
        for row in rows[rows["verdict"] != "above"].itertuples():
            place = f"{row.experiment} {row.setting}, {row.against}"
            lines.append(
                f"  {row.verdict} in {place}: {row.mean:+.3f} ({row.low:+.3f} to {row.high:+.3f})"
            )
    return "\n".join(lines)


def where_port_loses(tidy: pd.DataFrame, against: str = "Greedy-Cost") -> str:
    """In words: in how many settings each priced policy is below, or above, a simple rule."""
    table = paired(tidy[tidy["experiment"].isin(COMPARED)], against)
    lines = []
    for name in PRICED:
        rows = table[table["against"] == name]
        below, above = int((rows["low"] > 0).sum()), int((rows["high"] < 0).sum())
        lines.append(
            f"{name}: below {against} in {below} of {len(rows)} settings, above in {above}, not told "
            f"apart in {len(rows) - below - above}"
        )
    return "\n".join(lines)


def beside_published(sources: Mapping[str, pd.DataFrame], measure: str = "perf") -> str:
    """A measure over that of Approx Optimum, in per cent: as published, and from tables of ours.

    The head of a column says what each of its cells is; "-" marks what was not run or published.

    Parameters
    ----------
    sources : tidy comparisons by what they are of. measure : "perf", "cost", "ppc" or "throughput".
    """
    columns = {}
    for dataset in published.DATASETS:
        ratios = {name: published.relative(name, dataset, measure) for name in CONTENDERS}
        columns[f"published, {dataset}"] = {n: _percent(ratio) for n, ratio in ratios.items()}
    for head, tidy in sources.items():
        rows = tidy[(tidy["experiment"] == "split") & (tidy["setting"] == "weighted")]
        wide = rows.pivot(index="seed", columns="policy", values=measure)
        ratio = wide.div(wide[YARDSTICK], axis=0)
        mean, half = ratio.mean(), half_width(ratio.std(), ratio.count())
        columns[head] = {name: _percent(mean[name], half[name]) for name in CONTENDERS}
    return pd.DataFrame(columns).to_string()


def modes(here: World, alphas: Sequence[float]) -> str:
    """Perf over the LP optimum on one stream: the true dual, and reference mode by its alpha."""
    bound = oracles.lp_value(here.scores, here.costs, here.budgets)
    estimates = here.arriving(here.deal.nearest(here.task.k))
    lines = []
    for settings in (PortSettings(), *(PortSettings(alpha=a, mode="reference") for a in alphas)):
        with warnings.catch_warnings():
            # A short stream leaves few queries to fit the prices on: that is part of the result.
            warnings.simplefilter("ignore", FewSamplesWarning)
            router = Port(here.budgets, here.horizon, settings, random=here.random("first phase"))
        found = measure(replay(router, here.budgets, estimates, here.scores, here.costs))
        name = "true dual" if settings.mode == "dual" else f"reference, alpha {settings.alpha:g}"
        told = f"declined {found.declined}, lost {found.lost}"
        lines.append(f"{name:24s} Perf / LP optimum {found.perf / bound:.3f}, {told}")
    return "\n".join(lines)


def worth(here: World, names: Sequence[str], alpha: float) -> pd.DataFrame:
    """Price times mean cost of every model, in points of score, on true values in either mode."""
    columns = {}
    for name, mode in (("PORT", "dual"), ("PORT-ref", "reference")):
        prices = dual.solve(here.scores, here.costs, here.budgets, mode=mode, alpha=alpha)
        columns[name] = prices.gamma * here.costs.mean(axis=1)
    return pd.DataFrame(columns, index=list(names))


def spread_table(tidy: pd.DataFrame, measure: str = "lpr") -> str:
    """Over many orders, and many splits: mean ± half the interval, and the 5% and 95% quantiles."""
    groups = tidy[tidy["experiment"].str.startswith("100")].groupby(
        ["experiment", "policy"], sort=False
    )[measure]
    mean, half = groups.mean(), half_width(groups.std(), groups.count())
    table = pd.DataFrame(
        {
            "mean": [f"{m:.3f} ± {h:.3f}" for m, h in zip(mean, half, strict=True)],
            "5%": groups.quantile(0.05).round(3),
            "95%": groups.quantile(0.95).round(3),
        },
        index=mean.index,
    )
    return table.to_string()


def queue_table(summary: pd.DataFrame) -> str:
    """Mean ± half the interval of every measure of the queue, a line per system."""
    table = summary.set_index("policy")
    texts = {
        measure: [
            f"{m:.4g} ± {h - m:.2g}"
            for m, h in zip(table[f"{measure}_mean"], table[f"{measure}_high"], strict=True)
        ]
        for measure in QUEUE_METRICS
    }
    return pd.DataFrame(texts, index=table.index).to_string()


def queue_differences(tidy: pd.DataFrame, against: str) -> str:
    """Every system less `against`, on the same arrivals, outcomes and budgets: mean ± half."""
    columns = {}
    for name in ("perf", "cost", "departed", "lost", "wait"):
        rows = paired(tidy, against, name).set_index("against")
        half = rows["high"] - rows["mean"]
        texts = [f"{-m:+.4g} ± {h:.2g}" for m, h in zip(rows["mean"], half, strict=True)]
        columns[name] = pd.Series(texts, rows.index)
    order = [name for name in dict.fromkeys(tidy["policy"]) if name != against]
    return pd.DataFrame(columns).rename_axis(None).loc[order].to_string()


def _wide(
    rows: pd.DataFrame, mean: pd.Series, high: pd.Series, lines: str, *, signed: bool = False
) -> str:
    """Mean ± half, a line per policy in the order of the contenders, a column per setting."""
    sign = "+" if signed else ""
    column = np.where(rows["experiment"] == "split", rows["setting"], rows["experiment"])
    text = [f"{m:{sign}.3f}±{h - m:.3f}" for m, h in zip(mean, high, strict=True)]
    table = rows.assign(column=column, text=text).pivot(
        index=lines, columns="column", values="text"
    )
    order = [name for name in CONTENDERS if name in table.index]
    return (
        table.loc[order, [name for name in COLUMNS if name in table]].rename_axis(None).to_string()
    )


def _percent(value: float | None, half: float | None = None) -> str:
    if value is None:
        return "-"
    return f"{100 * value:.1f}" + ("" if half is None else f" ± {100 * half:.1f}")
