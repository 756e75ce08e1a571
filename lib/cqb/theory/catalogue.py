"""All checks in order, as steps that can be stored: a run that was interrupted goes on."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from ..experiment.code_hash import code_hash
from ..files import write_text
from . import (
    asymptotic,
    behaviour,
    divergence,
    exact,
    overload,
    pathwise,
    plateau,
    queue_laws,
    rates,
)
from .settings import Setting
from .verdicts import Check, Verdict

Step = Callable[[Setting], list[Check]]

ORDER = [f"E{n}" for n in range(1, 11)] + [f"R{n}" for n in range(1, 12)]


def _divergence(setting: Setting) -> list[Check]:
    table, regret = divergence.divergence(setting)
    return [
        divergence.divergence_bound(table, setting),
        divergence.divergence_sum(table, regret, setting),
    ]


STEPS: dict[str, Step] = {
    "E1": lambda s: [exact.best_assortments(s)],
    "E2": lambda s: [exact.largest_first(s)],
    "E3": lambda s: [queue_laws.one_queue(s)],
    "E4": lambda s: [queue_laws.idle_share(s)],
    "E5": lambda s: [queue_laws.fixed_rules(s)],
    "E6": lambda s: [pathwise.switching(s)],
    "E7, R7": _divergence,
    "E8": lambda s: [pathwise.optimism_of_draws(s)],
    "E9": lambda s: [pathwise.forced_exploration(s)],
    "E10": lambda s: [pathwise.memory_serves(s)],
    "R5": lambda s: [asymptotic.adversarial(s)],
    "R6": lambda s: [overload.overload(s)],
    "R8": lambda s: [behaviour.exploration_information(s)],
    "R9": lambda s: [behaviour.coverage(s)],
    "R10": lambda s: [plateau.plateau(s)[0]],
    "R11": lambda s: [behaviour.radius(s)],
}


def run_all(
    setting: Setting, folder: Path, workers: int, report: Callable[[str], None]
) -> list[Check]:
    """Every check of `setting`, in the order of the predictions.

    Parameters
    ----------
    folder : keeps finished steps under a name that depends on the code behind them.
    workers : processes for the rate runs (R1 to R4). report : called with a line of progress.
    """
    place = folder / f"{setting.name}-{code_hash('theory.catalogue')[:12]}"
    checks: list[Check] = []
    for i, (name, step) in enumerate(STEPS.items(), start=1):
        began = time.perf_counter()
        found = _load(place / f"{name}.json")
        if found is None:
            found = step(setting)
            _store(place / f"{name}.json", found)
        seconds = time.perf_counter() - began
        verdicts = ", ".join(check.verdict.verdict for check in found)
        report(f"step {i} of {len(STEPS) + 1}: {name}: {verdicts} ({seconds:.0f} s)")
        checks += found
    frame = measured(setting, folder, workers, report)
    checks += asymptotic.rate_checks(frame, setting)
    return sorted(checks, key=lambda check: ORDER.index(check.verdict.id))


def measured(
    setting: Setting,
    folder: Path | None = None,
    workers: int = 1,
    report: Callable[[str], None] | None = None,
) -> pd.DataFrame:
    """The rate runs of `setting`: regret and gap per policy, horizon and instance."""

    def progress(done: int, total: int) -> None:
        if report is not None and (done % 25 == 0 or done == total):
            report(f"rate runs: {done} of {total}")

    return rates.measure(
        asymptotic.POLICIES,
        setting.horizons,
        setting.rate_instances,
        folder=folder,
        workers=workers,
        progress=progress,
    )


def _store(path: Path, checks: list[Check]) -> None:
    rows = [
        {
            "verdict": dataclasses.asdict(check.verdict),
            "table": json.loads(check.table.to_json(orient="split", double_precision=15)),
        }
        for check in checks
    ]
    write_text(path, json.dumps(rows, indent=1) + "\n")


def _load(path: Path) -> list[Check] | None:
    if not path.exists():
        return None
    rows = json.loads(path.read_text(encoding="utf-8"))
    return [
        Check(
            Verdict(**row["verdict"]),
            pd.DataFrame(row["table"]["data"], columns=row["table"]["columns"]),
        )
        for row in rows
    ]
