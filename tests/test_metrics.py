"""The numbers of the tidy table, recomputed round by round from the records of a run."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cqb.environment import draw
from cqb.metrics import LONG_WAIT, add_gap, checkpoints, measure
from cqb.policies import POLICIES, Service
from cqb.simulate import IDLE, RETRY, Trajectory, simulate
from cqb.streams import Streams


def some_run(world, policy: str, K: int, T: int, rate: float, seed: int = 5) -> Trajectory:
    environment = world(1)
    streams = Streams(seed)
    service = Service(environment.contexts, environment.n_models, K, T, rate)
    chosen = POLICIES[policy].make(service, streams, environment)
    return simulate(environment, chosen, K, draw(streams, environment.pool_size, rate, T))


def by_hand(run: Trajectory, t: int, costs: np.ndarray) -> dict[str, float]:
    """The measures after round t, one round after another."""
    served = retried = repeated = 0
    dollars = 0.0
    failed: dict[int, set[int]] = {}
    for i in range(t):
        query, pick = int(run.query[i]), int(run.pick[i])
        if pick == IDLE:
            continue
        offered = {int(j) for j in run.assortment[i]}
        dollars += sum(costs[run.row[i], j] for j in offered)
        if query in failed:
            retried += 1
            repeated += bool(offered & failed[query])
        if pick == RETRY:
            failed[query] = failed.get(query, set()) | offered
        else:
            served += 1
    due = [q for q, a in enumerate(run.arrived) if a + LONG_WAIT <= t]
    late = [q for q in due if run.departed[q] == 0 or run.departed[q] - run.arrived[q] > LONG_WAIT]
    return {
        "regret": sum(run.regret[:t]),
        "queue": run.queue[t],
        "queue_mean": sum(run.queue[1 : t + 1]) / t,
        "repeat_share": repeated / retried if retried else np.nan,
        "dollars": dollars,
        "served": served,
        "wait_over_100": len(late) / len(due) if due else np.nan,
    }


@pytest.mark.parametrize(
    ("policy", "K", "rate"), [("RANDOM", 3, 0.6), ("ACQB", 2, 0.5), ("Q-UCB", 1, 0.7)]
)
def test_measures_agree_with_a_count_by_hand(linear_world, policy, K, rate):
    T = 400
    run = some_run(linear_world, policy, K, T, rate)
    costs = np.random.default_rng(0).uniform(size=(60, 5))
    at = checkpoints(T, 9)
    found = measure(run, at, costs)
    for i, t in enumerate(at):
        wanted = by_hand(run, int(t), costs)
        assert {name: values[i] for name, values in found.items()} == pytest.approx(
            wanted, rel=1e-12, nan_ok=True
        )


def test_the_overload_has_long_waits_and_repeats_to_count(linear_world):
    found = measure(some_run(linear_world, "Q-UCB", 1, 400, 0.9), np.array([400]), None)
    assert 0 < found["wait_over_100"][0] < 1
    assert 0 < found["repeat_share"][0] < 1


def test_nothing_to_count_is_nan_and_not_zero(linear_world):
    run = some_run(linear_world, "RANDOM", 1, 50, 0.0)
    found = measure(run, np.array([20, 50]), None)
    for name in ("repeat_share", "dollars", "wait_over_100"):
        assert np.isnan(found[name]).all(), name
    for name in ("regret", "queue", "queue_mean", "served"):
        assert not found[name].any(), name


def test_idle_rounds_cost_nothing(linear_world):
    run = some_run(linear_world, "ORACLE", 2, 300, 0.05)
    costs = np.full((60, 5), 7.0)
    busy = (run.query >= 0).sum()
    assert 0 < busy < 100
    assert measure(run, np.array([300]), costs)["dollars"][0] == 2 * 7.0 * busy


def test_a_prefix_of_a_run_has_the_measures_of_the_whole_up_to_there(linear_world):
    run = some_run(linear_world, "RANDOM", 2, 300, 0.6)
    t = 180
    arrived = run.arrived[run.arrived <= t]
    departed = run.departed[: arrived.size]
    prefix = dataclasses.replace(
        run,
        **{name: getattr(run, name)[:t] for name in ("regret", "query", "row", "assortment")},
        **{name: getattr(run, name)[:t] for name in ("pick", "forced", "retrial", "repeat")},
        queue=run.queue[: t + 1],
        arrived=arrived,
        departed=np.where(departed <= t, departed, 0),
    )
    costs = np.ones((60, 5))
    whole, part = (measure(r, np.array([t]), costs) for r in (run, prefix))
    for name, values in whole.items():
        np.testing.assert_array_equal(values, part[name], err_msg=name)


@given(T=st.integers(1, 6000), count=st.integers(1, 80))
def test_checkpoints_are_even_and_end_at_the_horizon(T, count):
    at = checkpoints(T, count)
    assert at[-1] == T
    assert at[0] >= 1
    assert len(at) == min(T, count)
    steps = np.diff(np.concatenate([[0], at]))
    assert steps.max() - steps.min() <= 1


@pytest.mark.parametrize(("T", "count", "name"), [(0, 5, "T"), (5, 0, "checkpoints")])
def test_checkpoints_need_a_round_and_a_count(T, count, name):
    with pytest.raises(ValueError, match=rf"^{name}: found 0"):
        checkpoints(T, count)


def rows(policies: dict[str, list[int]], seed: int) -> pd.DataFrame:
    keys = {"dataset": "x", "stand_in": True, "K": 1, "lam": 0.0, "arrival_rate": 0.5, "seed": seed}
    return pd.concat(
        pd.DataFrame({**keys, "policy": name, "t": range(1, len(queue) + 1), "queue": queue})
        for name, queue in policies.items()
    )


def test_gap_subtracts_the_oracle_of_the_same_seed_and_round():
    tidy = pd.concat(
        [
            rows({"RANDOM": [3, 5, 8], "ORACLE": [1, 1, 2]}, 42),
            rows({"ORACLE": [0, 4, 4], "RANDOM": [0, 3, 9]}, 43),
        ]
    )
    found = add_gap(tidy).groupby(["seed", "policy"])["gap"].agg(list)
    assert found[42, "RANDOM"] == [2, 4, 6]
    assert found[43, "RANDOM"] == [0, -1, 5]
    assert found[42, "ORACLE"] == found[43, "ORACLE"] == [0, 0, 0]


def test_gap_needs_the_oracle_of_every_seed():
    tidy = pd.concat([rows({"RANDOM": [3], "ORACLE": [1]}, 42), rows({"RANDOM": [3]}, 43)])
    with pytest.raises(ValueError, match="no run of ORACLE"):
        add_gap(tidy)
