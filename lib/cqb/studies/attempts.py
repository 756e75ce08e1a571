"""Is a retry a fresh draw? Repeated attempts of real models at the same task.

The paper's user retries with the odds of the first time. EvalPerf has the share of 100 attempts of 34
models that pass (temperature 1), CRUXEval ten attempts of one model (temperature .2). Both say how often
an attempt succeeds after so many failures of the same model at the same task.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import gammaln

from ..routing_table import RoutingTable
from ..streams import Streams
from ..study import Study

RESAMPLES = 1000


@dataclass(frozen=True)
class Attempts:
    """The task: shares after up to `most` failures.

    `attempts` of each model are recorded per item, as the share that passes; or, with `by_column`, those
    of one model, a column each.
    """

    attempts: int
    most: int
    by_column: bool = False


def after_failures(
    successes: np.ndarray, attempts: int, failures: int
) -> tuple[np.ndarray, np.ndarray]:
    """How likely `failures` attempts in a row fail, and how likely one more then succeeds as well.

    Attempts of a row are taken in random order without replacement, so nothing is estimated twice.

    Parameters
    ----------
    successes : (...) int, of `attempts` recorded ones. failures : fewer than `attempts`.

    Returns
    -------
    Two float64 arrays (...): the chance of the failures, and of the failures with a success next.
    """
    wrong = attempts - np.asarray(successes)
    possible = wrong >= failures
    left = np.where(possible, wrong, failures)
    log = gammaln(left + 1) - gammaln(left - failures + 1)
    log -= gammaln(attempts + 1) - gammaln(attempts - failures + 1)
    fails = np.where(possible, np.exp(log), 0.0)
    return fails, fails * successes / (attempts - failures)


def rows(task: Attempts, table: RoutingTable) -> pd.DataFrame:
    """Columns `dataset`, `who`, `failures`, `share`, `low`, `high`.

    "same model" is the share of attempts that succeed after so many failures of the same model at the
    same item, "another model" after one failure of a model drawn uniformly. The intervals (95%) resample
    items.
    """
    if task.by_column:
        successes = table.scores.sum(axis=1, keepdims=True)
    else:
        successes = np.rint(table.scores * task.attempts)
    found = []
    for failures in range(task.most + 1):
        fails, then = after_failures(successes, task.attempts, failures)
        found.append(("same model", failures, fails.sum(axis=1), then.sum(axis=1)))
    if successes.shape[1] > 1:
        rate = successes / task.attempts
        others = (rate.sum(axis=1, keepdims=True) - rate) / (rate.shape[1] - 1)
        failed, then = (1 - rate).sum(axis=1), ((1 - rate) * others).sum(axis=1)
        found.append(("another model", 1, failed, then))
    columns = ("who", "failures", "share", "low", "high")
    shares = [(who, failures, *_interval(top, bottom)) for who, failures, bottom, top in found]
    return pd.DataFrame(shares, columns=columns).assign(dataset=table.name)


def _interval(top: np.ndarray, bottom: np.ndarray) -> tuple[float, float, float]:
    """The ratio of the sums over items, and its 95% interval over resamples of the items."""
    n = len(top)
    drawn = Streams(0).generator("items").integers(0, n, (RESAMPLES, n))
    low, high = np.quantile(top[drawn].sum(axis=1) / bottom[drawn].sum(axis=1), (0.025, 0.975))
    return float(top.sum() / bottom.sum()), float(low), float(high)


TASKS = {"evalperf": Attempts(100, 5), "cruxeval": Attempts(10, 5, True)}
STUDIES = {
    f"attempts-{of}": Study(f"attempts-{of}", 1, of, (task,), rows, default=True, vectors=False)
    for of, task in TASKS.items()
}
