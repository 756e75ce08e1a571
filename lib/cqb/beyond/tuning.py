"""Settings chosen on the tuning rows and other seeds than those reported, the whole grid shown.

The tuning rows are a world of their own (a fifth of the table, the same for every seed). It has fewer
prompts than a reported pool, so the horizon is shortened until a prompt recurs as often. A setting's
score is its final regret, averaged over cells and seeds; the lowest mean wins, one grid for each
policy, and no reported run is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import product

import pandas as pd

from ..environment import draw
from ..persistence.filter import Prior
from ..policies import POLICIES, LearnerSettings, Service
from ..policies.acqb_memory import MemorySettings, acqb_memory
from ..routing_table import RoutingTable
from ..simulate import Policy, simulate
from ..streams import Streams
from .laws import tuning_environment

Build = Callable[[Service, Streams], Policy]
SEEDS = tuple(range(100, 106))
CELLS = ((1, 0.0, 0.6), (1, 5.0, 0.6))  # (K, lam, arrival rate)


@dataclass(frozen=True)
class Candidate:
    """A policy with a setting, and how to build it."""

    policy: str
    setting: str
    build: Build


def learner_candidates(policy: str) -> list[Candidate]:
    """lambda0 first, then alpha_coef and the exploration rate around the usual ones."""
    changes = [{"lambda0": 4.0**-k} for k in range(4)]
    changes += [{"lambda0": 4.0**-k, "alpha_coef": 1e-3} for k in range(1, 4)]
    changes += [{"lambda0": 4.0**-k, "exploration_rate": 0.05} for k in range(1, 4)]
    return [_learner(policy, change) for change in changes]


def _learner(policy: str, change: dict[str, float]) -> Candidate:
    settings = LearnerSettings().with_(**change)

    def build(service: Service, streams: Streams) -> Policy:
        return POLICIES[policy].factory(replace(service, learner=settings), streams)

    return Candidate(policy, ", ".join(f"{k} {v:g}" for k, v in change.items()), build)


def memory_candidates() -> list[Candidate]:
    """Spread of the parameters, the part shared between models, and the scale of sampling."""
    grid = [*product((0.35, 0.5, 1.0), (0.0,), (0.25,)), (0.35, 1.0, 0.25), (0.35, 4.0, 0.25)]
    grid += [(0.5, 0.0, sampling) for sampling in (0.0, 0.5, 1.0)]
    return [_memory(*point) for point in grid]


def _memory(context: float, shared: float, sampling: float) -> Candidate:
    settings = MemorySettings(Prior(context=context, shared=shared), sampling)

    def build(service: Service, streams: Streams) -> Policy:
        return acqb_memory(service, streams, settings)

    name = f"context {context:g}, shared {shared:g}, sampling {sampling:g}"
    return Candidate("ACQB-M", name, build)


def horizon(prompts: int, T: int = 5000, pool_size: int = 1000) -> int:
    """The rounds at which `prompts` recur as often as those of a reported pool do by T."""
    return max(1, round(T * prompts / pool_size))


def tune(
    table: RoutingTable,
    candidates: Iterable[Candidate],
    *,
    cells: Sequence[tuple[int, float, float]] = CELLS,
    seeds: Sequence[int] = SEEDS,
) -> pd.DataFrame:
    """Final regret of every candidate in every cell with every seed.

    Returns
    -------
    Columns `policy`, `setting`, `K`, `lam`, `arrival_rate`, `seed`, `regret`.
    """
    worlds = {lam: tuning_environment(table, lam) for _, lam, _ in cells}
    rows = []
    for candidate, (K, lam, rate), seed in product(candidates, cells, seeds):
        world, streams = worlds[lam], Streams(seed)
        T = horizon(world.pool_size)
        service = Service(world.contexts, world.n_models, K, T, rate)
        draws = draw(streams, world.pool_size, rate, T)
        regret = simulate(world, candidate.build(service, streams), K, draws).regret.sum()
        rows.append((candidate.policy, candidate.setting, K, lam, rate, seed, regret))
    names = ["policy", "setting", "K", "lam", "arrival_rate", "seed", "regret"]
    return pd.DataFrame(rows, columns=names)


def chosen(scores: pd.DataFrame) -> pd.Series:
    """The setting of lowest mean regret by policy; ties to the one that came first."""
    mean = scores.groupby(["policy", "setting"], sort=False)["regret"].mean()
    best = mean.groupby(level=0, sort=False).idxmin()
    return best.map(lambda found: found[1])
