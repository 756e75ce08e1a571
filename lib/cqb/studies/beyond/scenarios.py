"""Scenarios between a table's recorded answers and the paper's model, and what policies do in them.

In every scenario a (query, model) pair has one departure rate, and attempts are independent draws at
that rate. The scenarios differ in how much of the rate the context explains. Recorded rates are nearly
two-valued: given the context alone, a failure predicts the next, so answers persist. Where log odds are
linear in the context nothing is left to persist: the paper's model (arXiv 2602.02061; theory A2), in
which each attempt is a fresh draw. A blend of the two lies between.

Two studies, K = 1: the regret of every policy with the beliefs of those with memory, and the evidence of
each spread of the prior on the scored rows that ACQB-MW starts from.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np
import pandas as pd

from ...environment import Environment, draw, once_each, pooled_environment, rounds_once
from ...metrics import checkpoints, measure
from ...mnl import BlockHistory, ridge_mle
from ...persistence import Prior
from ...persistence.filter import SPREADS, Filter, warm
from ...policies import POLICIES, LearnerSettings, PolicyEntry, Service
from ...policies.acqb import acqb
from ...policies.acqb_memory import MemoryLearner
from ...policies.base import ScoredRows, parts
from ...routing_table import RoutingTable, departure_odds, largest_pool
from ...runs import Cell, Task, World, play
from ...simulate import Decision, Policy, Trajectory, Waiting, simulate
from ...streams import Streams
from ...study import Study

RECORDED = "recorded answers"
HALF = "half recorded, half fitted linear"
FITTED = "fitted linear"
LINEAR = "random linear"
ONCE = "recorded answers, no prompt twice"
RECORDED_SHARE = {RECORDED: 1.0, HALF: 0.5, FITTED: 0.0, ONCE: 1.0}
SCENARIOS = (RECORDED, HALF, FITTED, LINEAR, ONCE)
SPREAD = 2.5  # standard deviation of each model's random linear utilities
RIDGE = 0.25  # of the fit of recorded rates
# ACQB with the settings that were chosen for it where utilities are linear (:mod:`.tuning`).
ACQB_LINEAR = "ACQB-tuned (linear)"
LINEAR_SETTINGS = {"lambda0": 1.0 / 4.0, "alpha_coef": 1e-3}
ENTRIES = {**POLICIES, ACQB_LINEAR: PolicyEntry(ACQB_LINEAR, acqb, settings=LINEAR_SETTINGS)}
QUICK = ("TS-memory", "CYCLE", "INFORMED", "RANDOM")  # policies without a model of the context
POLICIES_COMPARED = (
    *("ACQB", "ACQB-tuned", ACQB_LINEAR, "ACQB-P-tuned"),
    *("ACQB-M", "ACQB-MW", "ACQB-M-query", "ACQB-MW-query"),
    *QUICK,
)
CELL = Cell(1, 0.0, 0.6)
CHECKPOINTS = 25
BELIEFS = ("fresh", "half", "all", "prompt", "agreement")


@dataclass(frozen=True, eq=False)
class Scenario:
    """An environment, and the scored rows outside its pool by name (:func:`cqb.policies.base.parts`)."""

    environment: Environment
    rows: dict[str, ScoredRows]

    def scored_rows(self, policy: str, which: str) -> ScoredRows:
        """The rows that a policy is given, as :class:`cqb.policies.base.RunSource` gives them."""
        return self.rows[which]


@lru_cache(maxsize=2)  # successive tasks often share one, and a fit of rates takes a second
def scenario(name: str, table: RoutingTable, seed: int, lam: float, pool_size: int) -> Scenario:
    """The scenario of this name in :data:`SCENARIOS`, on the job pool that the seed draws.

    Of the data only the contexts are the table's where utilities are random. Raises KeyError for another
    name.
    """
    where = parts(table, seed, pool_size)
    contexts = [table.embeddings[rows] for rows in where.values()]
    if name == LINEAR:
        odds = linear_odds(contexts, len(table.models), seed)
    else:
        odds = [departure_odds(table.utility(lam)[rows]) for rows in where.values()]
        odds = blended(contexts, odds, RECORDED_SHARE[name])
    found = [ScoredRows(*pair) for pair in zip(contexts, odds, strict=True)]
    made_up = table.stand_in or name == LINEAR
    title = f"{table.name}, {name}"
    environment = pooled_environment(title, made_up, contexts[0], odds[0], where["pool"])
    return Scenario(environment, dict(zip(where, found, strict=True)))


def linear_odds(contexts: list[np.ndarray], N: int, seed: int) -> list[np.ndarray]:
    """Odds (n, N) of N models with random linear utilities, for each array of contexts (n, d).

    Each model's utilities have mean 0 and standard deviation :data:`SPREAD` over the first of them.
    """
    d = contexts[0].shape[1]
    normal = Streams(seed).generator("linear world").standard_normal((N, d))
    utilities = [x @ normal.T for x in contexts]
    mean, scale = utilities[0].mean(axis=0), utilities[0].std(axis=0)
    return [np.exp(SPREAD * (u - mean) / scale) for u in utilities]


def blended(
    contexts: list[np.ndarray], odds: list[np.ndarray], recorded_share: float
) -> list[np.ndarray]:
    """Odds (n, N) of departure rates ``share * recorded + (1 - share) * linear``, for each array.

    The linear part is the ridge logistic fit of the recorded rates on the contexts, model by model. So
    both parts have about the same rates, and differ in how much of them the context explains.

    Parameters
    ----------
    contexts, odds : (n, d) and recorded (n, N), array by array; the fit is over all of them.
    """
    if recorded_share == 1.0:
        return odds
    rates = np.concatenate(odds)
    rates /= 1.0 + rates
    linear = fitted_rates(np.concatenate(contexts), rates)
    mixed = recorded_share * rates + (1.0 - recorded_share) * linear
    return np.split(mixed / (1.0 - mixed), np.cumsum([len(x) for x in contexts])[:-1])


def fitted_rates(x: np.ndarray, rates: np.ndarray) -> np.ndarray:
    """Ridge logistic fit of each model's rates (n, N) on contexts (n, d) and an intercept: (n, N)."""
    features = np.hstack([x, np.ones((x.shape[0], 1))])
    n, ones = x.shape[0], np.ones(x.shape[0])
    fitted = np.empty_like(rates)
    for j in range(rates.shape[1]):
        history = BlockHistory(features, ones[:, None], rates[:, [j]], ones, np.zeros(n))
        theta = ridge_mle(np.zeros((1, features.shape[1])), history, RIDGE, tolerance=1e-6)
        fitted[:, j] = 1.0 / (1.0 + np.exp(-features @ theta[0]))
    return fitted


def played(
    world: World, cell: Cell, policy: str, seed: int, T: int, pool_size: int = 1000
) -> Trajectory:
    """A run of a policy with its default settings; `pool_size` is of a routing table only."""
    return play(Task(cell, policy, seed, T, pool_size, LearnerSettings()), world).trajectory


def service_of(environment: Environment, cell: Cell, T: int) -> Service:
    """What a policy knows of T rounds in this environment, with the default settings."""
    return Service(environment.contexts, environment.n_models, cell.K, T, cell.arrival_rate)


@dataclass(frozen=True)
class ScenarioTask:
    """One policy in one scenario with one seed, for at most T rounds.

    Where no prompt comes twice the pool is all rows but the tuning and refinement rows, and the rounds
    are as many as it lasts.
    """

    scenario: str
    policy: str
    seed: int
    T: int
    pool_size: int


@dataclass(frozen=True)
class SpreadTask:
    """The refinement rows of one seed in one scenario, under every spread of the prior."""

    scenario: str
    seed: int
    pool_size: int


def run(task: ScenarioTask, table: RoutingTable) -> pd.DataFrame:
    """Regret and beliefs at 25 checkpoints.

    Returns
    -------
    Columns `world` (the scenario), `policy`, `seed`, `t`, `regret` (cumulative), `queue_mean`, and for
    the policies with memory `fresh`, `half`, `all` (probability that none, half, all of the effect
    persists), `prompt` (that it belongs to the prompt) and `agreement` (expected correlation of models).
    """
    once = task.scenario == ONCE
    size = largest_pool(table, len(table)) if once else task.pool_size
    T = min(task.T, rounds_once(size, CELL.arrival_rate)) if once else task.T
    made, streams = scenario(task.scenario, table, task.seed, CELL.lam, size), Streams(task.seed)
    draws = draw(streams, size, CELL.arrival_rate, T)
    draws = once_each(draws, task.seed, size) if once else draws
    at, service = checkpoints(T, CHECKPOINTS), service_of(made.environment, CELL, T)
    policy = ENTRIES[task.policy].make(service, streams, made.environment, made)
    recorder = BeliefRecorder(policy, at)
    measured = measure(simulate(made.environment, recorder, CELL.K, draws), at, None)
    about = {"world": task.scenario, "policy": task.policy, "seed": task.seed, "t": at}
    values = {**about, "regret": measured["regret"], "queue_mean": measured["queue_mean"]}
    return pd.DataFrame(values).join(recorder.beliefs())


class BeliefRecorder:
    """A policy whose beliefs about persistence are recorded after the rounds `at`, int (n,)."""

    def __init__(self, policy: Policy, at: np.ndarray) -> None:
        self._policy, self._at = policy, at
        self._seen: list[tuple[float, ...]] = []
        self.observe = policy.observe

    def choose(self, t: int, waiting: Waiting) -> Decision:
        self._record(t - 1)
        return self._policy.choose(t, waiting)

    def _record(self, t: int) -> None:
        """Rounds with an empty queue change no belief, so skipped rounds have the present one."""
        while len(self._seen) < len(self._at) and self._at[len(self._seen)] <= t:
            memory = isinstance(self._policy, MemoryLearner)
            nothing = (np.nan,) * len(BELIEFS)
            self._seen.append(beliefs_of(self._policy.filter) if memory else nothing)

    def beliefs(self) -> pd.DataFrame:
        """A row per round in `at`, columns :data:`BELIEFS`; NaN for policies without them."""
        self._record(int(self._at[-1]))
        return pd.DataFrame(self._seen, columns=list(BELIEFS))


def beliefs_of(filter_: Filter) -> tuple[float, ...]:
    """Posterior probabilities of no, half and full persistence, of effects by prompt, and the expected
    correlation of the effects given that there are any (:data:`BELIEFS`)."""
    weights, share = filter_.weights, filter_.share
    prompt = np.array([h.unit == "prompt" and h.share > 0 for h in filter_.hypotheses])
    agreement = np.array([h.agreement for h in filter_.hypotheses])
    some = weights[share > 0].sum()
    expected = float(weights[share > 0] @ agreement[share > 0] / some) if some > 0 else np.nan
    cuts = (share == 0.0, (share > 0.0) & (share < 0.9), share >= 0.9, prompt)
    return (*(float(weights[cut].sum()) for cut in cuts), expected)


def run_spreads(task: SpreadTask, table: RoutingTable) -> pd.DataFrame:
    """Columns `world` (the scenario), `seed`, `spread` and `evidence`, a row per spread.

    The evidence is the log probability (nats) of the rows' scores, one after another, under a spread.
    """
    made = scenario(task.scenario, table, task.seed, CELL.lam, task.pool_size)
    given = made.rows["refinement"]
    priors = [Prior(context=spread) for spread in SPREADS]
    found = [warm(given.contexts, given.contexts, given.rates, prior)[1] for prior in priors]
    rows = {"world": task.scenario, "seed": task.seed, "spread": SPREADS, "evidence": found}
    return pd.DataFrame(rows)


def worlds(data: str, seeds: Iterable[int], T: int) -> Study:
    """Every policy in every scenario with every seed."""
    which = product(SCENARIOS, seeds, POLICIES_COMPARED)
    return Study(
        f"beyond-worlds-{data}",
        1,
        data,
        tuple(ScenarioTask(name, policy, seed, T, 1000) for name, seed, policy in which),
        run,
        stratum=lambda task: task.scenario if task.policy in QUICK else task.policy,
        cost=lambda task: 0.3 if task.policy in QUICK else 1.2,
        # Sums of products: their last digits differ between releases of BLAS.
        tolerance={"regret": 1e-6, **dict.fromkeys(BELIEFS, 1e-9)},
    )


def spreads(data: str, seeds: Iterable[int]) -> Study:
    """Every scenario with every seed, but for the one whose refinement rows are another's."""
    tasks = tuple(SpreadTask(name, seed, 1000) for name, seed in product(SCENARIOS[:-1], seeds))
    how = {"cost": lambda task: 2.0, "tolerance": {"evidence": 1e-6}}
    return Study(f"beyond-spreads-{data}", 1, data, tasks, run_spreads, **how)


STUDIES = (
    worlds("routerbench", range(42, 52), 2000),
    worlds("persistence-standin", (42, 43), 1000),
    spreads("routerbench", range(42, 52)),
    spreads("persistence-standin", (42, 43)),
)
