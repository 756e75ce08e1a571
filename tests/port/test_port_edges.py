"""Edge cases and bad input of PORT: every refusal names the argument."""

import builtins

import numpy as np
import pytest

from cqb_port import dual, features, registry
from cqb_port.features import (
    ApproximateIndex,
    Estimates,
    ExactIndex,
    History,
    NearestNeighbours,
    recall,
)
from cqb_port.router import AdaptivePort, FewSamplesWarning, Port
from cqb_port.scenario import SPLITS, total_budget, weights
from cqb_port.session import Ledger, Session, measure, replay

pytestmark = pytest.mark.filterwarnings("ignore::cqb_port.router.FewSamplesWarning")
RNG = np.random.default_rng(11)
D, G, B = RNG.random((3, 80)), RNG.uniform(0.01, 0.02, (3, 80)), np.full(3, 0.3)
X = RNG.normal(size=(80, 5))


def port(limits=B, N=80, gamma=None, **settings):
    return Port(limits, N, random=np.random.default_rng(0), gamma=gamma, **settings)


def test_no_first_phase_needs_prices():
    with pytest.raises(ValueError, match="epsilon: found 0"):
        port(epsilon=0.0)
    with pytest.raises(ValueError, match="epsilon: found 1e-12"):
        port(epsilon=1e-12)
    router = port(epsilon=0.0, gamma=np.zeros(3))
    assert (replay(router, B, Estimates(D, G), D, G).choices == D.argmax(axis=0)).all()


def test_epsilon_of_one_is_all_first_phase():
    router = port(epsilon=1.0)
    replay(router, B, Estimates(D, G), D, G)
    assert router.gamma is None
    assert "never fitted" in router.report


def test_fewer_queries_than_the_first_phase_are_reported():
    router = port(N=8000, epsilon=0.5)
    Session(router, B, 8000).serve(Estimates(D, G), D, G)
    assert router.report == "80 of 8000 queries, first phase 4000, prices never fitted"


def test_short_first_phase_warns():
    with pytest.warns(FewSamplesWarning, match="2 queries"):
        port(epsilon=0.025)


@pytest.mark.parametrize("epsilon", [-0.1, 1.1, np.nan])
def test_epsilon_out_of_range(epsilon):
    with pytest.raises(ValueError, match="epsilon"):
        port(epsilon=epsilon)


@pytest.mark.parametrize("alpha", [0.0, -1.0, np.nan, np.inf])
def test_alpha_must_be_positive(alpha):
    with pytest.raises(ValueError, match="alpha"):
        port(alpha=alpha)


def test_unknown_mode_and_split_are_named():
    with pytest.raises(ValueError, match="mode: found 'lp'"):
        port(mode="lp")
    with pytest.raises(ValueError, match="split: found 'fair'"):
        weights("fair", D.mean(axis=1), G.mean(axis=1))


def test_a_free_model_asks_for_absolute_budgets():
    free = G * np.array([[0.0], [1.0], [1.0]])
    with pytest.raises(ValueError, match="absolute budgets"):
        total_budget(free)
    for split in ("weighted", "cost", "extreme 1"):
        with pytest.raises(ValueError, match="absolute budgets"):
            weights(split, D.mean(axis=1), free.mean(axis=1))
    limits = np.array([0.0, 0.1, 0.1])
    outcome = replay(port(limits, epsilon=0.4), limits, Estimates(D, free), D, free)
    assert outcome.admitted[outcome.choices == 0].all()


@pytest.mark.parametrize("c", [0.0, -1.0, np.nan])
def test_budget_factor_must_be_positive(c):
    with pytest.raises(ValueError, match="c: found"):
        total_budget(G, c)


def test_weights_of_every_split():
    p, q = np.array([0.4, 0.5, 0.9, 0.8]), np.array([1.0, 2.0, 30.0, 5.0])
    rng = np.random.default_rng(0)
    for split in [*SPLITS[:-2], "extreme 3"]:
        w = weights(split, p, q, rng)
        assert w.sum() == pytest.approx(1.0)
        assert (w > 0).all()
    assert weights("extreme 2", p, q) == pytest.approx([0.1, 0.1, 0.4, 0.4])
    cost = weights("cost", p, q)
    assert cost[0] / cost[3] == pytest.approx(np.sqrt(5))
    for split in ("extreme 0", "extreme 4", "extreme", "random"):  # without a generator
        with pytest.raises(ValueError, match=f"split: found '{split}'"):
            weights(split, p, q)
    with pytest.raises(ValueError, match="every weight is 0"):
        weights("perf", 0 * p, q)


def test_a_model_without_budget_serves_only_what_is_free():
    limits = np.array([0.0, 0.3, 0.3])
    costs = G.copy()
    costs[0, ::2] = 0.0
    outcome = replay(port(limits, epsilon=0.5), limits, Estimates(D, costs), D, costs)
    assert (costs[0, outcome.admitted & (outcome.choices == 0)] == 0).all()
    prices = dual.solve(D, G, limits)
    assert np.isfinite(prices.gamma).all()
    assert dual.solve(D, G, np.zeros(3)).value == pytest.approx(0.0, abs=1e-9)


def test_free_rows_have_no_price_and_worthless_queries_are_declined():
    free = G.copy()
    free[1] = 0.0
    assert dual.solve(D, free, B).gamma[1] == 0.0
    router = port(epsilon=0.0, gamma=np.zeros(3))
    worthless = replay(router, B, Estimates(np.zeros_like(D), G), D, G)
    assert (worthless.choices == -1).all()
    assert measure(worthless)["declined"] == 80
    assert measure(worthless)["ppc"] == 0.0


def test_one_model():
    outcome = replay(port(B[:1], epsilon=0.5), B[:1], Estimates(D[:1], G[:1]), D[:1], G[:1])
    assert set(outcome.choices) <= {-1, 0}


def test_neighbours_refuse_what_they_cannot_use():
    history = History(X, D, G)
    for k in (0, 81):
        with pytest.raises(ValueError, match=f"k: found {k}"):
            NearestNeighbours(history, k)
    with pytest.raises(ValueError, match="k: found 80"):
        NearestNeighbours(history, 80).leave_one_out()
    with pytest.raises(ValueError, match="embeddings: row 1 has norm 0"):
        NearestNeighbours(history).estimate(np.array([np.ones(5), np.zeros(5)]))
    with pytest.raises(ValueError, match="embeddings: found shape"):
        NearestNeighbours(history).estimate(np.ones((2, 4)))
    assert NearestNeighbours(history).estimate(np.empty((0, 5))).scores.shape == (3, 0)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"embeddings": X[:5]}, r"history embeddings: found shape \(5"),
        ({"embeddings": np.where(X > 1, np.nan, X)}, "history embeddings: found nan"),
        ({"embeddings": 0 * X}, "history embeddings: row 0 has norm 0"),
        ({"scores": 2 * D}, "history scores"),
        ({"scores": D[:, :5]}, "history costs: found shape"),
        ({"costs": -G}, "history costs"),
        ({"costs": np.where(G > 0.015, np.inf, G)}, "history costs: found inf"),
    ],
)
def test_bad_history_is_refused(change, match):
    with pytest.raises(ValueError, match=match):
        History(**{"embeddings": X, "scores": D, "costs": G, **change})


def test_an_empty_history_is_refused():
    with pytest.raises(ValueError, match="no queries"):
        History(X[:0], D[:, :0], G[:, :0])


@pytest.mark.parametrize(
    ("estimates", "truth", "match"),
    [
        (Estimates(D[:, :9], G), (D, G), "estimated scores: found shape"),
        (Estimates(np.where(D > 0.5, np.nan, D), G), (D, G), "estimated scores: found nan"),
        (Estimates(D, G), (D + 1, G), "scores: found values"),
        (Estimates(D, G), (D, -G), "costs: found"),
        (Estimates(D, G), (D[:2], G[:2]), "scores: found shape"),
    ],
)
def test_bad_streams_are_refused(estimates, truth, match):
    with pytest.raises(ValueError, match=match):
        Session(port(epsilon=0.5), B, 80).serve(estimates, *truth)


@pytest.mark.parametrize(
    "limits", [np.array([0.1, -0.1, 0.1]), np.array([0.1, np.nan, 0.1]), np.ones((3, 1))]
)
def test_bad_budgets_are_refused(limits):
    with pytest.raises(ValueError, match="budgets: found"):
        Ledger(limits)


def test_more_queries_than_the_horizon_and_no_queries_at_all():
    session = Session(port(epsilon=0.5), B, 80)
    empty = session.serve(Estimates(D[:, :0], G[:, :0]), D[:, :0], G[:, :0])
    assert empty.choices.shape == (0,)
    assert empty.choices.dtype == np.int64
    session.serve(Estimates(D, G), D, G)
    with pytest.raises(ValueError, match="at most the 80"):
        session.serve(Estimates(D[:, :1], G[:, :1]), D[:, :1], G[:, :1])
    with pytest.raises(ValueError, match="horizon"):
        port(N=0)


def test_prices_of_nothing_and_uncertified_prices_are_refused(monkeypatch):
    with pytest.raises(ValueError, match="no queries"):
        dual.solve(D[:, :0], G[:, :0], B)
    monkeypatch.setattr(dual, "MAX_NEWTON", 0)
    monkeypatch.setattr(dual, "exact_prices", lambda *_, **__: None)
    with pytest.raises(dual.SolverError, match="relative gap"):
        dual.solve(D, G, B / 3)
    # Nor is the other solver's word taken: prices of 0 do not reach the bound that it claims.
    monkeypatch.setattr(dual, "exact_prices", lambda *_, **__: (np.zeros(3), 1.0))
    with pytest.raises(dual.SolverError, match="relative gap"):
        dual.solve(D, G, B / 3)


def test_spending_can_be_resumed():
    first = Ledger(B)
    first.admit(np.zeros(10, int), G[:, :10])
    second = Ledger(B, spent=first.spent)
    whole = Ledger(B)
    whole.admit(np.zeros(40, int), G[:, :40])
    second.admit(np.zeros(30, int), G[:, 10:40])
    assert (second.spent == whole.spent).all()
    assert whole.lost[0] > 0


def test_greedy_cost_charges_what_it_believes_even_for_lost_queries():
    router = registry.CostRouter(np.array([1.0, 0.9]))
    estimates = Estimates(np.ones((2, 3)), np.array([[0.3, 0.3, 0.3], [0.5, 0.5, 0.5]]))
    assert router.choose(estimates, np.zeros(2)).tolist() == [0, 1, 0]


def test_adaptive_prices_need_a_schedule_or_a_history():
    with pytest.raises(ValueError, match="history: found none"):
        AdaptivePort(B, 80, every=None)
    with pytest.raises(ValueError, match="every: found 0"):
        AdaptivePort(B, 80, every=0, history=Estimates(D, G))


def test_no_model_is_asked_for_what_it_cannot_afford():
    """Model 0 is far better and has one query's budget: the others go to model 1 at once."""
    scores, costs = np.tile([[0.9], [0.4]], 20), np.ones((2, 20))
    limits, e = np.array([1.5, 30.0]), Estimates(scores, costs)
    choices, served = [], []
    for depleting in (False, True):
        router = AdaptivePort(limits, 20, every=None, history=e, depleting=depleting)
        router.gamma = np.array([0.0, 0.0])  # prices that know nothing of the budgets
        outcome = replay(router, limits, e, *e)
        choices.append(outcome.choices.tolist())
        served.append(int(outcome.admitted.sum()))
    assert choices == [20 * [0], [0] + 19 * [1]]
    assert served == [1, 20]


@pytest.mark.parametrize("mode", dual.MODES)
def test_prices_are_fitted_to_the_share_of_the_horizon_given(mode):
    """Whatever N turns out to be, L and the budgets' share follow the N that was named."""
    router = port(N=205, epsilon=0.1, mode=mode)
    Session(router, B, 205).serve(Estimates(D, G), D, G)
    share = 0.1 if mode == "reference" else 21 / 205
    expected = dual.solve(D[:, :21], G[:, :21], share * B, mode=mode)
    assert router.L == 21
    assert (router.gamma == expected.gamma).all()


def test_a_missing_index_library_is_named(monkeypatch):
    real = builtins.__import__

    def without(name, *rest, **more):
        if name == "faiss":
            raise ImportError("No module named 'faiss'")
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"cqb\[index\]"):
        ApproximateIndex(X.astype(np.float32))


def test_approximate_neighbours_are_mostly_the_exact_ones():
    pytest.importorskip("faiss")
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(30, 24))
    vectors = centres[rng.integers(0, 30, 3000)] + 0.4 * rng.normal(size=(3000, 24))
    vectors = (vectors / np.linalg.norm(vectors, axis=1)[:, None]).astype(np.float32)
    exact = ExactIndex(vectors).nearest(vectors[:200], 5)
    found = ApproximateIndex(vectors).nearest(vectors[:200], 5)
    assert recall(found, exact) >= 0.99
    assert (found == ApproximateIndex(vectors).nearest(vectors[:200], 5)).all()
    similar = np.take_along_axis(vectors[:200] @ vectors.T, found, axis=1)
    assert (np.diff(similar) <= 1e-6).all()
    everyone = ApproximateIndex(vectors[:40]).nearest(vectors[:5], 40)
    assert (everyone == ExactIndex(vectors[:40]).nearest(vectors[:5], 40)).all()


def test_a_query_that_reaches_too_few_rows_gets_the_exact_ones(monkeypatch):
    """The graph finds nothing for the second query, and only one row for the third."""

    class Graph:
        def search(self, queries, k):
            found = np.tile(np.arange(k), (len(queries), 1))
            found[1], found[2, 1:] = -1, -1
            return np.zeros(found.shape), found

    monkeypatch.setattr(features, "hnsw", lambda vectors, threads: Graph())
    vectors = np.random.default_rng(3).normal(size=(30, 4))
    vectors = (vectors / np.linalg.norm(vectors, axis=1)[:, None]).astype(np.float32)
    found = ApproximateIndex(vectors).nearest(vectors[20:23], 4)
    assert sorted(found[0]) == [0, 1, 2, 3]
    assert (found[1:] == ExactIndex(vectors).nearest(vectors[21:23], 4)).all()


@pytest.mark.parametrize("mode", dual.MODES)
def test_where_smoothing_fails_a_linear_programme_gives_the_prices(monkeypatch, mode):
    rng = np.random.default_rng(5)
    scores, costs = rng.random((4, 30)), rng.random((4, 30)) * 1e-4
    budgets = 0.1 * costs.sum(axis=1)
    budgets[2] = 0.0
    smooth = dual.solve(scores, costs, budgets, mode=mode)
    monkeypatch.setattr(dual, "MAX_NEWTON", 0)
    exact = dual.solve(scores, costs, budgets, mode=mode)
    assert abs(exact.gap) < 1e-9
    assert exact.value == pytest.approx(smooth.value, rel=2e-4)
    assert exact.value <= smooth.value * (1 + 1e-9)
    if mode == "dual":
        assert exact.value == pytest.approx(dual.lp_value(scores, costs, budgets), rel=1e-5)
