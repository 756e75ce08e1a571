"""The studies' tables as rounded text, for notebooks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ...figures.style import in_order
from ...metrics import LONG_WAIT
from ...stats import final, half_width, interval, paired
from ...tables import spread, text
from .comparison import CELL, by_cell, judge
from .scenarios import ACQB_LINEAR
from .tuning import LINEAR, PLACE, chosen


def spreads_over_seeds(groups: pd.api.typing.SeriesGroupBy, digits: int = 0) -> pd.Series:
    """ "628 ± 59": the mean of each group and half its 95% interval; the mean alone of single values."""
    mean, half = groups.mean(), half_width(groups.std(), groups.count())
    shown = [spread(m, h, digits).removesuffix(" ± nan") for m, h in zip(mean, half, strict=True)]
    return pd.Series(shown, index=mean.index)


def seed_counts(tidy: pd.DataFrame) -> str:
    """How many seeds each policy has in all cells, by K."""
    lines = []
    for K, rows in final(tidy).groupby("K"):
        counts = rows.groupby([*CELL, "policy"])["seed"].nunique().unstack("policy", fill_value=0)
        low, high = counts.min().astype(str), counts.max().astype(str)
        said = low.where(low == high, low + " to " + high)
        parts = [f"{policy} {said[policy]}" for policy in in_order(rows["policy"])]
        lines.append(f"K = {K}, {len(counts)} cells; seeds: {', '.join(parts)}")
    return "\n".join(lines)


def regrets(tidy: pd.DataFrame, K: int) -> str:
    """Final means ± half of the 95% interval, a line per policy and a column per cell."""
    last = final(tidy)
    last = last[last["K"] == K]
    shown = spreads_over_seeds(last.groupby(["policy", "lam", "arrival_rate"])["regret"])
    table = shown.unstack(["lam", "arrival_rate"]).sort_index(axis=1)
    table.columns = [f"lam {lam:g}, {rate:g}" for lam, rate in table.columns]
    return text(table.reindex(in_order(last["policy"])).fillna("-"))


def versions(tidy: pd.DataFrame, against: Sequence[str]) -> str:
    """Final regret and its paired difference to each of `against`: a line per policy, by data set."""
    columns = {}
    for name, rows in tidy.groupby("dataset", sort=False):
        columns[name, "regret"] = spreads_over_seeds(final(rows).groupby("policy")["regret"])
        for base in against:
            gap = paired(rows, base).set_index("policy")
            ends = zip(gap["regret_difference"], gap["regret_high"], strict=True)
            shown = [spread(mean, high - mean, sign="+") for mean, high in ends]
            columns[name, f"less {base}"] = pd.Series(shown, gap.index)
    return text(pd.DataFrame(columns).reindex(in_order(tidy["policy"])).fillna("-"))


def memory(differences: pd.DataFrame) -> str:
    """Per version of the retries, whom a memory of failures helps and whom it harms.

    `differences` are those of :func:`cqb.studies.pass_rates.effect_of_memory`. It helps or harms where
    the 95% interval leaves out 0.
    """
    lines = []
    for name, rows in differences.groupby("dataset", sort=False):
        helps, harms = rows["regret_high"] < 0, rows["regret_low"] > 0
        groups = {"lower regret": helps, "higher": harms, "no clear difference": ~(helps | harms)}
        said = [
            f"{word}: {', '.join(rows['policy'][is_so]) or 'none'}"
            for word, is_so in groups.items()
        ]
        lines.append(f"{name}, round {rows['t'].iloc[0]}: {'; '.join(said)}")
    return "\n".join(lines)


def targets(tidy: pd.DataFrame, policies: Sequence[str]) -> str:
    """Each target: the share with its interval, the share wanted, and the verdict."""
    return "\n".join(
        f"{policy} / {row.against}: {100 * row.ratio:.0f}% ({100 * row.low:.0f} to "
        f"{100 * row.high:.0f}), target {100 * row.target:.0f}%: {row.verdict} "
        f"({row.cells} cells, {row.seeds} seeds)"
        for policy in policies
        for row in judge(tidy, policy).itertuples()
    )


def cells(tidy: pd.DataFrame, policy: str, against: str) -> str:
    """In how many cells a policy's regret differs from another's, by intervals and by Holm's rule."""
    table = by_cell(tidy, policy, against)
    lower = table["difference"] < 0
    return (
        f"{policy} less {against}: lower in {lower.sum()} of {len(table)} cells, with a 95% interval "
        f"below 0 in {(table['high'] < 0).sum()} (above 0 in {(table['low'] > 0).sum()}); by Holm's "
        f"rule over the cells, lower in {(table['significant'] & lower).sum()}"
    )


def queues(tidy: pd.DataFrame, policy: str, against: str) -> str:
    """Mean queue of a policy less another's, paired, over the cells and seeds that both have."""
    wide = final(tidy).pivot_table(index=[*CELL, "seed"], columns="policy", values="queue_mean")
    both = wide[[policy, against]].dropna()
    found = interval((both[policy] - both[against]).groupby("seed").mean())
    return (
        f"mean queue: {policy} {both[policy].mean():.2f}, {against} {both[against].mean():.2f}; "
        f"difference {spread(found.mean, found.half, 2, '+')}"
    )


def repeats(tidy: pd.DataFrame, policies: Sequence[str]) -> str:
    """Of a retrying query's serves, how many offer a model that had failed it: % by policy and K.

    Means over the cells, ± half of the 95% interval over seeds.
    """
    by_seed = 100 * final(tidy).groupby(["policy", "K", "seed"])["repeat_share"].mean()
    table = spreads_over_seeds(by_seed.groupby(["policy", "K"])).unstack("K")
    table = table.reindex([policy for policy in policies if policy in table.index])
    return text(table.rename(columns=lambda K: f"K = {K}").fillna("-"))


def laws(scores: pd.DataFrame) -> str:
    """Mean predictive score (nats a round) of every law, by log and kind of round."""
    groups = scores.groupby(["law", "log", "kind"], sort=False)["score"]
    wanted = [(log, kind) for log in scores["log"].unique() for kind in ("all", "same model")]
    table = groups.mean().unstack(["log", "kind"])[wanted].map("{:.3f}".format)
    table.index.name = None
    return table.to_string()


def mixture(scores: pd.DataFrame, learned: str) -> str:
    """The cost of learning the weights against the best law known beforehand, in nats over a log."""
    whole = scores[scores["kind"] == "all"]
    totals = whole.assign(total=whole["rounds"] * whole["score"]).pivot_table(
        index=["log", "lam", "seed"], columns="law", values="total", aggfunc="sum"
    )
    lag = totals.drop(columns=learned).max(axis=1) - totals[learned]
    return f"behind the best single law by {lag.min():.1f} to {lag.max():.1f} nats over {len(lag)} logs"


def worlds(table: pd.DataFrame, policies: Sequence[str], against: str | None = None) -> str:
    """Final regret by scenario, and paired differences of some policies to one, by default tuned ACQB.

    Of the two tuned ACQBs that is the one of lower mean in the scenario.
    """
    lines = []
    for name, rows in table.groupby("world", sort=False):
        wide = final(rows).pivot(index="seed", columns="policy", values="regret")
        tuned = [policy for policy in ("ACQB-tuned", ACQB_LINEAR) if policy in wide]
        base = against or wide[tuned].mean().idxmin()
        found = {policy: interval(wide[policy] - wide[base]) for policy in policies}
        parts = [f"{policy} {spread(d.mean, d.half, 0, '+')}" for policy, d in found.items()]
        head = f"{name} ({len(wide)} seeds): {base} {wide[base].mean():.0f}"
        lines.append(f"{head}; {', '.join(parts)}")
    return "\n".join(lines)


def beliefs(table: pd.DataFrame, policy: str) -> str:
    """Final beliefs of a policy by scenario, means over seeds."""
    last = table[table["t"] == table.groupby("world")["t"].transform("max")]
    rows = last[last["policy"] == policy].groupby("world", sort=False)
    columns = ["fresh", "half", "all", "prompt", "agreement"]
    return text(rows[columns].mean().map("{:.2f}".format))


def spreads(table: pd.DataFrame) -> str:
    """Nats by which each spread's evidence lies behind the best, and how often each is the best."""
    wide = table.pivot(index=["world", "seed"], columns="spread", values="evidence")
    behind = wide.rsub(wide.max(axis=1), axis=0).groupby("world", sort=False).mean()
    best = wide.idxmax(axis=1).groupby("world", sort=False)
    shown = behind.reindex(table["world"].unique()).map("{:.0f}".format)
    shown = shown.rename(columns="{:g}".format)
    shown["best"] = best.agg(
        lambda s: ", ".join(f"{v:g} ({n})" for v, n in s.value_counts().items())
    )
    shown.index.name = None
    return shown.to_string()


def stability(table: pd.DataFrame) -> str:
    """The largest rate each policy sustains ± half of the interval, and the closed form."""
    rates = spreads_over_seeds(table.groupby("policy")["rate"], 2)
    closed = table.groupby("policy")["closed"].mean()
    return "\n".join(
        f"{policy:14} {rates[policy]}"
        + (f"   closed form {closed[policy]:.2f}" if np.isfinite(closed[policy]) else "")
        for policy in in_order(rates.index)
    )


def long_waits(waits: pd.DataFrame) -> str:
    """Queries that wait longer than 100 rounds (Kaplan-Meier, %), by K and lam: means over rates and
    seeds, and the share that still waits when the run ends."""
    groups = waits[waits["wait"] == LONG_WAIT].groupby(["policy", "K", "lam"])
    mean = 100 * groups[["longer", "censored"]].mean()
    shown = [f"{longer:.1f} ({still:.1f})" for longer, still in mean.to_numpy()]
    table = pd.Series(shown, index=mean.index).unstack(["K", "lam"]).sort_index(axis=1)
    table.columns = [f"K = {K}, lam {lam:g}" for K, lam in table.columns]
    return text(table.reindex(in_order(table.index)).fillna("-"))


def choices(scores: pd.DataFrame) -> str:
    """The settings chosen, for recorded and linear places and for all of them."""
    linear = scores["world"] == LINEAR
    parts = {"recorded": scores[~linear], "linear": scores[linear], "all": scores}
    found = {where: chosen(part) for where, part in parts.items()}
    counts = scores.groupby("policy", sort=False)["setting"].nunique()
    lines = [
        f"{policy} ({count} settings): "
        + "; ".join(f"{where}: {setting[policy]}" for where, setting in found.items())
        for policy, count in counts.items()
    ]
    places = len(scores[PLACE].drop_duplicates())
    return "\n".join([f"{places} places, {scores['seed'].nunique()} seed(s)", *lines])


def hidden(table: pd.DataFrame, predicted: dict[str, float]) -> str:
    """Serves per query of learners, and those of the rules."""
    serves = spreads_over_seeds(table.groupby("policy")["serves"], 2)
    rules = ", ".join(f"{name} {value:.2f}" for name, value in predicted.items())
    learners = ", ".join(f"{policy} {serves[policy]}" for policy in in_order(serves.index))
    return f"recursions: {rules}\nsimulated:  {learners}"
