"""The tables and sentences of notebook 07, made from the sweep's rows whatever they say."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from cqb.experiment.summary import half_width
from .metrics import LENGTH_GROUPS
from .policies import POLICIES
from .sweep import DEFAULT
from .synthetic import Load
from .tables import paired, summarise


def load_names(rows: pd.DataFrame) -> pd.Series:
    """The load of each row in words, such as "Poisson 3"."""
    return rows["kind"] + " " + rows["rate"].map("{:g}".format)


def qos_table(tidy: pd.DataFrame, loads: Sequence[Load], system: str = DEFAULT) -> pd.DataFrame:
    """Average QoS with half of its 95% interval as text, policies by loads."""
    rows = summarise(tidy)
    rows = rows[rows["system"] == system].assign(load=load_names)
    half = rows["qos_high"] - rows["qos_mean"]
    text = rows["qos_mean"].map("{:.3f}".format) + " ± " + half.map("{:.3f}".format)
    return _policies_by_loads(rows.assign(text=text), loads)


def difference_table(tidy: pd.DataFrame, against: str, loads: Sequence[Load]) -> pd.DataFrame:
    """Differences in average QoS to one policy on the same seeds, with 95% intervals, as text."""
    rows = paired(tidy, against)
    rows = rows[rows["system"] == DEFAULT].assign(load=load_names)
    half = rows["high"] - rows["difference"]
    text = rows["difference"].map("{:+.3f}".format) + " ± " + half.map("{:.3f}".format)
    return _policies_by_loads(rows.assign(text=text), loads)


def metric_table(tidy: pd.DataFrame, load: Load, metrics: dict[str, str]) -> pd.DataFrame:
    """Means of metrics (by name, with the heading to print) at one load, a row per policy."""
    rows = summarise(tidy)
    rows = rows[(rows["system"] == DEFAULT) & (load_names(rows) == str(load))].set_index("policy")
    return rows[[f"{metric}_mean" for metric in metrics]].set_axis(list(metrics.values()), axis=1)


def drops_by_length(tidy: pd.DataFrame, load: Load) -> pd.DataFrame:
    """The dropped share of requests by response length, of the policies that drop any."""
    names = {f"dropped_{group.replace(' ', '_')}": group for group in LENGTH_GROUPS}
    table = metric_table(tidy, load, {"dropped": "all", **names})
    return table[table["all"] > 0.0]


def verdict(tidy: pd.DataFrame, policy: str, against: str, loads: Sequence[Load]) -> str:
    """In how many loads a policy's average QoS is above, below, or not told apart from another's."""
    rows = paired(tidy, against)
    keep = (rows["system"] == DEFAULT) & (rows["policy"] == policy)
    rows = rows[keep & load_names(rows).isin([str(load) for load in loads])]
    above, below = int((rows["low"] > 0).sum()), int((rows["high"] < 0).sum())
    span = f"{rows['difference'].min():+.3f} to {rows['difference'].max():+.3f}"
    return (
        f"{policy} against {against}: above in {above} of {len(rows)} loads, below in {below}, not told "
        f"apart in {len(rows) - above - below} (differences {span})"
    )


def retrial_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Means of the bridge's runs with half of the 95% interval of the QoS, as text, by load."""
    groups = rows.groupby(["load", "policy"], sort=False)
    means = groups[["qos", "answers", "accepted", "dropped", "gave_up"]].mean()
    half = half_width(groups["qos"].std(), groups["qos"].count())
    table = means.map("{:.2f}".format)
    table["qos"] = means["qos"].map("{:.3f}".format) + " ± " + half.map("{:.3f}".format)
    return table


def _policies_by_loads(rows: pd.DataFrame, loads: Sequence[Load]) -> pd.DataFrame:
    wide = rows.pivot(index="policy", columns="load", values="text")
    order = [name for name in POLICIES if name in wide.index]
    order += [name for name in rows["policy"].unique() if name not in POLICIES]
    shown = wide.loc[order, [str(load) for load in loads]].fillna("")
    return shown.rename_axis(index=None, columns=None)
