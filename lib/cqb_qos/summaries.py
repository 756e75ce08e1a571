"""Summaries of the stored rows: means with intervals, paired differences, tables as text.

`rows` are those of :mod:`.studies`; everything here is about their test part.
"""

from collections.abc import Mapping, Sequence

import pandas as pd

from cqb.stats import differences, half_width, intervals
from cqb.tables import select, spreads

from .episodes import DROPPED
from .policies import POLICIES
from .trained_models import MAIN, MODELS
from .workloads import RECORDED, Load

WORST = "DDQN (worst of 3)"  # the main policy of the lowest QoS, in comparisons with the rules
CELL = ["system", "kind", "rate"]
SYSTEM = "default"


def load_names(rows: pd.DataFrame) -> pd.Series:
    """The load of each row in words, such as "Poisson 3"."""
    return rows["kind"] + " " + rows["rate"].map("{:g}".format)


def summarise(rows: pd.DataFrame) -> pd.DataFrame:
    """Means over the seeds, a row per policy and setting (system, kind of arrivals, rate).

    Columns: `workload` ("synthetic" or "recorded"), the setting, `policy`, `price`, `requests`, `seeds`,
    and for each metric of :func:`.episodes.measure` `_mean`, `_low` and `_high`, the 95% t-interval for
    the mean (NaN for one seed). `decision_ms` (the median time of one decision in one environment) has a
    mean only.
    """
    groups = select(rows, part="test").groupby([*CELL, "policy", "price", "requests"], sort=False)
    seeds, metrics = groups["seed"].nunique(), list(rows.loc[:, "qos":"decision_ms"])
    table = pd.DataFrame({"seeds": seeds, **intervals(groups, metrics, seeds)}).reset_index()
    table = table.drop(columns=["decision_ms_low", "decision_ms_high"])
    recorded = table["kind"] == RECORDED
    table.insert(0, "workload", recorded.map({True: "recorded", False: "synthetic"}))
    return table


def paired(rows: pd.DataFrame, against: str) -> pd.DataFrame:
    """Differences in average QoS to one policy on the same workloads, by setting and other policy.

    Returns
    -------
    The setting, `policy`, `seeds`, `difference` (the policy less `against`, mean over seeds), `low` and
    `high` (its 95% t-interval).

    Raises
    ------
    ValueError
        A workload has no row of `against`.
    """
    table = differences(select(rows, part="test"), against, CELL, ["qos"])
    return table.rename(columns=lambda name: name.removeprefix("qos_"))


def qos_table(rows: pd.DataFrame, loads: Sequence[Load]) -> pd.DataFrame:
    """Average QoS with half of its 95% interval as text, policies by loads."""
    table = select(summarise(rows), system=SYSTEM)
    return _by_load(table, spreads(table["qos_mean"], table["qos_high"], 3), loads)


def difference_table(rows: pd.DataFrame, against: str, loads: Sequence[Load]) -> pd.DataFrame:
    """:func:`paired` at the default system as text, policies by loads."""
    table = select(paired(rows, against), system=SYSTEM)
    return _by_load(table, spreads(table["difference"], table["high"], 3, "+"), loads)


def metric_table(rows: pd.DataFrame, load: Load, metrics: Mapping[str, str]) -> pd.DataFrame:
    """Means of metrics (by name, with the heading to print) at one load, a row per policy."""
    table = select(summarise(rows), system=SYSTEM, kind=load.kind, rate=load.rate)
    means = table.set_index("policy")[[f"{metric}_mean" for metric in metrics]]
    return means.set_axis(list(metrics.values()), axis=1)


def drops_by_length(rows: pd.DataFrame, load: Load) -> pd.DataFrame:
    """The dropped share of requests by response length, of the policies that drop any."""
    table = metric_table(rows, load, {"dropped": "all", **DROPPED})
    return table[table["all"] > 0.0]


def verdict(rows: pd.DataFrame, policy: str, against: str, loads: Sequence[Load]) -> str:
    """In how many loads the average QoS of a policy is above or below another's, or neither."""
    table = select(paired(rows, against), system=SYSTEM, policy=policy)
    table = table[load_names(table).isin([str(load) for load in loads])]
    above, below = int((table["low"] > 0).sum()), int((table["high"] < 0).sum())
    span = f"{table['difference'].min():+.3f} to {table['difference'].max():+.3f}"
    return (
        f"{policy} against {against}: above in {above} of {len(table)} loads, below in {below}, no "
        f"significant difference in {len(table) - above - below} (differences {span})"
    )


def retrial_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Means of the bridge's runs with half of the 95% interval of the QoS, as text, by load."""
    groups = rows.groupby(["load", "policy"], sort=False)
    table = groups[["qos", "answers", "accepted", "dropped", "gave_up"]].mean()
    shown = table.map("{:.2f}".format)
    half = half_width(groups["qos"].std(), groups["qos"].count())
    shown["qos"] = spreads(table["qos"], table["qos"] + half, 3)
    return shown


def worst(learned: pd.DataFrame, loads: Sequence[Load]) -> str:
    """The main policy (they differ by their training seeds) of the lowest mean QoS over loads."""
    rows = _at(select(learned, policy=[model.policy for model in MAIN]), loads)
    return str(rows.groupby("policy")["qos"].mean().idxmin())


def with_worst(rows: pd.DataFrame, learned: pd.DataFrame, name: str) -> pd.DataFrame:
    """The rows of the rules, and those of the learned policy `name` under the name WORST."""
    chosen = select(learned, policy=name).assign(policy=WORST)
    return pd.concat([rows, chosen], ignore_index=True)


def learned_differences(
    rows: pd.DataFrame, learned: pd.DataFrame, rules: Sequence[str], loads: Sequence[Load]
) -> pd.DataFrame:
    """Paired differences of each main policy to some rules, with 95% intervals, as text."""
    names = [model.policy for model in MAIN]
    both = pd.concat([select(rows, policy=rules), select(learned, policy=names)], ignore_index=True)
    tables = {rule: difference_table(both, rule, loads).loc[names] for rule in rules}
    return pd.concat(tables, names=["against", None])


def levels(learned: pd.DataFrame, loads: Sequence[Load]) -> pd.DataFrame:
    """Average QoS by what was trained: the mean over training seeds, and the lowest and highest."""
    means = _at(learned, loads).groupby(["what", "load", "policy"], sort=False)["qos"].mean()
    groups = means.groupby(level=["what", "load"], sort=False)
    text = groups.agg(lambda of: f"{of.mean():.3f} ({of.min():.3f} to {of.max():.3f})")
    return _wide(text, loads)


def control_differences(learned: pd.DataFrame, loads: Sequence[Load]) -> pd.DataFrame:
    """Each control less the main policy, both averaged over training seeds, with 95% intervals.

    The intervals are over workload seeds: they do not say how another training would end.
    """
    rows = _at(learned, loads).drop(columns="policy").rename(columns={"what": "policy"})
    means = rows.groupby(["policy", "load", "seed"], sort=False)["qos"].mean().reset_index()
    table = differences(means, MAIN[0].kind, ["load"], ["qos"]).set_index(["policy", "load"])
    text = spreads(table["qos_difference"], table["qos_high"], 3, "+")
    return _wide(pd.Series(text, table.index), loads)


def _at(learned: pd.DataFrame, loads: Sequence[Load]) -> pd.DataFrame:
    """Rows at some loads, with their `load` and `what` was trained."""
    kinds = {name: model.kind for name, model in MODELS.items()}
    rows = learned.assign(load=load_names, what=learned["policy"].map(kinds))
    return select(rows, load=[str(load) for load in loads])


def _by_load(table: pd.DataFrame, text: Sequence[str], loads: Sequence[Load]) -> pd.DataFrame:
    return _wide(pd.Series(text, [table["policy"], load_names(table)]), loads)


def _wide(text: pd.Series, loads: Sequence[Load]) -> pd.DataFrame:
    """A text by policy and load, as a table: rules, then trained models in their order."""
    names, kinds = text.index.unique(0), (model.kind for model in MODELS.values())
    order = sorted(names, key=[*POLICIES, *kinds, *names].index)
    wide = text.unstack().reindex(index=order, columns=[str(load) for load in loads])
    return wide.fillna("").rename_axis(index=None, columns=None)
