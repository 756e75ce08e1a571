"""The tables and sentences of notebook 06, made from the tables of the study."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from . import dual, oracles, published
from .contenders import BASELINES, CONTENDERS, OURS
from .metrics import measure
from .router import FewSamplesWarning, Port, PortSettings
from .session import replay
from .summary import QUEUE_METRICS, paired
from .world import World

BEST = "PORT-RH+"
YARDSTICK = "Approx Optimum"


def real_summary(path: Path) -> pd.DataFrame | None:
    """The committed summary of the last run on real rows; None if there is none.

    Raises ValueError if the file holds rows of generated data.
    """
    if not path.exists():
        return None
    rows = pd.read_csv(path)
    if rows["stand_in"].any():
        raise ValueError(f"{path.name}: found rows of generated data, expected real rows only")
    return rows


def policy_table(summary: pd.DataFrame, measure: str = "lpr") -> str:
    """Mean ± half the interval of a measure, a line per policy and a column per compared setting."""
    rows = summary[summary["experiment"].isin(["split", "sorted", "order"])].copy()
    rows["column"] = np.where(rows["experiment"] == "split", rows["setting"], rows["experiment"])
    half = rows[f"{measure}_high"] - rows[f"{measure}_mean"]
    rows["text"] = [f"{m:.3f}±{h:.3f}" for m, h in zip(rows[f"{measure}_mean"], half, strict=True)]
    wide = rows.pivot(index="policy", columns="column", values="text")
    columns = list(dict.fromkeys(rows["column"]))
    return wide.loc[[p for p in CONTENDERS if p in wide.index], columns].to_string()


def told_apart(tidy: pd.DataFrame, policy: str = BEST) -> pd.DataFrame:
    """`policy` less Approx Optimum and less every setting's best baseline, in shares of the LP optimum.

    Columns: experiment, setting, against, mean, low, high, verdict.
    """
    differences = paired(tidy, policy)
    means = tidy.groupby(["experiment", "setting", "policy"], sort=False)["lpr"].mean()
    lines = []
    for (experiment, setting), rows in differences.groupby(["experiment", "setting"], sort=False):
        best = max(BASELINES, key=lambda name: means[experiment, setting, name])
        for against in (YARDSTICK, best):
            row = rows[rows["against"] == against].iloc[0]
            lines.append({**row[["experiment", "setting", "against", "mean", "low", "high"]]})
    table = pd.DataFrame(lines)
    above, below = table["low"] > 0, table["high"] < 0
    table["verdict"] = np.select([above, below], ["above", "below"], "not told apart")
    return table


def beside_published(stand_in: pd.DataFrame, real: pd.DataFrame | None) -> str:
    """Perf over that of Approx Optimum, in per cent: published, real rows, stand-in.

    The column's head says what each of its cells is; "-" marks what was not run or published.
    """
    columns: dict[str, dict[str, str]] = {"published: RouterBench, N = 10,000": {}}
    for policy in CONTENDERS:
        value = published.relative(policy)
        columns["published: RouterBench, N = 10,000"][policy] = _percent(value)
    for head, summary in (
        ("real rows: RouterBench slice", real),
        ("stand-in, generated", stand_in),
    ):
        columns[head] = dict.fromkeys(CONTENDERS, "-")
        if summary is not None:
            rows = summary[(summary["experiment"] == "split") & (summary["setting"] == "weighted")]
            for row in rows.itertuples():
                columns[head][row.policy] = _percent(row.rp_mean, row.rp_high - row.rp_mean)
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


def verdicts(table: pd.DataFrame) -> str:
    """In words, from :func:`told_apart`: against whom the best of ours is above, and where not."""
    lines = []
    for what, rows in (
        (YARDSTICK, table[table["against"] == YARDSTICK]),
        ("the best baseline", table[table["against"] != YARDSTICK]),
    ):
        count = (rows["verdict"] == "above").sum()
        lines.append(f"{BEST} is above {what} in {count} of {len(rows)} settings")
        for row in rows[rows["verdict"] != "above"].itertuples():
            place = f"{row.experiment} {row.setting}, {row.against}"
            lines.append(
                f"  {row.verdict} in {place}: {row.mean:+.3f} ({row.low:+.3f} to {row.high:+.3f})"
            )
    return "\n".join(lines)


def where_port_loses(summary: pd.DataFrame) -> str:
    """In words: in how many settings the published router stays below the best baseline's mean."""
    rows = summary[summary["experiment"].isin(["split", "sorted"])]
    wide = rows.pivot(index=["experiment", "setting"], columns="policy", values="lpr_mean")
    best = wide[[p for p in BASELINES if p in wide]].max(axis=1)
    lines = []
    for name in ("PORT", "PORT-ref", *OURS):
        if name in wide:
            below = int((wide[name] < best).sum())
            lines.append(f"{name}: below the best baseline in {below} of {len(wide)} settings")
    return "\n".join(lines)


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


def _percent(value: float | None, half: float | None = None) -> str:
    if value is None:
        return "-"
    return f"{100 * value:.1f}" + ("" if half is None else f" ± {100 * half:.1f}")
