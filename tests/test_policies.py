"""The policies: what each does when, and what none of them may depend on."""

import math
from dataclasses import replace
from itertools import combinations, islice

import numpy as np
import pytest
from scipy import stats

from cqb.environment import draw, pooled_environment
from cqb.exploration import balanced, decaying, explore_then_rarely, pure_rounds, solve_c1
from cqb.policies import POLICIES, LearnerSettings, Service
from cqb.policies.acqb import ThompsonLearner, acqb
from cqb.posterior import confidence_radius
from cqb.simulate import RETRY, Waiting, simulate
from cqb.streams import Streams


def _service(world, K, T, rate, **learner) -> Service:
    return Service(world.contexts, world.n_models, K, T, rate, LearnerSettings(**learner))


def _run(world, name, K=1, T=300, rate=0.5, seed=1, **learner):
    draws = draw(Streams(seed), world.pool_size, rate, T)
    policy = POLICIES[name].make(_service(world, K, T, rate, **learner), Streams(seed), world)
    return simulate(world, policy, K, draws), draws, policy


@pytest.mark.parametrize("name", ["ACQB", "CQB-eps"])
def test_forced_exploration_happens_exactly_when_coin_and_arrival_say(linear_world, name):
    # Kills: the coin of round t used in round t, exploration without a fresh arrival, a coin that
    # never decays, an arrival served in its own round.
    T, rate, target = 1500, 0.5, 0.1
    run, draws, _ = _run(linear_world(2), name, T=T, rate=rate, exploration_rate=target)
    c1 = solve_c1(target, rate, T)
    coin = decaying(c1) if name == "ACQB" else explore_then_rarely(pure_rounds(c1, T), T)
    tossed = np.array([draws.coin[t - 1] < coin(t) for t in range(1, T + 1)])
    expected = np.concatenate([[False], (tossed & draws.arrives)[:-1]])
    np.testing.assert_array_equal(run.forced, expected)
    newest = np.cumsum(draws.arrives) - 1
    served = np.flatnonzero(run.forced)
    np.testing.assert_array_equal(run.query[served], newest[served - 1])


def test_the_count_of_forced_rounds_follows_its_law(linear_world):
    # theory.md, E9: a sum of independent Bernoulli(lambda eta_t). 16 seeds at 99.9%; power: a coin
    # that stays at eta_1 would double the count, forty standard errors away.
    T, rate, target, seeds = 400, 0.5, 0.1, range(16)
    world = linear_world(2)
    c1 = solve_c1(target, rate, T)
    chances = rate * np.array([min(1.0, c1 / math.sqrt(t + 1)) for t in range(1, T)])
    counts = [
        _run(world, "ACQB", T=T, exploration_rate=target, seed=s)[0].forced.sum() for s in seeds
    ]
    error = math.sqrt((chances * (1 - chances)).sum() / len(counts))
    assert abs(np.mean(counts) - chances.sum()) < stats.norm.ppf(0.9995) * error


@pytest.mark.parametrize(("rotation", "order"), [("lexicographic", None), ("balanced", balanced)])
def test_forced_assortments_rotate(linear_world, rotation, order):
    run, *_ = _run(linear_world(3), "ACQB", K=2, exploration_rate=0.4, rotation=rotation)
    forced = [tuple(s) for s in run.assortment[run.forced].tolist()]
    cycle = list(islice(order(5, 2), len(forced))) if order else None
    lexicographic = [list(combinations(range(5), 2))[i % 10] for i in range(len(forced))]
    assert len(forced) > 20
    assert forced == (cycle or lexicographic)


def test_the_radius_is_anytime_or_of_the_horizon(linear_world):
    world = linear_world(1)
    service = _service(world, 2, 900, 0.5, alpha_coef=0.3, lambda0=0.5)
    for name, at in (("ACQB", 17), ("ACQB-T", 900), ("CQB-eps", 900)):
        policy = POLICIES[name].make(service, Streams(0), world)
        assert policy.radius(17) == confidence_radius(at, 8, 2, 0.5, 4.0, 0.3)


def test_every_offered_model_learns_and_no_other(linear_world):
    # Kills: V or theta updated for the picked model only.
    world = linear_world(4)
    policy = acqb(_service(world, 3, 50, 0.5), Streams(0))
    policy.observe(1, 0, 7, (0, 2, 3), 2)
    x = world.contexts[7]
    for j in range(5):
        variance = policy._covariance[j].gram(x[None])[0, 0]
        assert variance == pytest.approx(0.5 if j in (0, 2, 3) else 1.0)
        assert (policy.theta[j] @ x > 0) == (j == 2)
        assert (policy.theta[j] @ x < 0) == (j in (0, 3))


@pytest.mark.parametrize("name", ["ACQB", "ACQB-P"])
@pytest.mark.parametrize("alpha_coef", [1e-4, 0.02])
def test_what_a_refit_leaves_for_later_changes_no_decision(
    linear_world, monkeypatch, name, alpha_coef
):
    """Utilities left off by up to a whole unit: refined wherever a choice hangs on them."""
    world = linear_world(3, P=40, d=6, N=5)
    lengths = np.random.default_rng(0).uniform(0.2, 2.0, len(world.contexts))
    world = replace(world, contexts=world.contexts * lengths[:, None])
    service = Service(world.contexts, 5, 1, 400, 0.5, LearnerSettings(alpha_coef=alpha_coef))
    draws = draw(Streams(1), world.pool_size, 0.5, 400)
    runs, passes = [], []
    for initial_tolerance in (0.0, 0.01, 1.0):
        monkeypatch.setattr("cqb.policies.acqb.INITIAL_TOLERANCE", initial_tolerance)
        policy = POLICIES[name].make(service, Streams(1), world)
        runs.append(simulate(world, policy, 1, draws))
        passes.append(policy._estimator.counts["passes"])
    # Of two waiting queries of one prompt with the same failures, rounding decides which ACQB-P serves.
    contexts = [world.context_of[run.row] for run in runs]
    for run, context in zip(runs[1:], contexts[1:], strict=True):
        np.testing.assert_array_equal(context, contexts[0])
        np.testing.assert_array_equal(run.assortment, runs[0].assortment)
        if name == "ACQB":
            np.testing.assert_array_equal(run.query, runs[0].query)
    assert len(set(passes)) == 3  # the three did not do the same work


def test_the_earliest_of_equal_contexts_is_served(linear_world):
    world = linear_world(5)
    policy = acqb(_service(world, 1, 50, 0.5), Streams(0))
    twin = int(world.context_of[5])
    waiting = Waiting([0, 1, 2], [twin, twin, twin], [5, 6, 5], False)
    assert policy.choose(3, waiting).position == 0


def test_a_policy_reads_only_queries_that_have_arrived(linear_world):
    world = linear_world(6, P=400)
    seen, draws, _ = _run(world, "ACQB", T=200, alpha_coef=0.1)
    arrived = world.context_of[draws.row[draws.arrives]]
    spoiled = np.full_like(world.contexts, 1e6)
    spoiled[arrived] = world.contexts[arrived]
    service = Service(spoiled, 5, 1, 200, 0.5, LearnerSettings(alpha_coef=0.1))
    again = simulate(world, acqb(service, Streams(1)), 1, draws)
    np.testing.assert_array_equal(again.query, seen.query)
    np.testing.assert_array_equal(again.assortment, seen.assortment)


@pytest.mark.parametrize("K", [1, 2])
def test_models_are_told_apart_by_what_they_did_only(linear_world, K):
    """Permuting models, normals and rotation together permutes the decisions."""
    world, T = linear_world(7), 250
    settings = {"alpha_coef": 0.2, "exploration_rate": 0.1}
    order = np.array([3, 0, 4, 1, 2])
    new_name = np.argsort(order)
    plain = acqb(_service(world, K, T, 0.5, **settings), Streams(2))
    renamed = acqb(_service(world, K, T, 0.5, **settings), Streams(2))
    renamed._normals = _Permuted(renamed._normals, order)
    renamed.rotation = (
        tuple(sorted(new_name[list(s)].tolist())) for s in combinations_for_ever(5, K)
    )
    both = _Twins(plain, renamed, new_name)
    simulate(world, both, K, draw(Streams(2), world.pool_size, 0.5, T))
    assert both.rounds > 100


def combinations_for_ever(N: int, K: int):
    while True:
        yield from combinations(range(N), K)


class _Permuted:
    """Normals with the models' axis reordered."""

    def __init__(self, rounds, order) -> None:
        self.rounds, self.order = rounds, order

    def at(self, t):
        self.generator = self.rounds.at(t)
        return self

    def standard_normal(self, size):
        return self.generator.standard_normal(size)[:, self.order]


class _Twins:
    """Drives one policy, and checks that its renamed twin decides the same under new names."""

    def __init__(self, plain: ThompsonLearner, renamed: ThompsonLearner, new_name) -> None:
        self.plain, self.renamed, self.new_name, self.rounds = plain, renamed, new_name, 0

    def _rename(self, models) -> tuple[int, ...]:
        return tuple(sorted(self.new_name[list(models)].tolist()))

    def choose(self, t, waiting):
        decision, twin = self.plain.choose(t, waiting), self.renamed.choose(t, waiting)
        assert twin.position == decision.position
        assert twin.assortment == self._rename(decision.assortment)
        self.rounds += 1
        return decision

    def observe(self, t, query, context, assortment, pick):
        self.plain.observe(t, query, context, assortment, pick)
        pick = pick if pick == RETRY else int(self.new_name[pick])
        self.renamed.observe(t, query, context, self._rename(assortment), pick)


def test_random_is_uniform_over_queries_and_assortments(linear_world):
    world = linear_world(1)
    policy = POLICIES["RANDOM"].make(_service(world, 2, 9, 0.5), Streams(3), world)
    waiting = Waiting([0, 1, 2], [0, 1, 2], [0, 1, 2], False)
    decisions = [policy.choose(t, waiting) for t in range(1, 6001)]
    positions = np.bincount([d.position for d in decisions], minlength=3)
    pairs = dict.fromkeys(combinations(range(5), 2), 0)
    for d in decisions:
        pairs[d.assortment] += 1
    assert stats.chisquare(positions).pvalue > 1e-3
    assert stats.chisquare(list(pairs.values())).pvalue > 1e-3


@pytest.mark.parametrize("name", ["Q-UCB", "Q-ThS"])
def test_the_fifo_bandits_serve_the_head_and_explore_by_their_rule(linear_world, name):
    run, draws, _ = _run(linear_world(1), name, T=3000, rate=0.4)
    # The head of the queue is the one that has waited longest since it last joined.
    waiting: list[int] = []
    arrivals = 0
    for t in range(1, 3001):
        if waiting:
            assert run.query[t - 1] == waiting[0]
            query = waiting.pop(0)
            if run.pick[t - 1] == RETRY:
                waiting.append(query)
        if draws.arrives[t - 1]:
            waiting.append(arrivals)
            arrivals += 1
    busy = run.query >= 0
    rate = np.array([min(1.0, 15 * math.log(t) ** 2 / t) for t in range(1, 3001)])
    np.testing.assert_array_equal(run.forced[busy][5:], (draws.coin < rate)[busy][5:])
    explored = run.assortment[run.forced, 0]
    np.testing.assert_array_equal(explored, np.arange(explored.size) % 5)


def test_the_share_of_exploring_rounds_that_texts_quote():
    # acqb.md: "at N = 11 their rule explores 79% of 5,000 rounds".
    t = np.arange(1, 5001)
    assert np.minimum(1, 33 * np.log(t) ** 2 / t).mean() == pytest.approx(0.79, abs=0.01)


def test_q_ucb_and_q_ths_by_value():
    service = Service(np.eye(2), 3, 1, 10**6, 0.5)
    # Late enough that exploration is rare: log(t)^2 / t is below 1e-3.
    waiting = Waiting([0], [0], [0], False)
    for name in ("Q-UCB", "Q-ThS"):
        policy = POLICIES[name].make(service, Streams(0), None)
        policy._coins = np.ones(10**6)
        policy._picks, policy._serves = np.array([50.0, 90, 10]), np.array([100.0, 100, 100])
        choices = [policy.choose(t, waiting).assortment[0] for t in range(900_000, 900_200)]
        assert choices.count(1) == 200
    policy = POLICIES["Q-UCB"].make(service, Streams(0), None)
    policy._coins = np.ones(10**6)
    policy._picks, policy._serves = np.array([90.0, 1, 90]), np.array([100.0, 2, 100])
    assert policy.choose(900_000, waiting).assortment == (1,)


@pytest.mark.parametrize("name", ["Q-UCB", "Q-ThS"])
def test_the_fifo_bandits_are_for_one_model_at_a_time(linear_world, name):
    with pytest.raises(ValueError, match=f"{name}: defined for K = 1 only, found K = 2"):
        _run(linear_world(1), name, K=2)


@pytest.mark.parametrize("K", [1, 2])
def test_learning_beats_random_and_the_oracle_beats_both(linear_world, K):
    # Six worlds, paired: the interval of the difference excludes zero at 99%.
    totals = {name: [] for name in ("RANDOM", "ACQB", "ORACLE")}
    for seed in range(6):
        world = linear_world(seed)
        for name, values in totals.items():
            values.append(_run(world, name, K=K, T=800, seed=seed, alpha_coef=0.05)[0].regret.sum())
    learned = np.array(totals["RANDOM"]) - np.array(totals["ACQB"])
    assert stats.ttest_1samp(learned, 0.0, alternative="greater").pvalue < 0.005
    assert max(totals["ORACLE"]) < 1e-9
    assert min(totals["ACQB"]) > 0


@pytest.mark.parametrize(
    ("setting", "value"),
    [("lambda0", 0.0), ("kappa", -1.0), ("alpha_coef", 0.0), ("rotation", "random")],
)
def test_bad_settings_are_named(setting, value):
    with pytest.raises(ValueError, match=f"{setting}: found"):
        LearnerSettings(**{setting: value})


def test_a_query_of_zeros_is_served_like_any_other():
    contexts = np.vstack([np.zeros(3), np.eye(3)])
    world = pooled_environment("test", True, contexts, np.ones((4, 3)))
    run, *_ = _run(world, "ACQB", K=2, T=200)
    assert (run.queue[-50:] < 30).all()
