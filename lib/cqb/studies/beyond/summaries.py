"""The studies' tables as rounded numbers, for notebooks."""

from collections.abc import Sequence

import pandas as pd

from ...figures.style import in_order
from ...stats import differences, final, half_width, paired
from ...tables import select, spread, spreads
from .tuning import LINEAR, chosen
from .verdict import finals

SETTING = ["dataset", "regime", "K"]


def spreads_over_seeds(groups: pd.api.typing.SeriesGroupBy, digits: int = 0) -> pd.Series:
    """ "628 ± 59": the mean of each group and half its 95% interval; the mean alone of single values."""
    mean, half = groups.mean(), half_width(groups.std(), groups.count())
    shown = [spread(m, h, digits).removesuffix(" ± nan") for m, h in zip(mean, half, strict=True)]
    return pd.Series(shown, index=mean.index)


def versions(tidy: pd.DataFrame, against: Sequence[str]) -> pd.DataFrame:
    """Final regret and its paired difference to each of `against`: a line per policy, by data set."""
    columns = {}
    for name, rows in tidy.groupby("dataset", sort=False):
        columns[name, "regret"] = spreads_over_seeds(final(rows).groupby("policy")["regret"])
        for base in against:
            gap = paired(rows, base).set_index("policy")
            shown = spreads(gap["regret_difference"], gap["regret_high"], sign="+")
            columns[name, f"less {base}"] = pd.Series(shown, gap.index)
    return pd.DataFrame(columns).reindex(in_order(tidy["policy"])).fillna("-")


def memory(differences: pd.DataFrame) -> str:
    """Per version of the retries, whom a memory of failures helps and whom it harms.

    `differences` are those of :func:`cqb.studies.pass_rates.effect_of_memory`. It helps or harms where
    the 95% interval leaves out 0.
    """
    lines = []
    for name, rows in differences.groupby("dataset", sort=False):
        helps, harms = rows["regret_high"] < 0, rows["regret_low"] > 0
        groups = {"lower regret": helps, "higher": harms, "no clear difference": ~(helps | harms)}
        said = [f"{word}: {', '.join(rows['policy'][so]) or 'none'}" for word, so in groups.items()]
        lines.append(f"{name}, round {rows['t'].iloc[0]}: {'; '.join(said)}")
    return "\n".join(lines)


def worth(rows: pd.DataFrame, more: str) -> pd.DataFrame:
    """What more knowledge changes in final regret: a line per policy that has a version with it.

    Parameters
    ----------
    rows : of the comparison at equal knowledge (:mod:`.bar`). more : the version's ending, "-rows" or
        "-prompt".

    Returns
    -------
    A column per setting: the mean regret without it, and the paired difference with it.
    """
    last, found = finals(rows), {}
    for name in last["policy"].unique():
        if more in name:
            base = name.replace(more, "", 1)
            pair = select(last, policy=[base, name])
            gap = differences(pair, base, SETTING, ["regret"]).set_index(SETTING)
            regret = select(pair, policy=base).groupby(SETTING)["regret"].mean()[gap.index]
            change = spreads(gap["regret_difference"], gap["regret_high"], sign="+")
            found[name] = regret.map("{:.0f}, ".format) + change
    table = pd.DataFrame(found, last.groupby(SETTING).size().index).T.fillna("-")
    return table.set_axis([f"{data}, {regime}, K = {K}" for data, regime, K in table], axis=1)


def stability(table: pd.DataFrame) -> pd.DataFrame:
    """The largest rate each policy sustains ± half of the interval, and the closed form."""
    groups = table.groupby("policy")
    closed = groups["closed"].mean().map("{:.2f}".format).replace("nan", "-")
    found = {"sustained": spreads_over_seeds(groups["rate"], 2), "closed form": closed}
    return pd.DataFrame(found).reindex(in_order(table["policy"]))


def choices(scores: pd.DataFrame) -> pd.DataFrame:
    """The settings chosen for recorded answers and for linear utilities, a line per policy."""
    linear = scores["world"] == LINEAR
    parts = {"recorded answers": scores[~linear], "linear utilities": scores[linear]}
    found = {f"chosen for {where}": chosen(part) for where, part in parts.items()}
    tried = scores.groupby("policy", sort=False)["setting"].nunique()
    return pd.DataFrame({"settings tried": tried, **found})


def hidden(table: pd.DataFrame, predicted: dict[str, float]) -> pd.DataFrame:
    """Mean serves per query: the recursions of rules, and simulated learners."""
    serves = spreads_over_seeds(table.groupby("policy")["serves"], 2)
    rules = {f"{name} (recursion)": f"{value:.2f}" for name, value in predicted.items()}
    learners = serves.reindex(in_order(serves.index)).to_dict()
    return pd.DataFrame({"serves per query": {**rules, **learners}})
