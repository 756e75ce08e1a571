"""Policies in worlds from recorded answers to the paper's model, and what ACQB-M believes of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from ..environment import draw
from ..experiment.code_hash import code_hash
from ..experiment.provenance import plain
from ..experiment.run_store import policy_code
from ..persistence.filter import Filter
from ..policies import POLICIES, LearnerSettings, Service
from ..policies.acqb_memory import MemoryLearner
from ..policies.offline import OfflineEntry
from ..routing_table import RoutingTable
from ..simulate import Decision, Policy, Waiting, simulate
from ..streams import Streams
from . import worlds
from .kept import kept

RECORDED, HALF, FITTED, LINEAR, ONCE = (
    "recorded answers",
    "half recorded, half fitted linear",
    "fitted linear",
    "random linear",
    "recorded answers, no prompt twice",
)
MAKERS: dict[str, Callable[[RoutingTable, int, float, int], worlds.World]] = {
    RECORDED: worlds.recorded,
    HALF: lambda table, seed, lam, size: worlds.blend(
        table, seed, lam, persistence=0.5, pool_size=size
    ),
    FITTED: lambda table, seed, lam, size: worlds.blend(
        table, seed, lam, persistence=0.0, pool_size=size
    ),
    LINEAR: lambda table, seed, lam, size: worlds.random_linear(table, seed, pool_size=size),
    ONCE: worlds.recorded,
}
# ACQB with the settings that were chosen for it in linear worlds (:mod:`.tuning`).
ACQB_LINEAR = "ACQB-tuned (linear)"
LINEAR_SETTINGS = {"lambda0": 1.0 / 4.0, "alpha_coef": 1e-3}
POLICIES_THERE = (
    "ACQB",
    "ACQB-tuned",
    ACQB_LINEAR,
    "ACQB-P-tuned",
    "ACQB-M",
    "ACQB-MW",
    "ACQB-M-query",
    "ACQB-MW-query",
    "TS-memory",
    "CYCLE",
    "INFORMED",
    "RANDOM",
)
REFINEMENT = 110  # rows, as :func:`.split_rows` deals them
BELIEFS = ("fresh", "half", "all", "prompt", "agreement")


@dataclass(frozen=True)
class WorldStudy:
    """Every policy in every world with every seed, K = 1.

    In the world where no prompt comes twice the pool is all rows but the tuning and refinement rows,
    and the rounds are as many as they last.
    """

    worlds: tuple[str, ...] = tuple(MAKERS)
    policies: tuple[str, ...] = POLICIES_THERE
    seeds: tuple[int, ...] = tuple(range(42, 52))
    lam: float = 0.0
    arrival_rate: float = 0.6
    T: int = 2000
    pool_size: int = 1000
    checkpoints: int = 25

    def run(self, table: RoutingTable) -> pd.DataFrame:
        """Regret and beliefs by round; finished pieces are kept.

        Returns
        -------
        Columns `world`, `policy`, `seed`, `t`, `regret` (cumulative), `queue_mean`, and for the policies
        with memory `fresh`, `half`, `all` (probability that none, half, all of the effect persists),
        `prompt` (that it belongs to the prompt) and `agreement` (expected correlation of models).
        """
        frames = []
        for world, seed in product(self.worlds, self.seeds):
            # Made at the first piece that is not kept: a fit of rates takes seconds.
            made = cache(lambda w=world, s=seed: self._made(table, w, s))
            for policy in self.policies:
                piece = kept(
                    lambda m=made, w=world, p=policy, s=seed: self._piece(m(), w, p, s),
                    "worlds",
                    world,
                    policy,
                    seed,
                    plain(self._sizes()),
                    table.data_hash(),
                    _code(policy),
                )
                frames.append(piece)
        return pd.concat(frames, ignore_index=True)

    def _sizes(self) -> tuple[Any, ...]:
        return (self.lam, self.arrival_rate, self.T, self.pool_size, self.checkpoints)

    def _made(self, table: RoutingTable, world: str, seed: int) -> worlds.World:
        size = len(table) - len(table) // 5 - REFINEMENT if world == ONCE else self.pool_size
        return MAKERS[world](table, seed, self.lam, size)

    def _piece(self, made: worlds.World, world: str, policy: str, seed: int) -> pd.DataFrame:
        environment, streams, T = made.environment, Streams(seed), self.T
        if world == ONCE:
            size = environment.pool_size
            # A margin of five standard deviations keeps the arrivals below the rows.
            T = min(
                T, int((size - 5.0 * np.sqrt(0.25 * size / self.arrival_rate)) / self.arrival_rate)
            )
        draws = draw(streams, environment.pool_size, self.arrival_rate, T)
        if world == ONCE:
            draws = worlds.once_each(draws, seed, environment.pool_size)
        service = Service(
            environment.contexts, environment.n_models, 1, T, self.arrival_rate, _learner(policy)
        )
        at = np.unique(np.linspace(1, T, self.checkpoints + 1).astype(int)[1:])
        watched = Watched(_make(policy, service, streams, made), at)
        run = simulate(environment, watched, 1, draws)
        frame = pd.DataFrame(
            {
                "world": world,
                "policy": policy,
                "seed": seed,
                "t": at,
                "regret": np.cumsum(run.regret)[at - 1],
                "queue_mean": (np.cumsum(run.queue[1:]) / np.arange(1, T + 1))[at - 1],
            }
        )
        return frame.join(watched.beliefs())


class Watched:
    """A policy, whose beliefs about persistence are written down after the rounds `at`."""

    def __init__(self, policy: Policy, at: np.ndarray) -> None:
        self._policy, self._at = policy, at
        self._seen: list[tuple[float, ...]] = []

    def choose(self, t: int, waiting: Waiting) -> Decision:
        self._look(t - 1)
        return self._policy.choose(t, waiting)

    def observe(
        self, t: int, query: int, context: int, assortment: tuple[int, ...], pick: int
    ) -> None:
        self._policy.observe(t, query, context, assortment, pick)

    def _look(self, t: int) -> None:
        """Rounds with an empty queue change no belief, so those passed over hold the present one."""
        while len(self._seen) < len(self._at) and self._at[len(self._seen)] <= t:
            self._seen.append(_belief(self._policy))

    def beliefs(self) -> pd.DataFrame:
        """A row per round in `at`, columns :data:`BELIEFS`; NaN for policies without them."""
        self._look(int(self._at[-1]))
        return pd.DataFrame(self._seen, columns=list(BELIEFS))


def _belief(policy: Policy) -> tuple[float, ...]:
    if not isinstance(policy, MemoryLearner):
        return (np.nan,) * len(BELIEFS)
    return beliefs_of(policy.filter)


def beliefs_of(filter_: Filter) -> tuple[float, ...]:
    """Posterior probabilities of no, half and full persistence, of effects by prompt, and the expected
    correlation of the effects given that there are any (:data:`BELIEFS`)."""
    weights, hypotheses = filter_.weights, filter_.worlds
    share = np.array([world.share for world in hypotheses])
    prompt = np.array([world.unit == "prompt" and world.share > 0 for world in hypotheses])
    agreement = np.array([world.agreement for world in hypotheses])
    some = weights[share > 0].sum()
    expected = float(weights[share > 0] @ agreement[share > 0] / some) if some > 0 else np.nan
    cuts = (share == 0.0, (share > 0.0) & (share < 0.9), share >= 0.9, prompt)
    return (*(float(weights[cut].sum()) for cut in cuts), expected)


def _learner(policy: str) -> LearnerSettings:
    plain_settings = LearnerSettings()
    return plain_settings.with_(**LINEAR_SETTINGS) if policy == ACQB_LINEAR else plain_settings


def _make(policy: str, service: Service, streams: Streams, made: worlds.World) -> Policy:
    entry = POLICIES["ACQB" if policy == ACQB_LINEAR else policy]
    if isinstance(entry, OfflineEntry):
        return entry.factory(service, streams, made.rows[entry.rows])
    return entry.make(service, streams, made.environment)


def _code(policy: str) -> list[str]:
    name = "ACQB" if policy == ACQB_LINEAR else policy
    return [policy_code(name), code_hash("beyond.world_study")]
