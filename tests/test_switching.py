"""The policy-switching queue (theory: E6): the learner up to a round, the oracle after it."""

import numpy as np
import pytest

from cqb.environment import Draws, draw
from cqb.policies.fixed import ORACLE
from cqb.simulate import simulate
from cqb.streams import Streams
from cqb.switching import oracle_odds, oracle_queue, terminal_queues, waiting_rows
from cqb.synthetic import linear_world
from cqb.theory.worlds import FixedRule, cycling, head, play

T = 90
NAMES = ("ACQB", "ACQB-online", "CQB-eps", "CQB-Opt", "CQB-eta-2")


def pair_of(name, seed, K=1):
    return play(linear_world(seed, N=4, d=3, K=K, scale=2.0, pool_size=300), name, T, seed)


class Looking:
    """Serves as it is told and writes down which pool entries it saw waiting."""

    def __init__(self, policy):
        self.policy, self.seen = policy, {}

    def choose(self, t, waiting):
        self.seen[t] = list(waiting.row)
        return self.policy.choose(t, waiting)

    def observe(self, *about):
        self.policy.observe(*about)


def test_the_replayed_queue_is_the_one_the_policy_saw():
    """In queue order, every round. Kills: a retrying query put at the front; an arrival admitted
    before service (the policy would see it a round early)."""
    world = linear_world(3, N=4, d=3, scale=2.0, pool_size=300)
    draws = draw(Streams(3), world.environment.pool_size, 0.9, 400)
    policy = Looking(FixedRule(head, cycling([0])))
    run = simulate(world.environment, policy, 1, draws)
    after = waiting_rows(run, draws)
    assert [len(rows) for rows in after] == run.queue.tolist()
    assert max(map(len, after)) > 5
    for t in range(1, 401):
        assert policy.seen.get(t, []) == after[t - 1]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("K", [1, 2])
def test_terms_are_at_most_one_and_telescope(name, K):
    """On every path. Kills: arrivals or outcome uniforms not shared by the two runs (a fresh
    uniform a round breaks the coupling within a few rounds on every seed)."""
    for seed in range(2):
        pair = pair_of(name, seed, K)
        lengths = terminal_queues(pair.world.environment, K, pair.draws, pair.learner)
        psi = np.diff(lengths)
        assert set(psi.tolist()) <= {-1, 0, 1}
        assert lengths[0] == pair.oracle.queue[-1]
        assert lengths[-1] == pair.learner.queue[-1]
        assert psi.sum() == pair.gap[-1]


def test_the_heap_serves_as_the_simulated_oracle_does():
    pair = pair_of("ACQB", 4)
    environment, draws = pair.world.environment, pair.draws
    odds, after = oracle_odds(environment, 1), waiting_rows(pair.learner, draws)
    for s in (0, 1, 7, 40, T - 1, T):
        if s < T:
            rest = Draws(*(of[s:] for of in (draws.arrives, draws.row, draws.outcome, draws.coin)))
            oracle = ORACLE.from_truth(environment, 1)
            path = simulate(environment, oracle, 1, rest, start=after[s]).queue
        else:
            path = pair.learner.queue
        assert path[-1] == oracle_queue(odds, draws, after[s], s + 1)


@pytest.mark.parametrize("name", ["ACQB", "CQB-eta-2"])
def test_regret_is_against_the_learners_own_queue(name):
    """To 1e-12 in every round. Kills: regret against the oracle's queue (which holds other
    queries in most rounds, as the last line makes sure)."""
    pair = pair_of(name, 6)
    environment = pair.world.environment
    best = environment.departure_rates(1)
    own, other = waiting_rows(pair.learner, pair.draws), waiting_rows(pair.oracle, pair.draws)
    wrong = 0
    for t in range(T):
        if pair.learner.query[t] < 0:
            assert pair.learner.regret[t] == 0.0
            continue
        odds = environment.odds[pair.learner.row[t], pair.learner.assortment[t]].sum()
        forgone = max(best[row] for row in own[t]) - odds / (1.0 + odds)
        assert pair.learner.regret[t] == pytest.approx(forgone, abs=1e-12)
        wrong += sorted(own[t]) != sorted(other[t])
    assert wrong > 10
