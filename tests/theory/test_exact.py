"""Predictions E1 to E10 and R6 to R8 at small sizes; each test names the mutation that it kills."""

from itertools import combinations

import numpy as np
import pytest

from cqb.environment import draw
from cqb.learner import thompson
from cqb.learner.lazy_inverse import LazyInverse
from cqb.mnl import best_assortment, departure_rate
from cqb.policies import LearnerSettings, Service
from cqb.policies.acqb import acqb
from cqb.posterior import optimistic_draws
from cqb.simulate import Waiting, simulate
from cqb.streams import Streams
from cqb.studies import theory
from cqb.synthetic import fixed_rates, linear_world
from cqb.theory import FAILS, HOLDS, at_most, exact, laws
from cqb.theory.worlds import FixedRule, cycling, head

# --- E1: assortments -------------------------------------------------------------------------------


def test_e1_the_best_assortment_by_enumeration(judge):
    """Kills: the best assortment taken in a wrong order (the K smallest utilities, say)."""
    assert judge("E1", 1, 30).verdict == HOLDS
    utilities = np.random.default_rng(1).normal(size=(30, 6))
    for K in (1, 2, 3):
        every = list(combinations(range(6), K))
        rates = np.array([departure_rate(utilities[:, list(S)]) for S in every])
        chosen = best_assortment(utilities, K)
        assert [every[i] for i in rates.argmax(axis=0)] == [tuple(S) for S in chosen.tolist()]


def test_e1_oracle_and_learner_offer_it():
    """The oracle's table, and ACQB's choice with hardly any noise. Kills: the same mutation in
    the environment, and in the learner's choice."""
    world = linear_world(3, N=6, d=3, K=3, pool_size=40)
    environment = world.environment
    every = list(combinations(range(6), 3))
    totals = np.array([environment.odds[:, list(S)].sum(axis=1) for S in every])
    best = [every[i] for i in totals.argmax(axis=0)]
    assert best == [tuple(S) for S in environment.best_assortments(3).tolist()]
    np.testing.assert_allclose(
        environment.departure_rates(3), totals.max(axis=0) / (1 + totals.max(axis=0))
    )
    service = Service(environment.contexts, 6, 3, 10, 0.5, LearnerSettings(alpha_coef=1e-12))
    policy = acqb(service, Streams(1))
    policy.coins[:] = 1.0
    policy._estimator.theta[:] = world.theta
    for row in range(0, 40, 5):
        context = int(environment.context_of[row])
        decision = policy.choose(9, Waiting([0], [context], [row], False))
        assert decision.assortment == best[row]


def test_e1_the_choice_among_sampled_scores():
    """With bounds so wide that nothing is skipped and draws so small that the means decide: the
    best (query, assortment) by enumeration. Kills: the same mutation in the choice by scores."""
    rng = np.random.default_rng(4)
    for K in (1, 2, 3):
        mean = rng.normal(size=(5, 6))
        every = [(q, S) for q in range(5) for S in combinations(range(6), K)]
        rates = [departure_rate(mean[q, list(S)]) for q, S in every]
        candidates = thompson.Candidates(
            np.eye(5), np.arange(5), mean, np.full((5, 6), 10.0), rng.normal(size=(5, 6, 2))
        )
        chosen = thompson.choose(candidates, [LazyInverse(5, 1e20) for _ in range(6)], 1.0, K)
        assert chosen == every[int(np.argmax(rates))]


# --- E2: scheduling --------------------------------------------------------------------------------


def test_e2_largest_first_is_optimal_and_smallest_first_is_not(judge):
    """Exact recursion. Kills: a wrong order of service (excess .98 queries and more)."""
    check = judge("E2", 6, 6)
    assert check.verdict == HOLDS
    assert check.table["largest first"].max() == 0.0


def test_e2_the_recursion_by_hand():
    """One round, one query each of two types, no arrivals: serving p leaves 2 - p."""
    rates, shares = np.array([0.3, 0.8]), np.array([0.5, 0.5])
    gap = laws.terminal_queue_gap(rates, 0.0, shares, 1, order=np.array([0, 1]))
    assert gap == pytest.approx(0.8 - 0.3)


# --- E3 to E5: queues ------------------------------------------------------------------------------


def test_e3_closed_form_and_transition_matrix_agree():
    for arrival_rate, mu in ((0.5, 0.7), (0.2, 0.9), (0.6, 0.8)):
        law = laws.chain_law(arrival_rate, mu, 150)
        np.testing.assert_allclose(laws.stationary_law(arrival_rate, mu, 150), law, atol=1e-10)
        assert law @ np.arange(151) == pytest.approx(laws.mean_queue(arrival_rate, mu))
    with pytest.raises(ValueError, match="arrival_rate"):
        laws.stationary_law(0.7, 0.7, 5)


def test_e3_the_simulated_law(judge):
    """P(Q = 0) has a 95% half-width of .02. Kills: admit before serve (P(Q = 0) .571, not .286)."""
    check = judge("E3", 8, 4_000)
    assert check.verdict != FAILS
    assert check.high - check.low < 0.06


def test_e3_every_path_follows_the_recursion():
    """Exactly, in every round. Kills: admit before serve, an arrival served in its own round,
    uniforms drawn elsewhere."""
    world = fixed_rates([0.7], 0.5)
    draws = draw(Streams(4), 1, 0.5, 3_000)
    run = simulate(world.environment, FixedRule(head, cycling([0])), 1, draws)
    queue = 0
    for t in range(3_000):
        if queue and draws.outcome[t] >= 0.3 + 1e-12:
            queue -= 1
        queue += bool(draws.arrives[t])
        assert run.queue[t + 1] == queue
    done = run.departed > 0
    assert (run.departed[done] > run.arrived[done]).all()


def test_e4_the_idle_share_is_the_same_for_all_orders(judge):
    """Half-widths about .025. Kills: an order that idles, and admit before serve (share .35)."""
    check = judge("E4", 8, 4_000)
    assert check.verdict != FAILS
    assert (check.table["high"] - check.table["low"]).max() < 0.09
    shortest = check.table.loc[check.table["mean queue"].idxmin(), "quantity"]
    assert shortest == "largest rate first"


def test_e5_rules_meet_their_capacities(judge):
    """Kills: a capacity from the arithmetic mean (RANDOM's would be 8% higher, its idle share
    .14 instead of .2), a cycle that forgets where it was."""
    check = judge("E5", 8, 4_000)
    assert check.verdict != FAILS
    rates = np.array([[0.5, 0.25]])
    # Serves: .5 + .5 (1 + .25 + .75 (1 + ...)) solves to 2 serves + (.375) a cycle.
    assert laws.cycle_capacity(rates) == pytest.approx((1 - 0.375) / 1.5)


# --- E6, E7, R7: switching -------------------------------------------------------------------------


def test_e6_no_term_is_off(judge):
    """Kills: arrivals or uniforms not shared."""
    assert judge("E6", 3, 120).verdict == HOLDS


def test_e7_and_r7_the_bound_and_its_factors(rows_of):
    """24 runs of 120 rounds: no block's interval lies above the bound, and the sum of the bounds
    exceeds the regret. Kills: survival measured between different draws (delta would not rise)."""
    rows = {"E7": rows_of("E7", 24, 120)}
    assert theory.judged("E7", rows).verdict != FAILS
    found = theory.judged("R7", rows)
    assert found.verdict == HOLDS
    assert found.table["delta"].iloc[-1] > 0.8


# --- E8: optimism ----------------------------------------------------------------------------------


def test_e8_the_number_of_draws_is_the_smallest_that_is_guaranteed():
    """Kills: M = 1 at K = 2, and any M that is one too small or too large."""
    draws = {1: 1, 2: 9, 3: 14, 4: 17, 8: 25}
    assert pytest.approx(0.08555, abs=1e-5) == laws.BOUND
    for K, M in draws.items():
        assert optimistic_draws(K) == M
        assert laws.guaranteed(M, K) >= laws.BOUND - 1e-12
        assert laws.guaranteed(M - 1, K) < laws.BOUND


def test_e8_draws_at_one_radius_exceed_the_bound(judge):
    """20,000 / K samples. Kills: M = 1 at K = 2 (share .025), a draw off by a factor of 10."""
    check = judge("E8", 1, 20_000)
    assert check.verdict == HOLDS
    assert exact.optimistic_hits(2, 1, 20_000).mean() < laws.BOUND


# --- E9, R8: exploration ---------------------------------------------------------------------------


def test_e9_the_count_of_forced_explorations(judge):
    """Six runs, 25 expected each. Kills: exploration that never decays (300 and more, 25 deviations)."""
    assert judge("E9", 6, 600).verdict == HOLDS


def test_r8_exploration_samples_inform_in_every_direction(judge):
    """18 models with 45 samples and more. Kills: exploration that repeats one direction."""
    check = judge("R8", 6, 600)
    assert check.verdict == HOLDS
    assert check.table["n"].min() > 30


# --- E10: memory -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("N", "serves", "capacities"),
    [
        (11, (9.18, 5.53, 4.43), (0.109, 0.181, 0.226)),
        (4, (7.75, 3.10, 2.29), (0.129, 0.323, 0.436)),
    ],
)
def test_e10_by_value(N, serves, capacities):
    rules = (laws.same_model_serves, laws.random_model_serves, laws.greedy_memory_serves)
    found = [rule(N, 0.99, 0.1) for rule in rules]
    np.testing.assert_allclose(found, serves, atol=0.005)
    np.testing.assert_allclose(1.0 / np.array(found), capacities, atol=0.0006)


def test_e10_simulated_serves(judge):
    """Half-widths of 6% at most. Kills: outcomes drawn again by context instead of by query."""
    assert judge("E10", 8, 3_000).verdict == HOLDS


# --- R6: overload ----------------------------------------------------------------------------------


def test_r6_the_root_by_value_and_in_simulation(judge):
    """Eight runs of 2,000 rounds. Kills: a retrying query put at the front (FIFO then serves one
    query until it departs, whose growth .10 at rho = 1.5 is beyond the interval)."""
    s = laws.growth(0.7, np.array([0.2, 0.9]))
    assert 0.7 * np.mean(1.0 / (s + np.array([0.2, 0.9]))) == pytest.approx(1.0)
    assert laws.growth(0.3, np.array([0.5])) == 0.0
    assert judge("R6", 8, 2_000).verdict != FAILS


# --- verdicts --------------------------------------------------------------------------------------


def test_verdicts_need_narrow_intervals_and_fail_outside():
    assert at_most(0.3, 0.45, 0.5, 0.3) == HOLDS
    assert at_most(-2.0, 0.45, 0.5, 0.3) == HOLDS  # however wide, all of it is below
    assert at_most(0.3, 0.55, 0.5, 0.3) == HOLDS
    assert at_most(-2.0, 0.55, 0.5, 0.3).startswith("out of reach")
    assert at_most(0.51, 0.6, 0.5, 0.3) == FAILS
