"""What the tables say, in rounded text: sentences follow from the numbers."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..experiment.findings import last_round
from ..experiment.metrics import LONG_WAIT
from ..experiment.summary import half_width
from ..figures.style import in_order
from .claims import CELL, by_cell, judge
from .tuning import LINEAR, Place, chosen
from .world_study import ACQB_LINEAR


def done(tidy: pd.DataFrame) -> str:
    """How many seeds each policy has, by K: a comparison may be incomplete, and then says so."""
    last = last_round(tidy)
    lines = []
    for K, rows in last.groupby("K"):
        seeds = rows.groupby(["policy", *CELL])["seed"].nunique().groupby("policy")
        cells = rows[CELL].drop_duplicates().shape[0]
        parts = [
            f"{policy} {_span(counts.min() if len(counts) == cells else 0, counts.max())}"
            for policy, counts in (
                (name, seeds.get_group(name)) for name in in_order(rows["policy"])
            )
        ]
        lines.append(f"K = {K}, {cells} cells; seeds: {', '.join(parts)}")
    return "\n".join(lines)


def _span(low: int, high: int) -> str:
    return f"{high}" if low == high else f"{low} to {high}"


def regrets(tidy: pd.DataFrame, K: int, value: str = "regret") -> str:
    """Final means ± half of the 95% interval, a line per policy and a column per cell."""
    last = last_round(tidy)
    last = last[last["K"] == K]
    groups = last.groupby(["policy", "lam", "arrival_rate"])[value]
    mean, half = groups.mean(), half_width(groups.std(), groups.count())
    digits = 0 if value == "regret" else 1
    shown = mean.map(f"{{:.{digits}f}}".format) + " ± " + half.map(f"{{:.{digits}f}}".format)
    table = shown.str.replace(" ± nan", "").unstack(["lam", "arrival_rate"]).sort_index(axis=1)
    table = table.reindex(in_order(last["policy"])).fillna("-")
    table.columns = [f"lam {lam:g}, {rate:g}" for lam, rate in table.columns]
    table.index.name = None
    return table.to_string()


def targets(tidy: pd.DataFrame, policies: tuple[str, ...]) -> str:
    """Each target: the share with its interval, what was wanted, and the verdict."""
    lines = []
    for policy in policies:
        for row in judge(tidy, policy).itertuples():
            lines.append(
                f"{policy} / {row.against}: {100 * row.ratio:.0f}% ({100 * row.low:.0f} to "
                f"{100 * row.high:.0f}), target {100 * row.target:.0f}%: {row.verdict} "
                f"({row.cells} cells, {row.seeds} seeds)"
            )
    return "\n".join(lines)


def cells(tidy: pd.DataFrame, policy: str, against: str) -> str:
    """In how many cells a policy's regret is told apart from another's, by intervals and by Holm."""
    table = by_cell(tidy, policy, against)
    below = int((table["high"] < 0).sum())
    holm = int((table["told_apart"] & (table["difference"] < 0)).sum())
    above = int((table["low"] > 0).sum())
    return (
        f"{policy} less {against}: lower in {int((table['difference'] < 0).sum())} of {len(table)} "
        f"cells, with a 95% interval below 0 in {below} (above 0 in {above}); by Holm's rule over the "
        f"cells, lower in {holm}"
    )


def queues(tidy: pd.DataFrame, policy: str, against: str) -> str:
    """Mean queue of a policy less another's, paired, over the cells and seeds that both have."""
    last = last_round(tidy)
    wide = last.pivot_table(index=[*CELL, "seed"], columns="policy", values="queue_mean")
    both = wide[[policy, against]].dropna()
    difference = (both[policy] - both[against]).groupby("seed").mean()
    half = half_width(pd.Series([difference.std()]), pd.Series([len(difference)]))[0]
    return (
        f"mean queue: {policy} {both[policy].mean():.2f}, {against} {both[against].mean():.2f}; "
        f"difference {difference.mean():+.2f} ± {half:.2f}"
    )


def repeats(tidy: pd.DataFrame, policies: tuple[str, ...]) -> str:
    """Of a retrying query's serves, how many offer a model that had failed it: % by policy and K.

    Means over the cells, ± half of the 95% interval over seeds.
    """
    last = last_round(tidy)
    by_seed = last.groupby(["policy", "K", "seed"])["repeat_share"].mean()
    groups = by_seed.groupby(["policy", "K"])
    mean, half = 100 * groups.mean(), 100 * half_width(groups.std(), groups.count())
    shown = mean.map("{:.0f}".format) + " ± " + half.map("{:.0f}".format)
    table = shown.unstack("K").reindex([p for p in policies if p in set(last["policy"])])
    table.columns = [f"K = {K}" for K in table.columns]
    table.index.name = None
    return table.fillna("-").to_string()


def laws(scores: pd.DataFrame) -> str:
    """Mean predictive score (nats a round) of every law, by log and kind of round."""
    mean = (
        scores.groupby(["law", "log", "kind"], sort=False)["score"].mean().unstack(["log", "kind"])
    )
    wanted = [(log, kind) for log in scores["log"].unique() for kind in ("all", "same model")]
    table = mean.reindex(scores["law"].unique())[wanted].map("{:.3f}".format)
    table.index.name = None
    return table.to_string()


def mixture(scores: pd.DataFrame, learned: str) -> str:
    """What learning the weights costs beside the best law known beforehand, in nats over a whole log."""
    whole = scores[scores["kind"] == "all"]
    total = (whole["rounds"] * whole["score"]).groupby(
        [whole["log"], whole["lam"], whole["seed"], whole["law"]]
    )
    table = total.sum().unstack("law")
    lag = table.drop(columns=learned).max(axis=1) - table[learned]
    return f"behind the best single law by {lag.min():.1f} to {lag.max():.1f} nats over {len(lag)} logs"


def worlds(table: pd.DataFrame, policies: tuple[str, ...], against: str | None = None) -> str:
    """Final regret by world, and paired differences of some policies to one, by default tuned ACQB.

    Of the two tuned ACQBs that is the one of lower mean in the world.
    """
    last = table[table["t"] == table.groupby("world")["t"].transform("max")]
    lines = []
    for world, rows in last.groupby("world", sort=False):
        wide = rows.pivot(index="seed", columns="policy", values="regret")
        tuned = [name for name in ("ACQB-tuned", ACQB_LINEAR) if name in wide]
        base = against or wide[tuned].mean().idxmin()
        parts = []
        for policy in policies:
            difference = wide[policy] - wide[base]
            half = half_width(pd.Series([difference.std()]), pd.Series([len(difference)]))[0]
            parts.append(f"{policy} {difference.mean():+.0f} ± {half:.0f}")
        lines.append(
            f"{world} ({len(wide)} seeds): {base} {wide[base].mean():.0f}; {', '.join(parts)}"
        )
    return "\n".join(lines)


def beliefs(table: pd.DataFrame, policy: str) -> str:
    """Final beliefs of a policy by world, means over seeds."""
    last = table[table["t"] == table.groupby("world")["t"].transform("max")]
    rows = last[last["policy"] == policy].groupby("world", sort=False)
    columns = ["fresh", "half", "all", "prompt", "agreement"]
    return rows[columns].mean().map("{:.2f}".format).rename_axis(None).to_string()


def spreads(table: pd.DataFrame) -> str:
    """Nats by which each spread's evidence lies behind the best, and how often each is the best."""
    wide = table.pivot(index=["world", "seed"], columns="spread", values="evidence")
    behind = wide.rsub(wide.max(axis=1), axis=0).groupby("world", sort=False).mean()
    best = wide.idxmax(axis=1).groupby("world", sort=False)
    shown = behind.reindex(table["world"].unique()).map("{:.0f}".format)
    shown["best"] = best.agg(
        lambda s: ", ".join(f"{v:g} ({n})" for v, n in s.value_counts().items())
    )
    shown.index.name = None
    return shown.rename(columns=lambda c: f"{c:g}" if isinstance(c, float) else c).to_string()


def stability(table: pd.DataFrame) -> str:
    """The largest rate each policy sustains ± half of the interval, and the closed form."""
    groups = table.groupby("policy")
    mean = groups["rate"].mean()
    half = half_width(groups["rate"].std(), groups["rate"].count())
    closed = groups["closed"].first()
    return "\n".join(
        f"{name:14} {mean[name]:.2f} ± {half[name]:.2f}"
        + (f"   closed form {closed[name]:.2f}" if np.isfinite(closed[name]) else "")
        for name in in_order(list(mean.index))
    )


def long_waits(waits: pd.DataFrame) -> str:
    """Queries that wait longer than 100 rounds (Kaplan-Meier, %), by K and lam: means over rates and
    seeds, and the share that wait still when the run ends."""
    rows = waits[waits["wait"] == LONG_WAIT]
    groups = rows.groupby(["policy", "K", "lam"])
    shown = (100 * groups["longer"].mean()).map("{:.1f}".format)
    still = (100 * groups["censored"].mean()).map("{:.1f}".format)
    table = (shown + " (" + still + ")").unstack(["K", "lam"]).sort_index(axis=1)
    table.columns = [f"K = {K}, lam {lam:g}" for K, lam in table.columns]
    table = table.reindex(in_order(list(table.index))).fillna("-")
    table.index.name = None
    return table.to_string()


def choices(scores: pd.DataFrame) -> str:
    """The settings chosen, for recorded and linear places and for all of them."""
    linear = scores["world"] == LINEAR
    found = {
        "recorded": chosen(scores[~linear]),
        "linear": chosen(scores[linear]),
        "all": chosen(scores),
    }
    counts = scores.groupby("policy", sort=False)["setting"].nunique()
    seeds = scores["seed"].nunique()
    places = len(scores[list(Place._fields)].drop_duplicates())
    head = f"{places} places, {seeds} seed(s)"
    lines = [
        f"{policy} ({count} settings): "
        + "; ".join(f"{where}: {setting[policy]}" for where, setting in found.items())
        for policy, count in counts.items()
    ]
    return "\n".join([head, *lines])


def hidden(table: pd.DataFrame, predicted: dict[str, float]) -> str:
    """Serves per query of learners beside those of the rules."""
    groups = table.groupby("policy")["serves"]
    mean, half = groups.mean(), half_width(groups.std(), groups.count())
    rules = ", ".join(f"{name} {value:.2f}" for name, value in predicted.items())
    learners = ", ".join(f"{n} {mean[n]:.2f} ± {half[n]:.2f}" for n in in_order(list(mean.index)))
    return f"recursions: {rules}\nsimulated:  {learners}"
