"""Settings chosen on the tuning rows and other seeds than those reported, the whole grid shown.

The tuning rows are a world of their own (a fifth of the table, the same for every seed). It has fewer
prompts than a reported pool, so the horizon is shortened until a prompt recurs as often. A setting's
score is the logarithm of its final regret, averaged over places and seeds, so that no place outweighs
the others. The lowest mean wins, but the first of a grid stays unless it is beaten by more than one
standard error of the paired difference; no reported run is looked at. Exploration rates come second, by
the same rule: they are tried with the setting that the grid chose, which comes first. A policy that
knows one kind of world only (ACQB and its relatives) is given its best setting in each kind; a policy
that should find out has one setting for both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import NamedTuple

import numpy as np
import pandas as pd

from ..environment import Environment, draw, pooled_environment
from ..experiment.code_hash import code_hash, module_of
from ..persistence.filter import Prior
from ..persistence.warm_start import SPREADS
from ..policies import POLICIES, LearnerSettings, Service
from ..policies.acqb import SETTINGS
from ..policies.acqb_memory import MemorySettings, acqb_memory, acqb_memory_warm
from ..policies.acqb_p import PENALISED, PENALTY
from ..policies.offline import ScoredRows
from ..routing_table import RoutingTable, departure_odds
from ..simulate import Policy, simulate
from ..streams import Streams
from .kept import kept
from .laws import tuning_environment
from .worlds import linear_odds

Build = Callable[[Service, Streams], Policy]
BuildWarm = Callable[[Service, Streams, ScoredRows], Policy]
SEEDS = (100, 101, 102, 103)
RECORDED, LINEAR = "recorded", "linear"


class Place(NamedTuple):
    """A kind of world and a setting of the service; lam has no meaning where `world` is linear."""

    world: str
    K: int
    lam: float
    arrival_rate: float


PLACES = (
    Place(RECORDED, 1, 0.0, 0.7),
    Place(RECORDED, 1, 5.0, 0.5),
    Place(RECORDED, 2, 0.0, 0.75),
    Place(LINEAR, 1, 0.0, 0.6),
)


@dataclass(frozen=True)
class Candidate:
    """A policy with a setting, and how to build it; `module` defines it.

    With `warm` the build is given scored rows too, a quarter of the tuning rows that is not served.
    """

    policy: str
    setting: str
    build: Build | BuildWarm
    module: str = ""
    warm: bool = False


GRID = ((0, 1e-4), (1, 1e-3), (2, 1e-4), (2, 1e-3), (3, 1e-3))  # ridge 4^-k, alpha_coef
RATES = (0.0, 0.002, 0.05)  # of exploration, beside the published .01
SECOND = ", exploration_rate"  # what follows a setting's text where a rate is tried with it


def learner_candidates(
    policy: str = "ACQB", chosen: dict[str, float] = SETTINGS
) -> list[Candidate]:
    """The published setting, weaker ridges and wider draws; then other exploration rates.

    `chosen` is the ridge and draw that the rates are tried with, the best of the former.
    """
    first = [{"lambda0": 4.0**-k, "alpha_coef": alpha} for k, alpha in GRID]
    rates = [{**chosen, "exploration_rate": rate} for rate in RATES]
    return [_learner(policy, change) for change in (*first, *rates)]


def penalty_candidates() -> list[Candidate]:
    """ACQB-P over ACQB's grid, and with other penalties."""
    setting = {"lambda0": 1.0 / 16.0, "alpha_coef": 1e-3}
    others = [_learner("ACQB-P", setting, penalty) for penalty in (3.0, 12.0)]
    return [*learner_candidates("ACQB-P", PENALISED), *others]


def _learner(policy: str, change: dict[str, float], penalty: float = PENALTY) -> Candidate:
    settings = LearnerSettings().with_(**change)
    factory = POLICIES[policy].factory
    more = {} if penalty == PENALTY else {"penalty": penalty}

    def build(service: Service, streams: Streams) -> Policy:
        return factory(replace(service, learner=settings), streams, **more)

    text = ", ".join(f"{k} {v:g}" for k, v in change.items())
    if penalty != PENALTY:
        text += f", penalty {penalty:g}"
    return Candidate(policy, text, build, module_of(POLICIES[policy].factory))


def memory_candidates() -> list[Candidate]:
    """Spread of the parameters, then scale of sampling."""
    grid = [(context, 0.0, 0.25) for context in (1.0, 0.35, 0.7, 2.0)]
    grid += [(1.0, 0.0, sampling) for sampling in (0.0, 0.5, 1.0)]
    return [_memory(*point) for point in grid]


def warm_candidates() -> list[Candidate]:
    """ACQB-MW: the spread of the parameters learned from the rows, or given; the rest is ACQB-M's."""
    given = [((spread,), f"context {spread:g}") for spread in (1.0, 0.7, 0.5, 0.35, 0.25)]
    return [_warm(*point) for point in [(SPREADS, "context learned"), *given]]


def _memory(context: float, shared: float, sampling: float) -> Candidate:
    settings = MemorySettings(Prior(context=context, shared=shared), sampling)
    name = f"context {context:g}, shared {shared:g}, sampling {sampling:g}"
    return Candidate(
        "ACQB-M", name, lambda *given: acqb_memory(*given, settings), module_of(acqb_memory)
    )


def _warm(spreads: tuple[float, ...], name: str) -> Candidate:
    return Candidate(
        "ACQB-MW",
        name,
        lambda *given: acqb_memory_warm(*given, spreads=spreads),
        module_of(acqb_memory_warm),
        warm=True,
    )


def horizon(prompts: int, T: int = 5000, pool_size: int = 1000) -> int:
    """The rounds at which `prompts` recur as often as those of a reported pool do by T."""
    return max(1, round(T * prompts / pool_size))


def tune(
    table: RoutingTable,
    candidates: Iterable[Candidate],
    *,
    places: Sequence[Place] = PLACES,
    seeds: Sequence[int] = SEEDS,
    T: int | None = None,
) -> pd.DataFrame:
    """Final regret of every candidate in every place with every seed; finished ones are kept.

    `T` rounds; by default the tuning rows' own :func:`horizon`.

    Returns
    -------
    Columns `policy`, `setting`, `world`, `K`, `lam`, `arrival_rate`, `seed`, `regret`.
    """
    data = table.data_hash()
    frames = [
        kept(
            lambda c=candidate, p=place, s=seed: _score(table, c, p, s, T),
            "tuning",
            candidate.policy,
            candidate.setting,
            place,
            seed,
            T,
            data,
            code_hash("beyond.worlds", "simulate", *filter(None, [candidate.module])),
        )
        for candidate, place, seed in product(candidates, places, seeds)
    ]
    return pd.concat(frames, ignore_index=True)


def _score(
    table: RoutingTable, candidate: Candidate, place: Place, seed: int, T: int | None
) -> pd.DataFrame:
    world, rows = _world(table, place, seed, candidate.warm)
    streams = Streams(seed)
    rounds = T or horizon(world.pool_size)
    service = Service(world.contexts, world.n_models, place.K, rounds, place.arrival_rate)
    draws = draw(streams, world.pool_size, place.arrival_rate, rounds)
    policy = candidate.build(service, streams, *([rows] if candidate.warm else []))
    run = simulate(world, policy, place.K, draws)
    row = (candidate.policy, candidate.setting, *place, seed, run.regret.sum())
    return pd.DataFrame([row], columns=["policy", "setting", *Place._fields, "seed", "regret"])


def _world(
    table: RoutingTable, place: Place, seed: int, warm: bool
) -> tuple[Environment, ScoredRows | None]:
    """The tuning rows as a world; if `warm`, three quarters of them, and the others as scored rows."""
    whole = tuning_environment(table, place.lam)
    order = Streams(seed).generator("warm rows").permutation(whole.pool_size)
    pool, rest = np.split(whole.rows[order if warm else slice(None)], [_served(whole, warm)])
    contexts = [table.embeddings[rows] for rows in (pool, rest)[: 1 + warm]]
    if place.world == LINEAR:
        odds = linear_odds(contexts, whole.n_models, seed)
    else:
        utility = table.utility(place.lam)
        odds = [departure_odds(utility[rows]) for rows in (pool, rest)[: 1 + warm]]
    name = f"{whole.name}, {place.world}"
    environment = pooled_environment(name, whole.stand_in, contexts[0], odds[0], pool)
    return environment, ScoredRows(contexts[1], odds[1]) if warm else None


def _served(whole: Environment, warm: bool) -> int:
    return round(0.75 * whole.pool_size) if warm else whole.pool_size


@dataclass(frozen=True)
class TuningStudy:
    """The grids of ACQB, ACQB-P, ACQB-M and ACQB-MW, every candidate in every place with every seed."""

    seeds: tuple[int, ...] = SEEDS
    places: tuple[Place, ...] = PLACES
    T: int | None = None  # None: the tuning rows' own horizon

    def run(self, table: RoutingTable) -> pd.DataFrame:
        """The whole grid (:func:`tune`)."""
        grids = (
            learner_candidates(),
            penalty_candidates(),
            memory_candidates(),
            warm_candidates(),
        )
        candidates = [candidate for grid in grids for candidate in grid]
        return tune(table, candidates, places=self.places, seeds=self.seeds, T=self.T)


def chosen(scores: pd.DataFrame) -> pd.Series:
    """The setting chosen for each policy, by the rule of this module."""
    found = {}
    for policy, rows in scores.groupby("policy", sort=False):
        logs = rows.assign(log=np.log(rows["regret"])).pivot_table(
            index=[*Place._fields, "seed"], columns="setting", values="log", sort=False
        )
        grid = [setting for setting in logs.columns if SECOND not in setting]
        best = _beats_the_first(logs[grid])
        rates = [setting for setting in logs.columns if setting.startswith(f"{best}{SECOND}")]
        found[policy] = _beats_the_first(logs[[best, *rates]])
    return pd.Series(found, name="setting")


def _beats_the_first(logs: pd.DataFrame) -> str:
    """The column of lowest mean, or the first where that is not lower by a standard error."""
    first, best = logs.columns[0], logs.mean().idxmin()
    gain = logs[first] - logs[best]
    return best if best != first and gain.mean() > gain.std() / np.sqrt(len(gain)) else first
