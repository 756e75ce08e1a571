"""Simple rules that remember a prompt or start from scored rows: hand-computed choices, and laws."""

from dataclasses import replace

import numpy as np
import pytest

import tiny
from cqb.environment import Environment, draw, once_each, rounds_once
from cqb.mnl import BlockHistory, ridge_mle
from cqb.policies import POLICIES, SIMPLE, LearnerSettings, Service
from cqb.policies.acqb_p import acqb_penalised
from cqb.policies.base import RunSource, ScoredRows
from cqb.policies.informed import Informed
from cqb.policies.ts_memory import FirstTries
from cqb.policies.warm_start import rounds_on, warm_started, with_rows
from cqb.runs import Cell, Task, play
from cqb.simulate import RETRY, Decision, Waiting, simulate
from cqb.streams import Streams

TABLE = tiny.table()
BY_PROMPT = [("TS-memory", "TS-memory-prompt"), ("ACQB-P-tuned", "ACQB-P-tuned-prompt")]


def mean_rates(t, won, lost):
    return (won + 1.0) / (won + lost + 2.0)


def alone(query: int, context: int) -> Waiting:
    return Waiting([query], [context], [context], False)


def first_tries(K: int, by_prompt: bool) -> FirstTries:
    """Four models, ranked by their mean success on first tries; eight prompts."""
    return FirstTries(Service(np.eye(8), 4, K, 99, 0.5), mean_rates, by_prompt)


# --- TS-memory by prompt -------------------------------------------------------------------------


@pytest.mark.parametrize("by_prompt", [False, True])
def test_a_later_arrival_of_the_prompt_knows_what_failed_and_what_answered(by_prompt):
    policy = first_tries(1, by_prompt)
    for query in (1, 2, 3):
        policy.observe(query, 0, query, (1,), 1)  # model 1 is the best by far
    policy.observe(5, 0, 7, (1,), RETRY)
    policy.observe(6, 0, 7, (3,), 3)  # only model 3 answers prompt 7
    assert policy.choose(9, alone(9, 7)).assortment == ((3,) if by_prompt else (1,))
    # A second failure of 3 on the prompt, then it has failed as often as it has answered: level with
    # the untried 0 and 2, but of a better rate (2/3 against 1/2); a third puts it behind them.
    policy.observe(9, 9, 7, (3,), RETRY)
    if by_prompt:
        assert policy.choose(10, alone(9, 7)).assortment == (3,)
        policy.observe(10, 9, 7, (3,), RETRY)
        assert policy.choose(11, alone(9, 7)).assortment == (0,)


def test_only_the_first_try_of_a_prompt_and_model_counts():
    policy = first_tries(1, by_prompt=True)
    for query in range(3):
        policy.observe(1, query, 7, (3,), 3)
    policy.observe(2, 4, 6, (3,), RETRY)
    np.testing.assert_array_equal(policy._counts, [[0, 0, 0, 1], [0, 0, 0, 1]])


@pytest.mark.parametrize("K", [1, 2])
def test_a_prompt_that_was_answered_goes_first(K):
    policy = first_tries(K, by_prompt=True)
    for query in range(4):
        policy.observe(1, query, query, (0, 1)[:K], 0)  # model 0 is good
    policy.observe(5, 4, 7, (2, 3)[:K], 2)
    waiting = Waiting([5, 6], [5, 7], [5, 7], False)
    # Prompt 7 is served for its model 2; prompt 5 is unknown. With K = 2 its second model is 0.
    assert policy.choose(9, waiting) == Decision(1, (2,) if K == 1 else (0, 2))


# --- ACQB-P by prompt ----------------------------------------------------------------------------


def penalised(by_prompt: bool, **about):
    """Utilities are next to 0, whatever is observed: choices follow the memory alone."""
    settings = LearnerSettings(lambda0=1e6, alpha_coef=1e-12, exploration_rate=0.0)
    service = Service(np.eye(8), 4, 1, 99, 0.5, settings)
    return acqb_penalised(service, Streams(0), by_prompt=by_prompt, **about)


def test_utilities_fall_per_failure_and_rise_per_success_of_the_prompt():
    policy = penalised(True, penalty=2.0)
    policy.observe(1, 0, 7, (1,), RETRY)
    policy.observe(2, 0, 7, (1,), RETRY)
    policy.observe(3, 0, 7, (3,), 3)
    np.testing.assert_array_equal(policy._penalties([7, 2]), [[0, 4, 0, -2], [0, 0, 0, 0]])
    # The answered prompt goes first; of its two arrivals the earlier one.
    assert policy.choose(5, Waiting([4, 5, 6], [2, 7, 7], [2, 7, 7], False)) == Decision(1, (3,))
    policy.observe(5, 5, 7, (3,), RETRY)
    policy.observe(6, 5, 7, (3,), RETRY)
    assert policy.choose(7, Waiting([5], [7], [7], False)).assortment in ((0,), (2,))


def test_by_query_nothing_is_left_of_a_departed_query():
    for by_prompt in (False, True):
        policy = penalised(by_prompt)
        for j in (0, 1, 3):
            policy.observe(1, 0, 7, (j,), RETRY)
        assert policy.choose(2, alone(0, 7)).assortment == (2,)
        policy.observe(2, 0, 7, (2,), 2)
        known = policy._memory.excess([8], [7])[0].tolist()
        assert known == ([1, 1, -1, 1] if by_prompt else [0, 0, 0, 0])


# --- where no prompt recurs, a memory by prompt is one by query ------------------------------------


@pytest.mark.parametrize("K", [1, 2])
@pytest.mark.parametrize(
    ("name", "by_prompt"), [*BY_PROMPT, ("INFORMED-rows", "INFORMED-prompt-rows")]
)
def test_without_recurrence_a_memory_by_prompt_changes_no_decision(name, by_prompt, K, monkeypatch):
    # With the same settings: by prompt and by query, the best ridge of ACQB-P differs.
    alike = replace(POLICIES[by_prompt], settings=POLICIES[name].settings)
    monkeypatch.setitem(POLICIES, by_prompt, alike)

    def runs(size, T, once):
        tasks = [
            Task(Cell(K, 0.0, 0.3), p, 1, T, size, LearnerSettings()) for p in (name, by_prompt)
        ]
        return [play(task, TABLE, once=once).trajectory for task in tasks]

    one, other = runs(50, rounds_once(50, 0.3), once=True)
    np.testing.assert_array_equal(one.query, other.query)
    np.testing.assert_array_equal(one.assortment, other.assortment)
    assert len(one.arrived) == len(np.unique(draw_once(50, 0.3)))
    one, other = runs(8, 150, once=False)  # eight prompts, which come five times each
    assert (one.assortment != other.assortment).any()


def draw_once(size: int, rate: float) -> np.ndarray:
    """The pool entries that arrive."""
    draws = once_each(draw(Streams(1), size, rate, rounds_once(size, rate)), 1, size)
    return draws.row[draws.arrives]


@pytest.mark.parametrize("rate", [0.3, 0.75, 1.0])
def test_a_pool_lasts_for_its_rounds(rate):
    # Five standard deviations: 200 seeds never run out, and use up most of the pool.
    rounds = rounds_once(900, rate)
    arrivals = [draw(Streams(seed), 900, rate, rounds).arrives.sum() for seed in range(200)]
    assert max(arrivals) <= 900
    assert rounds * rate > 0.8 * 900


# --- a warm start --------------------------------------------------------------------------------


@pytest.mark.parametrize("K", [1, 2, 3])
def test_every_model_is_offered_to_every_row(K):
    rows = ScoredRows(np.eye(4), np.ones((4, 5)))
    rounds = list(rounds_on(rows, K, Streams(3), first=10))
    assert len(rounds) == 4 * -(-5 // K)
    for row in range(4):
        mine = [r for r in rounds if r.context == 10 + row]
        assert {r.query for r in mine} == {-1 - row}
        assert {j for r in mine for j in r.assortment} == set(range(5))
    assert all(r.query < 0 and list(r.assortment) == sorted(set(r.assortment)) for r in rounds)
    assert rounds == list(rounds_on(rows, K, Streams(3), first=10))


@pytest.mark.parametrize("K", [1, 2])
def test_outcomes_follow_the_odds_of_the_row(K):
    # 2,000 rows of odds .5 and 2: shares within five standard errors (at most .011 each).
    rows = ScoredRows(np.zeros((2000, 1)), np.tile([0.5, 2.0], (2000, 1)))
    rounds = list(rounds_on(rows, K, Streams(5)))
    for j, odds in enumerate((0.5, 2.0)):
        mine = [r.pick == j for r in rounds if j in r.assortment]
        total = 1.0 + (odds if K == 1 else 2.5)
        assert len(mine) == 2000
        assert np.mean(mine) == pytest.approx(odds / total, abs=0.055)


SURE = ScoredRows(np.eye(3)[1:], np.array([[0.0, 1e15, 0.0], [1e15, 1e15, 0.0]]))


def service() -> Service:
    settings = LearnerSettings(lambda0=0.5, exploration_rate=0.0)
    return Service(np.eye(3)[:1], 3, 1, 99, 0.5, settings)


def test_a_warm_start_counts_each_row_once():
    policy = warm_started(POLICIES["TS-memory"].factory, service(), Streams(0), SURE)
    np.testing.assert_array_equal(policy._counts, [[1, 0, 2], [1, 2, 0]])


def test_a_warm_learner_is_at_the_maximum_likelihood_of_the_rows():
    policy = warm_started(POLICIES["ACQB-tuned"].factory, service(), Streams(0), SURE)
    for j, answered in enumerate(SURE.odds.T > 1.0):
        history = BlockHistory(
            SURE.contexts, np.ones((2, 1)), answered[:, None].astype(float), np.ones(2), np.zeros(2)
        )
        wanted = ridge_mle(np.zeros((1, 3)), history, 0.5)[0]
        np.testing.assert_allclose(policy.theta[j], wanted, atol=1e-5)
    # The service's only context is orthogonal to the rows: nothing is known of it.
    np.testing.assert_array_equal(policy.theta @ np.eye(3)[0], 0.0)


@pytest.mark.parametrize("K", [1, 2])
@pytest.mark.parametrize("entry", SIMPLE, ids=lambda entry: entry.name)
def test_a_warm_start_is_the_same_rounds_served_before(entry, K):
    source = RunSource(TABLE, 1, 0.0, 30)
    world, rows = source.environment(), source.scored_rows("test", "refinement")
    known = Service(world.contexts, 4, K, 60, 0.5)
    warm = with_rows(entry).make(known, Streams(1), world, source)
    both = np.vstack([world.contexts, rows.contexts])
    by_hand = entry.make(replace(known, contexts=both), Streams(1), world)
    for round_ in rounds_on(rows, K, Streams(1), first=len(world.contexts)):
        by_hand.observe(0, *round_)
    draws = draw(Streams(1), 30, 0.5, 60)
    one, other = (simulate(world, policy, K, draws) for policy in (warm, by_hand))
    np.testing.assert_array_equal(one.query, other.query)
    np.testing.assert_array_equal(one.assortment, other.assortment)
    cold = simulate(world, entry.make(known, Streams(1), world), K, draws)
    assert (cold.assortment != one.assortment).any()


# --- INFORMED ------------------------------------------------------------------------------------


def test_informed_by_prompt_learns_from_answers_too():
    odds = np.array([[9.0, 1.0, 0.25], [1.0, 4.0, 9.0]])
    rows, rates = ScoredRows(np.eye(2), odds), odds / (1 + odds)
    known = Service(np.array([[0.8, 0.6]]), 3, 1, 9, 0.5)
    policy = Informed(known, Streams(0), rows, temperature=0.5, by_prompt=True)
    weight = np.exp(np.array([0.8, 0.6]) / 0.5)
    policy.choose(1, alone(0, 0))
    np.testing.assert_allclose(policy._rates[0], weight @ rates / weight.sum())
    policy.observe(1, 0, 0, (2,), 2)
    weight = weight * rates[:, 2]
    policy.choose(2, alone(1, 0))  # the next arrival of the prompt
    np.testing.assert_allclose(policy._rates[0], weight @ rates / weight.sum())
    policy.observe(2, 1, 0, (0,), RETRY)
    weight = weight * (1 - rates[:, 0])
    np.testing.assert_allclose(policy._rates[0], weight @ rates / weight.sum())
    both = Informed(replace(known, K=2), Streams(0), rows, by_prompt=True)
    both.choose(1, alone(0, 0))
    both.observe(1, 0, 0, (0, 2), 2)
    weight = np.exp(np.array([0.8, 0.6]) / 0.1) * odds[:, 2] / (1 + odds[:, 0] + odds[:, 2])
    np.testing.assert_allclose(both._rates[0], weight @ rates / weight.sum())
    with pytest.raises(ValueError, match="temperature: found 0, expected a positive number"):
        Informed(known, Streams(0), rows, temperature=0)


def test_an_environment_alone_has_no_rows_to_start_from(linear_world):
    world = linear_world(1)
    assert isinstance(world, Environment)
    for name in ("TS-memory-rows", "INFORMED-rows"):
        with pytest.raises(ValueError, match=f"{name}: linear world has no rows outside its pool"):
            play(Task(Cell(1, 0.0, 0.5), name, 1, 20, 60, LearnerSettings()), world)
