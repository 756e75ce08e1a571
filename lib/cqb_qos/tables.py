"""The sweep's tables: means with intervals, paired differences, and the committed copy of the rows."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pandas as pd

from cqb.experiment.provenance import digest
from cqb.experiment.stored import (
    StaleResultsWarning,
    place,
    read_stored,
    write_csv,
    write_record,
    write_table,
)
from cqb.experiment.summary import half_width, intervals
from .metrics import LENGTH_GROUPS, METRICS
from .sweep import COLUMNS, DEFAULT, Settings, code, named_system, run

FORMAT = "cqb qos results 1"
SCHEMA_VERSION = 1
NAME = "qos-sweep"
WORKLOAD = "synthetic"
CELL = ["system", "kind", "rate"]


# Of the metrics, without their _mean, _low and _high (a 95% t-interval for the mean over seeds).
MEANING = {
    "qos": "score of requests served within L, 0 for others, mean over all arrivals",
    "qos_per_busy_second": "sum of QoS / seconds that experts spent in iterations",
    "late": "share of arrivals served with a latency of L or more",
    "dropped": "share of arrivals dropped",
    "score": "mean score of served requests",
    "latency": "seconds per generated token from arrival to last token, mean of served requests",
    "latency_p95": "the same, 95% quantile",
    "first_token": "seconds from arrival to first token, mean of served requests",
    "first_token_p95": "the same, 95% quantile",
    "token_time": "seconds per token after the first, mean of served requests",
    "token_time_p95": "the same, 95% quantile",
    "utilisation": "busy share of the experts' time until the last token",
    "evictions": "evictions per arrival",
    **{
        f"dropped_{group.replace(' ', '_')}": f"dropped share of responses of {group} tokens"
        for group in LENGTH_GROUPS
    },
    "decision_ms": "median milliseconds of one decision in one environment (mean only)",
}


def summarise(tidy: pd.DataFrame) -> pd.DataFrame:
    """Means over the test seeds, a row per policy and setting (system, kind of arrivals, rate).

    Columns: the setting, `policy`, `price`, `seeds`, `requests`, and for each metric `_mean`, `_low` and
    `_high`, the 95% t-interval for the mean (NaN for one seed). The time of a decision has a mean only.
    """
    rows = tidy[tidy["part"] == "test"]
    groups = rows.groupby([*CELL, "policy", "price", "requests"], sort=False)
    table = pd.DataFrame({"seeds": groups["seed"].nunique()})
    table = table.assign(**intervals(groups, METRICS, table["seeds"]))
    table["decision_ms_mean"] = groups["decision_ms"].mean()
    table = table.reset_index()
    table.insert(0, "workload", WORKLOAD)
    return table


def paired(tidy: pd.DataFrame, against: str, metric: str = "qos") -> pd.DataFrame:
    """Differences to the policy `against` on the same workloads, a row per setting and other policy.

    Returns
    -------
    The setting, `policy`, `seeds`, `difference` (the policy less `against`, mean over seeds), `low` and
    `high` (its 95% t-interval), `higher_share` (of seeds on which the policy has the higher value).

    Raises
    ------
    ValueError
        There are no rows of `against`.
    """
    rows = tidy[tidy["part"] == "test"]
    base = rows[rows["policy"] == against].set_index([*CELL, "seed"])[metric]
    if base.empty:
        raise ValueError(
            f"against: found {against!r}, expected one of {sorted(set(rows['policy']))}"
        )
    others = rows[rows["policy"] != against]
    keys = pd.MultiIndex.from_frame(others[[*CELL, "seed"]])
    difference = others[metric] - base.loc[keys].to_numpy()
    groups = difference.groupby([others[name] for name in [*CELL, "policy"]], sort=False)
    table = pd.DataFrame({"seeds": groups.size(), "difference": groups.mean()})
    half = half_width(groups.std(), table["seeds"])
    table["low"], table["high"] = table["difference"] - half, table["difference"] + half
    table["higher_share"] = groups.agg(lambda values: (values > 0).mean())
    return table.reset_index()


def results(
    settings: Settings, *, folder: Path | None = None, parts: Path | None = None
) -> pd.DataFrame:
    """The tidy table of a sweep: the stored one if it still holds, else that of a new sweep.

    One printed line says which. A new table is not stored: only the command does that. `folder` is
    of stored tables, `parts` of a sweep's finished parts.
    """
    try:
        tidy, record = load(folder)
    except FileNotFoundError:
        reason = "no table is stored"
    except ValueError as error:
        warnings.warn(f"{error}; the sweep is made again", StaleResultsWarning, stacklevel=2)
        reason = "the stored table is damaged"
    else:
        if record["key"] == key(settings):
            print(f"{len(tidy)} rows, from the stored table")
            return tidy
        reason = "the stored table is of other settings or code"
    print(f"a new sweep ({reason})", flush=True)
    return run(settings, folder=parts, say=_silent)


def store(tidy: pd.DataFrame, settings: Settings, folder: Path | None = None) -> Path:
    """Write the rows and their record, each whole or not at all; OSError if that cannot be done."""
    path = place(NAME, folder)
    write_record(
        path.with_suffix(".json"),
        format=FORMAT,
        key=key(settings),
        sha256=write_table(path, tidy),
        rows=len(tidy),
        workload=WORKLOAD,
        settings=settings,
    )
    return path


def load(folder: Path | None = None) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The stored rows, verified, and their record.

    Raises
    ------
    FileNotFoundError
        There are none.
    ValueError
        They are damaged; the message names the file.
    """
    rows, record = read_stored(place(NAME, folder), FORMAT)
    return rows[COLUMNS], record


def key(settings: Settings) -> dict[str, str]:
    """What decides the rows: hashes of settings, systems and code."""
    systems = [named_system(name, settings.N) for name in sorted({DEFAULT, *settings.loads})]
    return {"settings": digest([settings, systems]), "code": code()}


def write_summary(tidy: pd.DataFrame, path: Path, **about: Any) -> None:
    """Write the summary as CSV, six significant digits, and a record (with `about`) beside it."""
    table = summarise(tidy)
    about |= {"columns": list(table), "workload": WORKLOAD, "meaning": MEANING}
    write_csv(path, table, schema_version=SCHEMA_VERSION, **about)


def _silent(line: str) -> None:
    """Progress that nobody reads."""
