"""The queue: its law, the order inside a round, regret, and the oracle."""

from functools import cache
from itertools import combinations, product

import numpy as np
import pytest
from scipy import stats

from cqb.environment import Draws, Environment, draw, pooled_environment
from cqb.policies import POLICIES, Service
from cqb.policies.fixed import Oracle
from cqb.simulate import IDLE, RETRY, Decision, Waiting, simulate
from cqb.streams import Streams


class Script:
    """Serves the head of the queue with a fixed assortment, and remembers what it saw."""

    def __init__(self, assortment: tuple[int, ...], position: int = 0) -> None:
        self.assortment, self.position = assortment, position
        self.seen: list[tuple[int, list[int], bool]] = []
        self.observed: list[tuple[int, int, int]] = []

    def choose(self, t: int, waiting: Waiting) -> Decision:
        self.seen.append((t, list(waiting.query), waiting.fresh))
        return Decision(self.position, self.assortment)

    def observe(self, t, query, context, assortment, pick):
        self.observed.append((t, query, pick))


def _world(rates: np.ndarray) -> Environment:
    """Departure rates (P, N) of single models, one context each."""
    return pooled_environment("test", True, np.eye(len(rates)), rates / (1 - rates))


def _draws(arrives: str, outcome: list[float], rows: list[int] | None = None) -> Draws:
    T = len(arrives)
    return Draws(
        np.array([a == "1" for a in arrives]),
        np.array(rows or [0] * T),
        np.array(outcome),
        np.ones(T),
    )


def test_the_order_inside_a_round():
    # Round 1: nobody waits; query 0 arrives. Round 2: 0 is served, retries and goes back; only
    # then is query 1 admitted, behind it. Round 3: 0 is the head again, and leaves.
    policy = Script((0,))
    world = _world(np.full((2, 2), 0.5))
    run = simulate(world, policy, 1, _draws("1101", [0.9, 0.1, 0.9, 0.1]))
    assert policy.seen == [(2, [0], True), (3, [0, 1], True), (4, [1], False)]
    assert policy.observed == [(2, 0, RETRY), (3, 0, 0), (4, 1, RETRY)]
    assert run.queue.tolist() == [0, 1, 2, 1, 2]
    assert run.query.tolist() == [-1, 0, 0, 1]
    assert run.pick.tolist() == [IDLE, RETRY, 0, RETRY]
    assert run.arrived.tolist() == [1, 2, 4]
    assert run.departed.tolist() == [3, 0, 0]


def test_a_retrying_query_goes_behind_those_who_wait():
    policy = Script((0,))
    simulate(_world(np.full((1, 2), 0.5)), policy, 1, _draws("11100", [0.9, 0.1, 0.1, 0.1, 0.1]))
    # 0 retries in round 2, before 1 is admitted; 0 retries in round 3 and goes behind 1.
    assert policy.seen[2] == (4, [1, 0, 2], True)
    assert policy.seen[3] == (5, [0, 2, 1], False)


def test_retrials_and_repeats_are_recorded_per_query():
    class Alternate(Script):
        def choose(self, t, waiting):
            self.assortment = {2: (0,), 3: (1,), 4: (0,), 5: (0,)}[t]
            return super().choose(t, waiting)

    run = simulate(
        _world(np.full((1, 3), 0.5)), Alternate((0,)), 1, _draws("10010", [0.9, 0.1, 0.1, 0.9, 0.1])
    )
    assert run.retrial.tolist() == [False, False, True, True, False]
    assert run.repeat.tolist() == [False, False, False, True, False]


def test_picks_follow_the_odds_in_the_order_of_the_models():
    world = pooled_environment("test", True, np.eye(1), np.array([[1.0, 2.0, 4.0]]))
    policy = Script((0, 2))
    # Total 1 + 1 + 4: retry below 1/6, model 0 below 2/6, model 2 above.
    run = simulate(world, policy, 2, _draws("11110", [0.0, 0.166, 0.167, 0.333, 0.334]))
    assert run.pick.tolist() == [IDLE, RETRY, 0, 0, 2]


def test_regret_is_measured_against_the_learners_own_queue():
    rates = np.array([[0.9, 0.1], [0.6, 0.5]])
    world = _world(rates)
    # Two queries wait in round 3 (entries 0 and 1); the policy serves the second with model 1.
    run = simulate(world, Script((1,), 0), 1, _draws("1100", [0.5, 0.0, 0.0, 0.0], [1, 0, 0, 0]))
    assert run.row.tolist() == [-1, 1, 1, 0]
    np.testing.assert_allclose(run.regret, [0.0, 0.6 - 0.5, 0.9 - 0.5, 0.9 - 0.1])


@pytest.mark.parametrize(
    "decision",
    [
        Decision(3, (0,)),
        Decision(-1, (0,)),
        Decision(0, (2,)),
        Decision(0, (0, 1)),
        Decision(0, (-1,)),
    ],
)
def test_an_impossible_decision_is_named(decision):
    class Bad(Script):
        def choose(self, t, waiting):
            return decision

    with pytest.raises(ValueError, match="decision: found"):
        simulate(_world(np.full((1, 2), 0.5)), Bad((0,)), 1, _draws("110", [0.5] * 3))


@pytest.mark.parametrize("K", [0, 2, 3])
def test_an_assortment_must_be_smaller_than_the_models(K):
    with pytest.raises(ValueError, match=f"K: found {K}"):
        simulate(_world(np.full((1, 2), 0.5)), Script((0,)), K, _draws("1", [0.5]))


def test_the_queue_has_its_stationary_law():
    # One context at departure rate .6, arrivals at .4 (theory.md, E3). 240,000 rounds in 60
    # batches; intervals at 99.9%. Admitting before serving would give P(Q=0) = .4, not .3333...,
    # and a mean of .84 rather than 1.2.
    rate, mu, T, batches = 0.4, 0.6, 240_000, 60
    world = _world(np.full((1, 2), mu))
    queue = simulate(world, Script((0,)), 1, draw(Streams(11), 1, rate, T)).queue[1:]
    ratio = rate * (1 - mu) / (mu * (1 - rate))
    empty = 1 - rate / mu
    first = (rate / mu) * (1 - ratio)
    law = [empty, *(first * ratio**n for n in range(5))]
    expected = {
        "mean": rate * (1 - rate) / (mu - rate),
        **{f"P({n})": p for n, p in enumerate(law)},
    }
    blocks = queue.reshape(batches, -1)
    for name, value in expected.items():
        means = blocks.mean(1) if name == "mean" else (blocks == int(name[2])).mean(1)
        half = stats.t.ppf(0.9995, batches - 1) * means.std(ddof=1) / np.sqrt(batches)
        assert abs(means.mean() - value) < half, name
        assert half < 0.06 * max(value, 0.05) + 0.01


def test_the_pool_bounds_the_idle_share_whatever_the_order():
    # theory.md, E4: P(Q = 0) = 1 - lambda E[1/p] for any order that never idles.
    rates = np.repeat(np.array([[0.35], [0.8], [0.95]]), 2, axis=1)
    rho = 0.4 * np.mean(1 / rates[:, 0])
    T, batches = 200_000, 50
    for policy in (Script((0,)), Oracle(_world(rates), 1)):
        queue = simulate(_world(rates), policy, 1, draw(Streams(2), 3, 0.4, T)).queue[1:]
        means = (queue.reshape(batches, -1) == 0).mean(1)
        half = stats.t.ppf(0.9995, batches - 1) * means.std(ddof=1) / np.sqrt(batches)
        assert abs(means.mean() - (1 - rho)) < half
        assert half < 0.02


def test_the_oracles_path_by_brute_force():
    rng = np.random.default_rng(5)
    odds = rng.exponential(size=(6, 4))
    world = pooled_environment("test", True, np.eye(6), odds)
    draws = draw(Streams(8), 6, 0.7, 300)
    run = simulate(world, Oracle(world, 2), 2, draws)
    queue: list[int] = []
    for t in range(1, 301):
        if queue:
            options = [
                (odds[row, list(s)].sum(), -place, s)
                for place, row in enumerate(queue)
                for s in combinations(range(4), 2)
            ]
            total, place, assortment = max(options)
            assert run.assortment[t - 1].tolist() == list(assortment)
            row = queue.pop(-place)
            assert run.row[t - 1] == row
            if draws.outcome[t - 1] < 1 / (1 + total):
                queue.append(row)
        if draws.arrives[t - 1]:
            queue.append(int(draws.row[t - 1]))
        assert run.queue[t] == len(queue)
    assert run.regret.max() < 1e-12


def _least_queue(
    rates: tuple[float, ...], arrival: float, start: tuple[int, ...], horizon: int, rule
):
    """Exact E[Q(horizon)]: over chance, and over `rule`'s choices of whom to serve."""

    @cache
    def value(t: int, queue: tuple[int, ...]) -> float:
        if t == horizon:
            return float(len(queue))

        def after_service(queue: tuple[int, ...]) -> float:
            quiet = (1 - arrival) * value(t + 1, queue)
            each = [value(t + 1, (*queue, kind)) for kind in range(len(rates))]
            return quiet + arrival * sum(each) / len(rates)

        if not queue:
            return after_service(())
        costs = []
        for place in rule(queue):
            rest = queue[:place] + queue[place + 1 :]
            p = rates[queue[place]]
            costs.append(p * after_service(rest) + (1 - p) * after_service((*rest, queue[place])))
        return min(costs)

    return value(0, start)


@pytest.mark.parametrize("rates", [(0.2, 0.5, 0.9), (0.45, 0.5, 0.55), (0.05, 0.9, 0.95)])
def test_the_oracles_rule_minimises_the_expected_queue(rates):
    # theory.md, E2, by exact recursion: no choice of whom to serve does better at any start.
    world = _world(np.repeat(np.array(rates)[:, None], 2, axis=1))
    oracle = Oracle(world, 1)

    def its_choice(queue: tuple[int, ...]) -> list[int]:
        waiting = Waiting(list(range(len(queue))), list(queue), list(queue), False)
        return [oracle.choose(1, waiting).position]

    for start in product(range(3), repeat=2):
        best = _least_queue(rates, 0.6, start, 4, lambda queue: range(len(queue)))
        assert _least_queue(rates, 0.6, start, 4, its_choice) == pytest.approx(best, abs=1e-12)
        worst = _least_queue(
            rates, 0.6, start, 4, lambda q: [int(np.argmin([rates[k] for k in q]))]
        )
        assert worst >= best


def test_a_run_can_start_with_queries_that_wait():
    world = _world(np.full((3, 2), 0.5))
    draws = draw(Streams(4), 3, 0.6, 50)
    whole = simulate(world, Script((0,)), 1, draws)
    part = simulate(world, Script((0,)), 1, draws, start=[2, 0])
    assert part.queue[0] == 2
    assert part.row[0] == 2
    assert part.arrived[:2].tolist() == [0, 0]
    assert whole.arrived.tolist() == part.arrived[2:].tolist()


ONLINE = [name for name, entry in POLICIES.items() if entry.rows is None]


@pytest.mark.parametrize("name", ONLINE)
def test_every_policy_sees_the_same_arrivals(linear_world, name):
    world = linear_world(1)
    draws = draw(Streams(3), world.pool_size, 0.5, 150)
    service = Service(world.contexts, world.n_models, 1, 150, 0.5)
    run = simulate(world, POLICIES[name].make(service, Streams(3), world), 1, draws)
    assert run.arrived.tolist() == (np.flatnonzero(draws.arrives) + 1).tolist()
    assert (np.diff(run.queue) == draws.arrives.astype(int) - (run.pick >= 0)).all()
    assert (run.regret >= 0).all()
    assert (run.departed[run.departed > 0] > run.arrived[run.departed > 0]).all()
