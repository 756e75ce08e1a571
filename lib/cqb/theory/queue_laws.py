"""Checks of E3 to E5: laws and capacities of queues in which nothing is learned."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..environment import draw
from ..policies import LearnerSettings, Service
from ..policies.uniform import RANDOM
from ..simulate import Policy, Trajectory, simulate
from ..streams import Streams
from ..synthetic import Scenario, fixed_rates, linear_world
from . import queues
from .orders import (
    FixedRule,
    always,
    by_rate,
    cycling,
    first_come,
    head,
    last_come,
    shuffled,
)
from .settings import Setting
from .verdicts import FAILS, HOLDS, OUT_OF_REACH, Check, Verdict, interval

WIDEST_SHARE = 0.06  # an interval on P(Q = 0) wider than this decides nothing


def one_queue(setting: Setting, arrival_rate: float = 0.5, mu: float = 0.7) -> Check:
    """E3: the stationary law of one context and one assortment, simulated against closed forms."""
    law = queues.stationary_law(arrival_rate, mu, 2)
    world = fixed_rates([mu], arrival_rate)
    offer = always([(0,)])
    runs = [
        _run(world, FixedRule(head, offer), seed, setting.queue_rounds)
        for seed in range(setting.queue_runs)
    ]
    measures = {
        "P(Q = 0)": (law[0], [np.mean(_settled(r.queue) == 0) for r in runs]),
        "P(Q = 1)": (law[1], [np.mean(_settled(r.queue) == 1) for r in runs]),
        "P(Q = 2)": (law[2], [np.mean(_settled(r.queue) == 2) for r in runs]),
        "E[Q]": (queues.mean_queue(arrival_rate, mu), [_settled(r.queue).mean() for r in runs]),
        "sojourn": (queues.mean_sojourn(arrival_rate, mu), [_sojourn(r) for r in runs]),
    }
    table = _against(measures)
    chain = queues.chain_law(arrival_rate, mu, 80)
    closed = queues.stationary_law(arrival_rate, mu, 80)
    exact_part = float(np.max(np.abs(chain - closed)))
    return _share_check(
        "E3",
        "one departure rate: the queue's law, mean and mean sojourn in closed form",
        table,
        setting,
        f"closed form and transition matrix differ by at most {exact_part:.0e}",
        exact_part < 1e-10,
    )


def idle_share(setting: Setting, load: float = 0.85) -> Check:
    """E4: P(Q = 0) = 1 - rho for every order that never idles; only the mean queue differs."""
    world = _loaded(linear_world(4, N=4, d=3, scale=2.0, pool_size=500), load)
    environment = world.environment
    rates = environment.departure_rates(1)
    offer = always([tuple(s) for s in environment.best_assortments(1).tolist()])
    makers = {
        "largest rate first": lambda seed: by_rate(rates),
        "first come": lambda seed: first_come,
        "retries at the back": lambda seed: head,
        "last come": lambda seed: last_come,
        "random order": lambda seed: shuffled(Streams(seed)),
        "smallest rate first": lambda seed: by_rate(rates, largest=False),
    }
    measures, mean_queues = {}, []
    for name, make in makers.items():
        runs = [
            _run(world, FixedRule(make(seed), offer), seed, setting.queue_rounds)
            for seed in range(setting.queue_runs)
        ]
        measures[name] = (1.0 - load, [np.mean(_settled(r.queue) == 0) for r in runs])
        mean_queues.append(float(np.mean([_settled(r.queue).mean() for r in runs])))
    table = _against(measures).assign(**{"mean queue": mean_queues})
    return _share_check(
        "E4",
        "any order that never idles: stable iff rho = lambda E[1/p] < 1, and P(Q = 0) = 1 - rho",
        table,
        setting,
        f"rho = {load}; the orders' mean queues range from {min(mean_queues):.1f} to "
        f"{max(mean_queues):.1f}",
    )


def fixed_rules(setting: Setting, load: float = 0.8) -> Check:
    """E5: capacities of rules that offer the same query the same models, met in simulation."""
    world = linear_world(5, N=4, d=3, scale=2.0, pool_size=500)
    odds = world.environment.odds
    single = odds / (1.0 + odds)
    ranking = np.argsort(-single.mean(axis=0))
    best = int(np.argmin((1.0 / single).mean(axis=0)))
    oracle = always([tuple(s) for s in world.environment.best_assortments(1).tolist()])
    rules = {
        "oracle": (world.capacity, lambda seed: FixedRule(head, oracle)),
        "RANDOM": (queues.capacity(single.mean(axis=1)), lambda seed: _random(world, seed)),
        "best single model": (
            queues.capacity(single[:, best]),
            lambda seed: FixedRule(head, always([(best,)] * len(odds))),
        ),
        "cycle by mean score": (
            queues.cycle_capacity(single[:, ranking]),
            lambda seed: FixedRule(head, cycling(ranking.tolist())),
        ),
    }
    measures = {}
    for name, (capacity, make) in rules.items():
        runs = [
            _run(_at(world, load * capacity), make(seed), seed, setting.queue_rounds)
            for seed in range(setting.queue_runs)
        ]
        measures[name] = (1.0 - load, [np.mean(_settled(r.queue) == 0) for r in runs])
    table = _against(measures).assign(capacity=[capacity for capacity, _ in rules.values()])
    return _share_check(
        "E5",
        "a fixed rule's largest stable arrival rate is 1/E[serves per query]",
        table,
        setting,
        f"each rule run at {load} of its own capacity",
    )


def _share_check(
    id: str, prediction: str, table: pd.DataFrame, setting: Setting, note: str, also: bool = True
) -> Check:
    """Judge a table of predicted against simulated shares by its first row and all intervals."""
    inside = bool(
        ((table["low"] <= table["predicted"]) & (table["predicted"] <= table["high"])).all()
    )
    shares = table[table["predicted"] < 1.0]
    width = float((shares["high"] - shares["low"]).max())
    verdict = OUT_OF_REACH if width > WIDEST_SHARE else HOLDS
    first = table.iloc[0]
    return Check(
        Verdict(
            id,
            prediction,
            float(first["simulated"]),
            float(first["low"]),
            float(first["high"]),
            f"all {len(table)} intervals, jointly at 95%, cover the closed form "
            f"(first: {first['predicted']:.3f}) and no share's is wider than {WIDEST_SHARE}",
            verdict if inside and also else FAILS,
            note,
            setting.name,
        ),
        table,
    )


def _against(measures: dict[str, tuple[float, list[float]]]) -> pd.DataFrame:
    """Predicted values beside simulated means with intervals that hold jointly (Bonferroni)."""
    level = 1.0 - 0.05 / len(measures)
    rows = []
    for name, (predicted, values) in measures.items():
        mean, low, high = interval(np.array(values), level)
        rows.append(
            {"quantity": name, "predicted": predicted, "simulated": mean, "low": low, "high": high}
        )
    return pd.DataFrame(rows)


def _run(world: Scenario, policy: Policy, seed: int, T: int) -> Trajectory:
    draws = draw(Streams(seed), world.environment.pool_size, world.arrival_rate, T)
    return simulate(world.environment, policy, world.K, draws)


def _random(world: Scenario, seed: int) -> Policy:
    environment = world.environment
    service = Service(
        environment.contexts, environment.n_models, world.K, 1, 0.5, LearnerSettings()
    )
    return RANDOM.factory(service, Streams(seed))


def _at(world: Scenario, arrival_rate: float) -> Scenario:
    return world.with_slackness(world.capacity - arrival_rate)


def _loaded(world: Scenario, load: float) -> Scenario:
    return _at(world, load * world.capacity)


def _settled(queue: np.ndarray) -> np.ndarray:
    """The queue after the first tenth of the rounds, which the empty start colours."""
    return queue[queue.size // 10 :]


def _sojourn(run: Trajectory) -> float:
    """Mean rounds from arrival to departure, of arrivals long enough before the end."""
    arrived, departed = run.arrived, run.departed
    kept = (arrived > run.queue.size // 10) & (arrived < run.queue.size - 100)
    done = kept & (departed > 0)
    return float(np.mean((departed - arrived)[done]))
