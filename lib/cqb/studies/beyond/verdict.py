"""What the comparison with simple rules of the same knowledge shows (:mod:`.bar`), and its reports.

In a setting our policy faces the best simple rule of its class: the one of least mean regret over the
reported seeds themselves, a choice in the rules' favour. The class is judged by the mean over settings
of the ratio of mean regrets. Its interval is a percentile bootstrap over seeds, within each setting,
that chooses the best rule again in every resample.
"""

import numpy as np
import pandas as pd

from ...stats import holm, interval, paired_p
from .bar import OPPONENTS, OURS, REPORTED

SETTING = ["dataset", "K", "regime"]
COLUMNS = ["knowledge", *SETTING, "ours", "regret", "best_rule", "rule_regret", "ratio"]
COLUMNS += ["difference", "low", "high", "p", "lock_ins", "served_often", "milliseconds"]
JUDGED = ["knowledge", "settings", "ratio", "low", "high", "above", "lock_ins", "reached"]
KNOWS_MORE = "INFORMED-prompt"  # a reference: it knows the scores of all rows outside the pool
AIM = 0.8  # of the best simple rule's regret, mean over the settings
RESAMPLES = 2000


def finals(rows: pd.DataFrame) -> pd.DataFrame:
    """The last row of each run."""
    runs = rows.sort_values("t", kind="stable").groupby([*SETTING, "policy", "seed"], sort=False)
    return runs.tail(1)


def _by_seed(group: pd.DataFrame, known: str) -> tuple[pd.DataFrame, pd.Series]:
    """Final regrets of the rules, a column each, and ours; both by seed."""
    regret = group.pivot(index="seed", columns="policy", values="regret")
    rules = [name for name in OPPONENTS[known] if name in regret]
    return regret[rules], regret[OURS[known][0]]


def standings(rows: pd.DataFrame) -> pd.DataFrame:
    """Our policy and the best simple rule of its class, a row per class and setting.

    Columns: `ratio` of the mean regrets; `difference` of the regrets on the same seeds, ours less the
    rule's, with its 95% t-interval `low` to `high`; `significant` after Holm's rule over the settings of
    the class; `lock_ins` and `served_often` in all our runs (:func:`cqb.metrics.lock_ins`);
    `milliseconds` a round.
    """
    last, found = finals(rows), []
    for known, (name,) in OURS.items():
        for setting, group in last.groupby(SETTING):
            rules, ours = _by_seed(group, known)
            best = rules.mean().idxmin()
            gap, mine = ours - rules[best], group[group["policy"] == name]
            mean, low, high, _ = interval(gap)
            least, own = rules[best].mean(), ours.mean()
            milliseconds = 1e3 * (mine["seconds"] / mine["t"]).mean()
            values = (known, *setting, name, own, best, least, own / least, mean, low, high)
            stuck = mine[["lock_ins", "served_often"]].sum().astype(int)
            found.append((*values, paired_p(gap), *stuck.tolist(), milliseconds))
    table = pd.DataFrame(found, columns=COLUMNS)
    classes = table.groupby("knowledge", sort=False)["p"]
    return table.assign(significant=classes.transform(lambda p: holm(p.to_numpy())).astype(bool))


def closeness(rows: pd.DataFrame) -> pd.DataFrame:
    """How far each policy is from the best simple rule of its class: a row per class and policy.

    The columns are the mean, the least and the largest ratio of mean regrets over the settings. Where no
    prompt comes twice, a rule "-prompt" is the rule by query, whose regret it has there. In each class
    :data:`KNOWS_MORE` shows what far more knowledge is worth to a rule.
    """
    means = finals(rows).groupby([*SETTING, "policy"])["regret"].mean().unstack()
    for name in means.filter(like="-prompt"):
        means[name] = means[name].fillna(means[name.replace("-prompt", "")])
    found = {}
    for known, ours in OURS.items():
        rules = [name for name in OPPONENTS[known] if name in means]
        shown = [*ours, *rules, *means.filter(items=[KNOWS_MORE])]
        ratios = means[shown].div(means[rules].min(axis=1), axis=0)
        found[known] = ratios.agg(["mean", "min", "max"]).T.sort_values("mean")
    return pd.concat(found)


def resampled(rows: pd.DataFrame, known: str) -> np.ndarray:
    """Bootstrapped mean ratios of a class, (RESAMPLES,)."""
    generator, ratios = np.random.default_rng(0), []
    for _, group in finals(rows).groupby(SETTING, sort=False):
        rules, ours = _by_seed(group, known)
        drawn = generator.integers(len(ours), size=(RESAMPLES, len(ours)))
        best = rules.to_numpy()[drawn].mean(axis=1).min(axis=1)
        ratios.append(ours.to_numpy()[drawn].mean(axis=1) / best)
    return np.mean(ratios, axis=0)


def verdicts(rows: pd.DataFrame) -> pd.DataFrame:
    """A row per class: the mean ratio with its interval, and whether the aim is reached.

    `above` counts the settings in which our regret is significantly larger than the best rule's.
    """
    found = []
    for known, group in standings(rows).groupby("knowledge", sort=False):
        low, high = np.quantile(resampled(rows, known), [0.025, 0.975])
        ratio, above = group["ratio"].mean(), int((group["significant"] & (group["low"] > 0)).sum())
        stuck = int(group["lock_ins"].sum())
        reached = bool(ratio <= AIM and high < 1.0 and above == stuck == 0)
        found.append((known, len(group), ratio, low, high, above, stuck, reached))
    return pd.DataFrame(found, columns=JUDGED)


def reported() -> pd.DataFrame:
    """The rows of all reported tables that are stored; FileNotFoundError if none is."""
    tables = [study.read() for study in REPORTED if study.is_stored()]
    if not tables:
        raise FileNotFoundError("none of the studies bar-* is stored")
    return pd.concat(tables, ignore_index=True)


REPORTS = {
    "real/bar.csv": lambda: standings(reported()).drop(columns="milliseconds").round(6),
    "real/bar_verdicts.csv": lambda: verdicts(reported()).round(6),
}
