"""Every baseline on every load: ``python -m cqb_qos``.

Prices are chosen on training seeds first; the policies are then run on other seeds. A part (one policy,
one price, one system, all its loads and seeds) is kept in the runs folder under a hash of all that
decides it, so that the command goes on where it stopped.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cqb import paths
from cqb.experiment.code_hash import code_hash
from cqb.experiment.provenance import digest
from cqb.table_file import read_arrays, write_arrays
from .evaluate import decision_ms, play
from .metrics import METRICS
from .policies import POLICIES, PRICED
from .synthetic import Load
from .system import System, default_system

FORMAT = "cqb qos part 1"
DEFAULT, TIGHT = "default", "tight memory"
TIGHT_MEMORY = 1500  # tokens; at the default memory nobody is ever evicted
POISSON = tuple(Load("Poisson", rate) for rate in (1.0, 2.0, 3.0, 4.0, 5.0, 6.0))
GAMMA = tuple(Load("Gamma", rate) for rate in (2.0, 3.0, 4.0))
TIMED = Load("Poisson", 3.0)  # decisions are timed under this load, in one environment
JUDGED = (Load("Poisson", 3.0), Load("Poisson", 4.0), Load("Gamma", 3.0))
SHARES = (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5)
PRICES = {
    "Priced Feasible+drop": SHARES,
    "Priced Impact-greedy": SHARES,
    "Priced rollout": (0.25, 0.375, 0.5, 0.625, 0.75, 1.0),
}
INDEX = ("part", "system", "policy", "price", "kind", "rate", "seed")
COLUMNS = [*INDEX, "requests", *METRICS, "decision_ms"]


class DamagedPartWarning(UserWarning):
    """A stored part does not hold what was once written to it, and is run again."""


@dataclass(frozen=True)
class Part:
    """One policy at one price in one system: `part` is "training" or "test"."""

    part: str
    system: str
    policy: str
    price: float
    loads: tuple[Load, ...]
    seeds: tuple[int, ...]
    requests: int
    N: int


@dataclass(frozen=True)
class Settings:
    """A sweep.

    Attributes
    ----------
    requests : of a run. seeds : workloads to report on. training_seeds : others, to choose prices by.
    loads : by system, "default" or "tight memory". tuning_loads : prices are best on their average.
    """

    requests: int = 5000
    seeds: tuple[int, ...] = tuple(range(200, 210))
    training_seeds: tuple[int, ...] = tuple(range(100, 105))
    policies: tuple[str, ...] = tuple(POLICIES)
    loads: dict[str, tuple[Load, ...]] = field(
        default_factory=lambda: {DEFAULT: POISSON + GAMMA, TIGHT: POISSON[2:3] + POISSON[5:]}
    )
    tuning_loads: tuple[Load, ...] = JUDGED
    N: int = 3

    def __post_init__(self) -> None:
        for name in ("seeds", "training_seeds", "policies"):
            if not (found := getattr(self, name)) or len(set(found)) < len(found):
                raise ValueError(f"{name}: found {found}, expected distinct values, at least one")
        if self.requests < 1:
            raise ValueError(f"requests: found {self.requests}, expected at least 1")
        if not self.loads or not set(self.loads) <= {DEFAULT, TIGHT}:
            raise ValueError(
                f"loads: found systems {list(self.loads)}, expected {DEFAULT!r}, {TIGHT!r}"
            )
        if unknown := set(self.policies) - set(POLICIES):
            raise ValueError(f"policies: found {sorted(unknown)}, expected {', '.join(POLICIES)}")
        if shared := set(self.seeds) & set(self.training_seeds):
            raise ValueError(f"seeds: found {sorted(shared)} in the training seeds too")

    def with_(self, **changes: Any) -> Settings:
        """A copy with some settings changed."""
        return replace(self, **changes)

    def tuning(self) -> list[Part]:
        """The runs that prices are chosen by."""
        return [
            self._part("training", DEFAULT, policy, price)
            for policy in self.policies
            if policy in PRICED
            for price in PRICES[policy]
        ]

    def testing(self, prices: dict[str, float]) -> list[Part]:
        """The runs to report on, at the chosen prices."""
        return [
            self._part("test", system, policy, prices.get(policy, 0.0))
            for policy in self.policies
            for system in self.loads
        ]

    def _part(self, part: str, system: str, policy: str, price: float) -> Part:
        train = part == "training"
        loads = self.tuning_loads if train else self.loads[system]
        seeds = self.training_seeds if train else self.seeds
        return Part(part, system, policy, price, loads, seeds, self.requests, self.N)


def named_system(name: str, N: int) -> System:
    """The system called "default" or "tight memory"."""
    return default_system(N) if name == DEFAULT else default_system(N).with_(memory=TIGHT_MEMORY)


def code() -> str:
    """sha256 (hex) over the code that decides a run."""
    return code_hash("related.qos.evaluate")


def run(
    settings: Settings, *, folder: Path | None = None, say: Callable[[str], None] = print
) -> pd.DataFrame:
    """The sweep's tidy table, a row per part, load and seed; the columns are :data:`COLUMNS`.

    Parameters
    ----------
    folder : of finished parts, by default `qos` in the runs folder. say : told of each part's end.

    Raises
    ------
    OSError
        The folder cannot be written to.
    """
    folder = folder or paths.runs_dir() / "qos"
    count = len(settings.tuning()) + len(settings.testing({}))
    progress = _Progress(count, say)
    tuning = [progress.note(part, *_finished(part, folder)) for part in settings.tuning()]
    prices = best_prices(pd.concat(tuning)) if tuning else {}
    testing = [progress.note(part, *_finished(part, folder)) for part in settings.testing(prices)]
    return pd.concat(tuning + testing, ignore_index=True)[COLUMNS]


def best_prices(tidy: pd.DataFrame) -> dict[str, float]:
    """Each policy's price of the highest mean QoS in the training rows; ties go to the lower."""
    rows = tidy[tidy["part"] == "training"]
    means = rows.groupby(["policy", "price"])["qos"].mean()
    return {name: float(group.idxmax()[1]) for name, group in means.groupby(level="policy")}


@dataclass
class _Progress:
    """Counts parts and says when the rest may be done."""

    count: int
    say: Callable[[str], None]
    done: int = 0
    spent: float = 0.0
    played: int = 0

    def note(self, part: Part, rows: pd.DataFrame, seconds: float | None) -> pd.DataFrame:
        self.done += 1
        text = f"part {self.done} of {self.count}: {part.policy}, {part.part}, {part.system}"
        if part.policy in PRICED:
            text += f", price {part.price:g}"
        if seconds is None:
            self.say(f"{text}: kept from before")
            return rows
        self.spent, self.played = self.spent + seconds, self.played + 1
        left = self.spent / self.played * (self.count - self.done)
        self.say(f"{text}: {seconds:.1f} s, at most about {left:.0f} s to go")
        return rows


def _finished(part: Part, folder: Path) -> tuple[pd.DataFrame, float | None]:
    """A part's rows, and how many seconds they took to make; None if they were stored."""
    key = digest([FORMAT, part, named_system(part.system, part.N), code()])
    slug = f"{part.policy}-{part.system}-{part.part}-{part.price:g}".lower().replace(" ", "-")
    path = folder / f"{slug}-{key[:12]}.npz"
    if path.exists():
        try:
            arrays = read_arrays(path)
            if str(arrays.pop("key")) != key:
                raise ValueError("it holds another part")
            return _labelled(part, pd.DataFrame(arrays)), None
        except (ValueError, KeyError) as error:
            warnings.warn(f"damaged {path.name} ({error})", DamagedPartWarning, stacklevel=3)
    start = time.perf_counter()
    rows = _play(part)
    arrays = {name: rows[name].to_numpy() for name in (*METRICS, "decision_ms")}
    write_arrays(path, {**arrays, "key": np.array(key)})
    return _labelled(part, rows), time.perf_counter() - start


def _play(part: Part) -> pd.DataFrame:
    system = named_system(part.system, part.N)
    rows = play(part.policy, part.price, part.loads, part.seeds, part.requests, system)
    if (part.part, part.system) != ("test", DEFAULT):
        return rows.assign(decision_ms=np.nan)
    return rows.assign(
        decision_ms=decision_ms(part.policy, part.price, TIMED, part.seeds[0], system)
    )


def _labelled(part: Part, rows: pd.DataFrame) -> pd.DataFrame:
    """Rows with what they are of, in the order in which a part plays its loads and seeds."""
    which = [(load.kind, load.rate, seed) for load in part.loads for seed in part.seeds]
    labels = pd.DataFrame(which, columns=["kind", "rate", "seed"])
    about = {"part": part.part, "system": part.system, "policy": part.policy, "price": part.price}
    measured = rows[[*METRICS, "decision_ms"]].reset_index(drop=True)
    return pd.concat([labels.assign(**about, requests=part.requests), measured], axis=1)[COLUMNS]
