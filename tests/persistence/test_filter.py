"""The joint filter: what a query's own past says, what it does not say, and which world it finds."""

import numpy as np
import pytest
from scipy import integrate, stats

from cqb.environment import draw
from cqb.persistence import FRESH, HYPOTHESES, Persistence, Prior
from cqb.persistence.filter import Filter
from cqb.policies import POLICIES, Service
from cqb.simulate import simulate
from cqb.streams import Streams

TWO_VALUED = Persistence("query", 0.9, 0.5, 0.1, 0.99)
BY_PROMPT = Persistence("prompt", 0.9, 0.5, 0.1, 0.99)
ALL = np.array([True])


def _filter(world, N=3, context=1e-6, intercept=1e-6, C=4):
    """By default the parameters are known to be 0, so that all there is to learn is the effect."""
    return Filter(np.eye(C), N, Prior(context, intercept, hypotheses=(world,)))


def _rates(filter_, at):
    mean, variance = filter_.latent(at, ALL)
    return 0.1 + 0.89 * stats.norm.cdf(mean[:, 0] / np.sqrt(variance[:, 0]))


def test_a_failure_is_evidence_against_the_model_and_against_its_like():
    # Exact: P(k capable | j failed) by integration over the two correlated latent numbers.
    filter_ = _filter(TWO_VALUED)
    at = filter_.arrive([0], [2])
    filter_.observe(0, (1,), -1)
    assert filter_.log_evidence.item() == pytest.approx(np.log(1 - 0.545))
    same, other = _rates(filter_, at)[0, 1], _rates(filter_, at)[0, 0]

    def rate(z, share):
        return 0.1 + 0.89 * stats.norm.cdf(z / np.sqrt(1 - share))

    def joint(r):
        def integrand(z):
            conditional = stats.norm.cdf(r * z / np.sqrt(1 - r * r + 0.1 / 0.9))
            failed = 1 - rate(np.sqrt(0.9) * z, 0.9)
            return stats.norm.pdf(z) * failed * (0.1 + 0.89 * conditional)

        return integrate.quad(integrand, -8, 8)[0] / (1 - 0.545)

    # Moment matching is exact in the two moments, not in the shape: within 0.02.
    assert other == pytest.approx(joint(0.5), abs=0.02)
    assert same == pytest.approx(joint(1.0 - 1e-9), abs=0.05)
    assert same < 0.3 < other < 0.5


def test_fresh_draws_have_no_past():
    filter_ = Filter(np.eye(4), 3, Prior(1e-6, 1e-6, hypotheses=(FRESH,)))
    at = filter_.arrive([0], [2])
    for _ in range(5):
        filter_.observe(0, (1,), -1)
    mean, variance = filter_.latent(at, ALL)
    np.testing.assert_allclose(mean, 0.0, atol=1e-9)
    np.testing.assert_allclose(variance, 1.0, atol=1e-9)


@pytest.mark.parametrize(("world", "remembers"), [(TWO_VALUED, False), (BY_PROMPT, True)])
def test_what_belongs_to_the_prompt_outlives_the_query(world, remembers):
    filter_ = _filter(world)
    filter_.arrive([0, 1], [2, 2])
    filter_.observe(0, (1,), -1)
    twin = _rates(filter_, filter_.arrive([1], [2]))[0, 1]
    filter_.observe(0, (0,), 0)
    later = _rates(filter_, filter_.arrive([7], [2]))[0]
    other = _rates(filter_, filter_.arrive([8], [3]))[0]
    np.testing.assert_allclose(other, 0.545, atol=1e-6)
    if remembers:
        assert max(twin, later[1]) < 0.35
        assert later[0] > 0.65
    else:
        np.testing.assert_allclose([twin, *later], 0.545, atol=1e-6)


def test_a_query_that_fails_for_ever_does_not_dominate_theta():
    # 30 failures of one query weigh little more than one where effects persist, and about as much as
    # 30 queries' where they do not: the marginal likelihood, not a count of retries.
    def intercept(world, same_query):
        filter_ = Filter(np.eye(40), 2, Prior(1e-6, 1.0, hypotheses=(world,)))
        for n in range(30):
            query = 0 if same_query else n
            filter_.arrive([query], [query])
            filter_.observe(query, (0,), -1)
        return filter_.utilities.theta[0, -1]

    once = Filter(np.eye(40), 2, Prior(1e-6, 1.0, hypotheses=(TWO_VALUED,)))
    once.arrive([0], [0])
    once.observe(0, (0,), -1)
    assert intercept(TWO_VALUED, True) > 2.5 * once.utilities.theta[0, -1]
    assert intercept(TWO_VALUED, True) > 0.6 * intercept(TWO_VALUED, False)
    assert intercept(FRESH, True) == pytest.approx(intercept(FRESH, False), rel=1e-6)


def test_the_waiting_queries_are_kept_up_to_date():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(30, 5))
    filter_ = Filter(x, 3, Prior(0.7, 0.5))
    for n in range(25):
        filter_.arrive([n], [n % 30])
        for _ in range(3):
            if n in filter_._slots.of:
                filter_.observe(n, (int(rng.integers(3)),), int(rng.integers(-1, 0)))
    at = filter_.arrive(list(range(25)), list(range(25)))
    for slot, n in zip(at, range(25), strict=True):
        mean, variance = filter_.utilities.of(np.append(0.7 * x[n], 0.5))
        np.testing.assert_allclose(filter_._slots.utility[slot], mean, atol=1e-9)
        np.testing.assert_allclose(filter_._slots.doubt[slot], variance, atol=1e-9)
        diagonal = np.einsum("hjj->hj", filter_._slots.covariance[slot])
        np.testing.assert_allclose(filter_._slots.spread[slot], diagonal, atol=1e-12)


def test_a_retrial_fails_every_model_of_the_assortment():
    filter_ = _filter(TWO_VALUED, N=4)
    at = filter_.arrive([0], [0])
    filter_.observe(0, (1, 3), -1)
    rates = _rates(filter_, at)[0]
    assert max(rates[1], rates[3]) < 0.3
    assert 0.3 < rates[0] < 0.5
    assert rates[0] == pytest.approx(rates[2])


def test_a_pick_speaks_for_the_model_picked():
    filter_ = _filter(BY_PROMPT, N=4)
    filter_.arrive([0], [0])
    filter_.observe(0, (1, 3), 3)
    rates = _rates(filter_, filter_.arrive([1], [0]))[0]
    assert rates[3] > 0.75
    # A capable model may lose to another, so it learns little; its likeness lifts it all the same.
    assert 0.5 < rates[1] < rates[0] < rates[3]


@pytest.mark.parametrize("persists", [False, True])
def test_it_finds_out_which_world_it_is_in(linear_world, persists):
    # Rounds of a uniform policy; recorded rates of .05 and .95 against linear utilities.
    world = linear_world(3, P=300)
    if persists:
        rates = np.random.default_rng(1).choice([0.05, 0.95], size=world.odds.shape)
        world = type(world)(world.contexts, world.context_of, rates / (1 - rates), "test", True)
    streams = Streams(5)
    T = 800 if persists else 2500  # what does not happen takes longer to be believed
    service = Service(world.contexts, 5, 1, T, 0.3)
    run = simulate(
        world, POLICIES["RANDOM"].make(service, streams, world), 1, draw(streams, 300, 0.3, T)
    )
    filter_ = Filter(world.contexts, 5, Prior(1.0))
    for i in np.flatnonzero(run.query >= 0):
        query = int(run.query[i])
        filter_.arrive([query], [int(world.context_of[run.row[i]])])
        filter_.observe(query, tuple(run.assortment[i].tolist()), int(run.pick[i]))
    share = float(filter_.weights @ filter_.share)
    assert share > 0.8 if persists else share < 0.1, share


def test_scored_rows_set_the_parameters_and_leave_no_trace_of_their_queries():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 4))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    capable = x @ rng.normal(size=(4, 3)) > 0
    filter_ = Filter(x, 3, Prior(3.0, 1.0))
    filter_.study(x[:150], capable[:150].astype(float))
    at = filter_.arrive(list(range(50)), list(range(150, 200)))
    predicted = filter_._slots.utility[at] > 0
    assert (predicted == capable[150:]).mean() > 0.85
    np.testing.assert_allclose(filter_.weights, 1 / len(HYPOTHESES))
    np.testing.assert_array_equal(filter_._slots.effect[at], 0.0)


def test_a_score_between_pulls_towards_itself_and_not_to_the_nearer_end():
    # Rates of .6 and .4 everywhere: cut at a half, they would be read as near 1 and near 0.
    x = np.tile([1.0, 0.0], (400, 1))
    filter_ = Filter(x, 2, Prior(1.0))
    filter_.study(x, np.tile([0.6, 0.4], (400, 1)))
    predicted = stats.norm.cdf(filter_.utilities.theta @ [1.0, 0.0, 1.0])
    np.testing.assert_allclose(predicted, [0.6, 0.4], atol=0.05)


@pytest.mark.parametrize(
    "wrong", [{"unit": "user"}, {"share": 1.0}, {"agreement": -0.1}, {"low": 0.5, "high": 0.4}]
)
def test_bad_hypotheses_are_named(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}.*: found"):
        Persistence(**wrong)
