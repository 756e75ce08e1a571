"""The studies of the QoS system: every rule on every load, and the trained policies on the same.

``python -m cqb run 'qos-*'`` runs them; `qos-azure` needs the Azure trace of code requests. A task is
one policy in one system with one seed, its loads served side by side; episodes do not influence each
other. The prices of the priced rules are chosen by the training rows of the sweep
(:func:`best_prices`) and declared in :data:`PRICES`.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from cqb.arrivals import Trace
from cqb.study import Study
from cqb.tables import select

from .episodes import measure, serve
from .policies import POLICIES
from .simulator import Decision, Policy
from .summaries import summarise
from .system import System, default_system
from .trained_models import JUDGED, MAIN, MODELS, TrainedModel, load
from .workloads import RECORDED, Batch, Load, batch_of, replay, stack

DEFAULT, TIGHT = "default", "tight memory"
SYSTEMS = {DEFAULT: default_system(), TIGHT: default_system().with_(memory=1500)}
POISSON = tuple(Load("Poisson", rate) for rate in (1.0, 2.0, 3.0, 4.0, 5.0, 6.0))
GAMMA = tuple(Load("Gamma", rate) for rate in (2.0, 3.0, 4.0))
AZURE = tuple(Load(RECORDED, rate) for rate in (1.0, 4.0, 16.0))
ALL = POISSON + GAMMA
# At the default memory no request is ever evicted. The loads of one entry are served side by side.
TESTED = ((DEFAULT, ALL), (TIGHT, (POISSON[2],)), (TIGHT, (POISSON[5],)))
SHARES = (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5)
CANDIDATES = {
    "Priced Feasible+drop": SHARES,
    "Priced Impact-greedy": SHARES,
    "Priced rollout": (0.25, 0.375, 0.5, 0.625, 0.75, 1.0),
}
PRICES = {"Priced Feasible+drop": 0.25, "Priced Impact-greedy": 0.25, "Priced rollout": 0.5}
REQUESTS = 5000
TRAINING_SEEDS = tuple(range(100, 105))
SEEDS = tuple(range(200, 210))
TIMED, TIMED_REQUESTS = Load("Poisson", 3.0), 200  # decisions are timed under this load, one by one


@dataclass(frozen=True)
class Task:
    """A policy at a price under some loads with one seed: `part` is "training" or "test"."""

    part: str
    system: str
    policy: str
    price: float
    loads: tuple[Load, ...]
    seed: int
    requests: int

    def __str__(self) -> str:
        price = f" at price {self.price:g}" if self.policy in PRICES else ""
        loads = " to ".join(dict.fromkeys((str(self.loads[0]), str(self.loads[-1]))))
        return f"{self.part}, {self.system}, {loads}: {self.policy}{price}, seed {self.seed}"


def run(task: Task, trace: Trace | None = None) -> pd.DataFrame:
    """The metrics of a task, a row for each load."""
    system = SYSTEMS[task.system]
    batch = workloads(task, trace)
    outcome = serve(batch, system, router(task, len(task.loads), task.requests))
    about = {"part": task.part, "system": task.system, "policy": task.policy, "price": task.price}
    size = {"seed": task.seed, "requests": task.requests}
    rows = pd.DataFrame([about | asdict(load) | size for load in task.loads])
    timed = task.part == "test" and task.system == DEFAULT and trace is None
    decision = decision_ms(task, system) if timed else np.nan
    return rows.join(measure(outcome)).assign(decision_ms=decision)


def workloads(task: Task, trace: Trace | None) -> Batch:
    """The workloads of a task: generated ones, or windows of the trace with its times and tokens."""
    seed, T, N = task.seed, task.requests, SYSTEMS[task.system].N
    if trace is None:
        return batch_of(task.loads, (seed,), T, N)
    return stack([replay(trace, load.rate, seed, T, N, tokens=True) for load in task.loads])


def router(task: Task, B: int, T: int) -> Policy:
    """The policy of a task for B environments of T requests: a rule, or a trained model."""
    if task.policy in MODELS:
        return load(MODELS[task.policy])[0]
    return POLICIES[task.policy]((task.seed,) * B, T, task.price)


def decision_ms(task: Task, system: System) -> float:
    """The median time of one decision in a single environment, in milliseconds."""
    policy, seconds = router(task, 1, TIMED_REQUESTS), []

    def timed(decision: Decision) -> np.ndarray:
        start = time.perf_counter()
        actions = policy(decision)
        seconds.append(time.perf_counter() - start)
        return actions

    serve(batch_of([TIMED], [task.seed], TIMED_REQUESTS, system.N), system, timed)
    return 1000.0 * float(np.median(seconds))


def best_prices(rows: pd.DataFrame) -> dict[str, float]:
    """Each policy's price of the highest mean QoS in the training rows; ties go to the lower."""
    means = select(rows, part="training").groupby(["policy", "price"])["qos"].mean()
    return {name: float(group.idxmax()[1]) for name, group in means.groupby(level="policy")}


def sweep(requests: int = REQUESTS, seeds: Sequence[int] = SEEDS) -> Study:
    """Every rule on every load; the prices are always chosen on the same training runs.

    Raises
    ------
    ValueError
        A seed is one of those that prices are chosen by.
    """
    if shared := set(seeds) & set(TRAINING_SEEDS):
        raise ValueError(f"seeds: found {sorted(shared)}, expected none of the training seeds")
    training = [
        Task("training", DEFAULT, policy, price, JUDGED, seed, REQUESTS)
        for policy, prices in CANDIDATES.items()
        for price in prices
        for seed in TRAINING_SEEDS
    ]
    test = [
        Task("test", system, policy, PRICES.get(policy, 0.0), loads, seed, requests)
        for policy in POLICIES
        for system, loads in TESTED
        for seed in seeds
    ]
    return _study("qos-sweep", 1, (*training, *test))


def trained(requests: int = REQUESTS, seeds: Sequence[int] = SEEDS) -> Study:
    """The trained policies: the main ones on all loads, the controls on those that prices came from."""
    tasks = tuple(
        Task("test", DEFAULT, name, 0.0, ALL if model in MAIN else JUDGED, seed, requests)
        for name, model in MODELS.items()
        for seed in seeds
    )
    return _study("qos-learned", 2, tasks, MODELS.values())


def recorded(requests: int = REQUESTS, seeds: Sequence[int] = SEEDS) -> Study:
    """Every rule and the main trained policies on the Azure trace; prices are those of the sweep."""
    tasks = tuple(
        Task("test", DEFAULT, policy, PRICES.get(policy, 0.0), AZURE, seed, requests)
        for policy in (*POLICIES, *(model.policy for model in MAIN))
        for seed in seeds
    )
    return _study("qos-azure", 1, tasks, MAIN, "azure")


def _study(
    name: str,
    version: int,
    tasks: tuple[Task, ...],
    models: Iterable[TrainedModel] = (),
    data: str | None = None,
) -> Study:
    def stratum(task: Task) -> str:
        """Tasks of one rule are alike, and those of trained models with one network."""
        return MODELS[task.policy].network if task.policy in MODELS else task.policy

    how = {"stratum": stratum, "cost": _cost, "volatile": ("decision_ms",)}
    files = tuple(model.file for model in models)
    return Study(name, version, data, tasks, run, artifacts=files, **how)


def _cost(task: Task) -> float:
    """CPU seconds: most of a decision's time is the same for one environment and for many."""
    ms = 0.7 + 0.03 * len(task.loads) if task.policy in MODELS else 0.15 + 0.03 * len(task.loads)
    return task.requests * ms / 1000.0


STUDIES = {study.name: study for study in (sweep(), trained(), recorded())}


def summary() -> pd.DataFrame:
    """The means of every policy under every load, with 95% intervals over seeds.

    FileNotFoundError if no table is stored.
    """
    tables = [study.read() for study in STUDIES.values() if study.is_stored()]
    if not tables:
        raise FileNotFoundError(f"none of {', '.join(STUDIES)} is stored")
    return summarise(pd.concat(tables, ignore_index=True))


REPORTS = {"qos_summary.csv": summary}
