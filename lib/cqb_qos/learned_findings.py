"""What notebook 07 says of the learned policies, made from the rows of the study whatever they say."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from cqb.experiment.summary import half_width
from .findings import difference_table, load_names
from .synthetic import Load
from .tables import paired
from .trainees import CONTROLS, MAIN, WORST

KINDS = {trainee.policy: trainee.kind for trainee in MAIN + CONTROLS}


def worst(learned: pd.DataFrame, loads: Sequence[Load]) -> str:
    """The main policy, they differ by their training seeds, of the lowest mean QoS over loads."""
    rows = _of(learned, loads)
    rows = rows[rows["policy"].isin([trainee.policy for trainee in MAIN])]
    return str(rows.groupby("policy")["qos"].mean().idxmin())


def beside(tidy: pd.DataFrame, learned: pd.DataFrame, name: str) -> pd.DataFrame:
    """The rows of the rules, and those of the learned policy `name` under the name WORST."""
    chosen = learned[learned["policy"] == name].assign(policy=WORST)
    return pd.concat([tidy, chosen], ignore_index=True)


def differences(
    tidy: pd.DataFrame, learned: pd.DataFrame, rules: Sequence[str], loads: Sequence[Load]
) -> pd.DataFrame:
    """Paired differences of each main policy to some rules, with 95% intervals, as text."""
    names = [trainee.policy for trainee in MAIN]
    main = learned[learned["policy"].isin(names)]
    both = pd.concat([tidy[tidy["policy"].isin(rules)], main], ignore_index=True)
    tables = {rule: difference_table(both, rule, loads).loc[names] for rule in rules}
    return pd.concat(tables, names=["against", None])


def pairs(tidy: pd.DataFrame, learned: pd.DataFrame, rule: str) -> pd.DataFrame:
    """Paired differences of all learned policies to a rule, as :func:`.tables.paired` gives them."""
    both = pd.concat([tidy[tidy["policy"] == rule], learned], ignore_index=True)
    return paired(both, rule)


def levels(learned: pd.DataFrame, loads: Sequence[Load]) -> pd.DataFrame:
    """Average QoS by what was trained: the mean over training seeds, and the lowest and highest."""
    means = _of(learned, loads).groupby(["what", "load", "policy"], sort=False)["qos"].mean()
    groups = means.groupby(level=["what", "load"], sort=False)
    mean, low, high = (
        values.map("{:.3f}".format) for values in (groups.mean(), groups.min(), groups.max())
    )
    return _wide(mean + " (" + low + " to " + high + ")", loads)


def control_differences(learned: pd.DataFrame, loads: Sequence[Load]) -> pd.DataFrame:
    """Each control less the main policy, both averaged over training seeds, with 95% intervals.

    The intervals are over workload seeds: they do not say how another training would end.
    """
    means = _of(learned, loads).groupby(["what", "load", "seed"], sort=False)["qos"].mean()
    main = MAIN[0].kind
    others = means.drop(index=main, level="what")
    keys = others.index.droplevel("what")
    gap = others - means.loc[main].loc[keys].to_numpy()
    groups = gap.groupby(level=["what", "load"], sort=False)
    half = half_width(groups.std(), groups.size())
    text = groups.mean().map("{:+.3f}".format) + " ± " + half.map("{:.3f}".format)
    return _wide(text, loads)


def _of(learned: pd.DataFrame, loads: Sequence[Load]) -> pd.DataFrame:
    """Rows at some loads, with their `load` and `what` was trained."""
    rows = learned.assign(load=load_names, what=learned["policy"].map(KINDS))
    return rows[rows["load"].isin([str(load) for load in loads])]


def _wide(text: pd.Series, loads: Sequence[Load]) -> pd.DataFrame:
    """By what was trained and load, in the order of both."""
    wide = text.unstack("load")
    order = [kind for kind in dict.fromkeys(KINDS.values()) if kind in wide.index]
    return wide.loc[order, [str(load) for load in loads]].rename_axis(index=None, columns=None)
