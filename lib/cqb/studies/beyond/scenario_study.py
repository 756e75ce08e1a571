"""Policies in scenarios from recorded answers to the paper's model, and what they believe of them.

Two studies, K = 1: the regret of every policy with the beliefs of those with memory, and the evidence of
each spread of the prior on the scored rows that ACQB-MW starts from.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd

from ...environment import draw
from ...metrics import checkpoints, measure
from ...persistence import Prior
from ...persistence.filter import SPREADS, Filter, warm
from ...policies import POLICIES, PolicyEntry
from ...policies.acqb import acqb
from ...policies.acqb_memory import MemoryLearner
from ...routing_table import RoutingTable
from ...runs import Cell
from ...simulate import Decision, Policy, Waiting, simulate
from ...streams import Streams
from ...study import Study
from .scenarios import ONCE, SCENARIOS, once_each, scenario, service_of

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
REFINEMENT = 110  # rows, the number that :func:`cqb.routing_table.split_rows` draws
BELIEFS = ("fresh", "half", "all", "prompt", "agreement")


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
    size = len(table) - len(table) // 5 - REFINEMENT if once else task.pool_size
    T = min(task.T, _rounds_of(size)) if once else task.T
    made, streams = scenario(task.scenario, table, task.seed, CELL.lam, size), Streams(task.seed)
    draws = draw(streams, size, CELL.arrival_rate, T)
    draws = once_each(draws, task.seed, size) if once else draws
    at, service = checkpoints(T, CHECKPOINTS), service_of(made.environment, CELL, T)
    policy = ENTRIES[task.policy].make(service, streams, made.environment, made)
    recorder = BeliefRecorder(policy, at)
    measured = measure(simulate(made.environment, recorder, CELL.K, draws), at, None)
    values = {
        "world": task.scenario,
        "policy": task.policy,
        "seed": task.seed,
        "t": at,
        "regret": measured["regret"],
        "queue_mean": measured["queue_mean"],
    }
    return pd.DataFrame(values).join(recorder.beliefs())


def _rounds_of(prompts: int) -> int:
    """How many rounds prompts last; a margin of five standard deviations keeps arrivals below them."""
    rate = CELL.arrival_rate
    return int((prompts - 5.0 * np.sqrt(0.25 * prompts / rate)) / rate)


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
    )


def spreads(data: str, seeds: Iterable[int]) -> Study:
    """Every scenario with every seed, but for the one whose refinement rows are another's."""
    tasks = tuple(SpreadTask(name, seed, 1000) for name, seed in product(SCENARIOS[:-1], seeds))
    return Study(f"beyond-spreads-{data}", 1, data, tasks, run_spreads, cost=lambda task: 2.0)


STUDIES = (
    worlds("routerbench", range(42, 52), 2000),
    worlds("persistence-standin", (42, 43), 1000),
    spreads("routerbench", range(42, 52)),
    spreads("persistence-standin", (42, 43)),
)
