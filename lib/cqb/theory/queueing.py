"""Checks of queues in which nothing is learned: laws (E3, E4), capacities (E5, E10), overload (R6).

The runs of every check give rows with a quantity's closed form, `predicted`, and its value in a
simulation, `simulated`; a judgement compares the two over the runs (:func:`cqb.theory.compared`).
"""

from collections.abc import Callable
from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd

from ..policies.fixed import Uniform
from ..simulate import Trajectory
from ..streams import Streams
from ..synthetic import fixed_rates, hidden_fit, linear_world
from . import FAILS, Check, Row, Task, compared, decided, estimate, laws, worlds
from .worlds import FixedRule, Offer, Order, best_offer, cycling, head

WIDEST_SHARE = 0.06  # an interval on P(Q = 0) wider than this decides nothing
WIDEST_GROWTH = 0.05  # and an interval on the growth of a queue
E3_RATES = (0.5, 0.7)  # arrival and departure rate
E4_LOAD, E5_LOAD = 0.85, 0.8
# From departure rates by pool entry and a seed.
ORDERS: dict[str, Callable[[np.ndarray, int], Order]] = {
    "largest rate first": lambda rates, seed: worlds.by_rate(rates),
    "first come": lambda rates, seed: worlds.first_come,
    "retries at the back": lambda rates, seed: head,
    "last come": lambda rates, seed: worlds.last_come,
    "random order": lambda rates, seed: worlds.shuffled(seed),
    "smallest rate first": lambda rates, seed: worlds.by_rate(-rates),
}
RULES = ("oracle", "RANDOM", "best single model", "cycle by mean score")  # as in laws.RULES
GOOD, BAD = 0.99, 0.1  # departure rates of E10
# Mean serves per query by closed form or recursion, and what is offered by N and a seed.
MEMORIES: dict[str, tuple[Callable[..., float], Callable[[int, int], Offer]]] = {
    "same model": (laws.same_model_serves, lambda N, seed: cycling([0])),
    "random model": (laws.random_model_serves, worlds.random_model),
    "greedy memory": (laws.greedy_memory_serves, lambda N, seed: cycling(range(N))),
}
OVERLOADS = tuple(
    product(("two types", "linear world"), ("random", "retries at the back"), (0.8, 1.5))
)


def one_queue(task: Task) -> pd.DataFrame:
    """E3: one departure rate: the law of the queue, its mean, and the mean sojourn.

    `difference` is the largest difference of the closed form to the transition matrix.
    """
    arrival_rate, mu = E3_RATES
    chain, closed = (law(arrival_rate, mu, 80) for law in (laws.chain_law, laws.stationary_law))
    world = fixed_rates([mu], arrival_rate)
    run = worlds.run(world, FixedRule(head, cycling([0])), task.seed, task.T)
    queue = _settled(run.queue)
    found = [(f"P(Q = {n})", closed[n], np.mean(queue == n)) for n in range(3)]
    found += [("E[Q]", laws.mean_queue(arrival_rate, mu), queue.mean())]
    found += [("sojourn", laws.mean_sojourn(arrival_rate, mu), _sojourn(run))]
    rows = pd.DataFrame(found, columns=["quantity", "predicted", "simulated"])
    return rows.assign(difference=np.abs(chain - closed).max())


def judge_one_queue(rows: pd.DataFrame) -> Check:
    """E3: the stationary law of one context and one assortment against closed forms."""
    difference = rows["difference"].max()
    found = _shares(
        "one departure rate: the queue's law, mean and mean sojourn in closed form",
        compared(rows, ["quantity"]),
        f"closed form and transition matrix differ by at most {difference:.0e}",
    )
    return found if difference < 1e-10 else replace(found, verdict=FAILS)


def idle_share(task: Task) -> Row:
    """E4: the share of rounds without a queue, and the mean queue, under one order of service."""
    (name,) = task.case
    world = linear_world(4, N=4, d=3, scale=2.0, pool_size=500)
    world = world.with_slackness(world.capacity - E4_LOAD * world.capacity)
    environment = world.environment
    rates = environment.departure_rates(1)
    policy = FixedRule(ORDERS[name](rates, task.seed), best_offer(environment))
    queue = _settled(worlds.run(world, policy, task.seed, task.T).queue)
    idle, predicted = float(np.mean(queue == 0)), 1.0 - laws.load(world.arrival_rate, rates)
    found = {"predicted": predicted, "simulated": idle, "mean queue": float(queue.mean())}
    return {"quantity": name, **found}


def judge_idle_share(rows: pd.DataFrame) -> Check:
    """E4: P(Q = 0) = 1 - rho for every order that never idles; only the mean queue differs."""
    mean_queue = rows.groupby("quantity", sort=False)["mean queue"].mean()
    table = compared(rows, ["quantity"]).assign(**{"mean queue": mean_queue.to_numpy()})
    return _shares(
        "any order that never idles: stable iff rho = lambda E[1/p] < 1, and P(Q = 0) = 1 - rho",
        table,
        f"rho = {E4_LOAD}; the orders' mean queues range from {mean_queue.min():.1f} to "
        f"{mean_queue.max():.1f}",
    )


def fixed_rules(task: Task) -> Row:
    """E5: the idle share of a rule that offers a query the same models, near its own capacity."""
    (name,) = task.case
    world = linear_world(5, N=4, d=3, scale=2.0, pool_size=500)
    single = world.environment.odds / (1.0 + world.environment.odds)
    ranking = np.argsort(-single.mean(axis=0)).tolist()
    best = int(np.argmin((1.0 / single).mean(axis=0)))
    place = RULES.index(name)
    capacity = list(laws.capacities(world.environment, 1, ranking).values())[place]
    policy = (
        FixedRule(head, best_offer(world.environment)),
        Uniform(worlds.service_of(world, task.T), Streams(task.seed)),
        FixedRule(head, cycling([best])),
        FixedRule(head, cycling(ranking)),
    )[place]
    world = replace(world, arrival_rate=E5_LOAD * capacity)
    idle = float(np.mean(_settled(worlds.run(world, policy, task.seed, task.T).queue) == 0))
    found = {"predicted": 1.0 - E5_LOAD, "simulated": idle, "capacity": capacity}
    return {"quantity": name, **found}


def judge_fixed_rules(rows: pd.DataFrame) -> Check:
    """E5: capacities of rules that offer the same query the same models, met in simulation."""
    table = compared(rows, ["quantity"], ["capacity"])
    return _shares(
        "a fixed rule's largest stable arrival rate is 1/E[serves per query]",
        table,
        f"each rule run at {E5_LOAD} of its own capacity",
    )


def memory_serves(task: Task) -> Row:
    """E10: mean serves per departed query, each query served until it departs."""
    N, name = task.case
    formula, offer = MEMORIES[name]
    predicted = formula(N, GOOD, BAD)
    # Nine tenths of the capacity: the queue is rarely empty and never long.
    world = hidden_fit(N, GOOD, BAD, arrival_rate=0.9 / predicted)
    run = worlds.run(world, FixedRule(worlds.first_come, offer(N, task.seed)), task.seed, task.T)
    serves = float((run.query >= 0).sum() / (run.departed > 0).sum())
    found = {"predicted": predicted, "simulated": serves, "capacity": 1.0 / predicted}
    return {"N": N, "rule": name, **found}


def judge_memory(rows: pd.DataFrame) -> Check:
    """E10: mean serves per query without memory, at random, and with memory."""
    table = compared(rows, ["N", "rule"], ["capacity"])
    last = table.iloc[-1]
    prediction = "without memory a useless context costs 9.18 serves a query, with it 4.43 (N = 11)"
    criterion = (
        f"all 6 intervals, jointly at 95%, cover the recursion (last: {last['predicted']:.3f})"
    )
    note = "so one model per context for ever is worse than RANDOM, whatever was learned"
    return Check(prediction, table, *estimate(last, "simulated"), criterion, _verdict(table), note)


def growth(task: Task) -> Row:
    """R6: queries per round by which a queue grows over the second half of its rounds, model 0 only."""
    name, order, load = task.case
    world = fixed_rates([0.2, 0.9], 0.5)
    if name == "linear world":
        world = linear_world(6, N=3, d=3, scale=2.0, pool_size=400)
    p = (world.environment.odds / (1.0 + world.environment.odds))[:, 0]
    rate = min(load * laws.capacity(p), 0.98)
    serve = head if order == "retries at the back" else worlds.shuffled(task.seed)
    policy = FixedRule(serve, cycling([0]))
    queue = worlds.run(replace(world, arrival_rate=rate), policy, task.seed, task.T).queue
    half = task.T // 2
    return {
        "world": name,
        "order": order,
        "rho": laws.load(rate, p),
        "predicted": laws.growth(rate, p),
        "simulated": float(queue[-1] - queue[half]) / (task.T - half),
    }


def judge_growth(rows: pd.DataFrame) -> Check:
    """R6: beyond its capacity a random-order or FIFO queue grows at the root of an equation."""
    table = compared(rows, ["world", "order", "rho"])
    first = table.iloc[1]
    prediction = "RANDOM and FIFO with retries at the back: stable for rho < 1, else linear growth"
    criterion = (
        f"all 8 slopes cover the root of lambda E[1/(s + p)] = 1 (this one "
        f"{first['predicted']:.3f}) to .001, none wider than {WIDEST_GROWTH}"
    )
    # A finite queue that has not quite settled still drifts a little: hence the thousandth.
    verdict = _verdict(table, WIDEST_GROWTH, 1e-3)
    note = f"{rows['seed'].nunique()} runs of {rows['T'].iloc[0]} rounds"
    return Check(prediction, table, *estimate(first, "simulated"), criterion, verdict, note)


def _shares(prediction: str, table: pd.DataFrame, note: str) -> Check:
    """Judge a table of predicted and simulated shares by its first row and all intervals."""
    first = table.iloc[0]
    criterion = (
        f"all {len(table)} intervals, jointly at 95%, cover the closed form "
        f"(first: {first['predicted']:.3f}) and no share's is wider than {WIDEST_SHARE}"
    )
    verdict = _verdict(table, WIDEST_SHARE)
    return Check(prediction, table, *estimate(first, "simulated"), criterion, verdict, note)


def _verdict(table: pd.DataFrame, widest: float = np.inf, by: float = 0.0) -> str:
    """Fails where an interval does not cover the closed form, up to `by`.

    Out of reach where the interval of a share or a slope, a number below 1, is wider than `widest`.
    """
    covered = table["predicted"].between(table["low"] - by, table["high"] + by).all()
    wide = (table["high"] - table["low"])[table["predicted"] < 1.0] > widest
    return decided(covered and not wide.any(), not covered)


def _settled(queue: np.ndarray) -> np.ndarray:
    """The queue after the first tenth of the rounds, on which the empty start has an effect."""
    return queue[queue.size // 10 :]


def _sojourn(run: Trajectory) -> float:
    """Mean rounds from arrival to departure, of arrivals long enough before the end."""
    arrived, departed = run.arrived, run.departed
    settled = (arrived > run.queue.size // 10) & (arrived < run.queue.size - 100)
    done = settled & (departed > 0)
    return float(np.mean((departed - arrived)[done]))
