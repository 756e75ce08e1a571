"""The testable properties of PORT: budgets, duality, invariances, batches, neighbours, guarantees."""

import array_api_strict
import numpy as np
import pytest
from scipy.optimize import linprog
from scipy.stats import chisquare

from cqb_port import dual, features, registry
from cqb_port.features import Estimates, ExactIndex, History, NearestNeighbours
from cqb_port.router import AdaptivePort, Port, best_models, port_rh_plus
from cqb_port.scenario import total_budget, weights
from cqb_port.session import Session, measure, replay

pytestmark = pytest.mark.filterwarnings("ignore::cqb_port.router.FewSamplesWarning")


def instance(M: int, N: int, seed: int):
    """True scores and costs (M, N) and weighted budgets; estimates are exact."""
    rng = np.random.default_rng(seed)
    d = np.clip(np.linspace(0.3, 0.85, M)[:, None] + 0.25 * rng.normal(size=(M, N)), 0, 1)
    g = np.geomspace(1, 30, M)[:, None] * 1e-4 * rng.lognormal(0, 0.5, (M, N))
    share = weights("weighted", d.mean(axis=1), g.mean(axis=1))
    return d, g, total_budget(g) * share


def test_the_integer_programme_prints_nothing(capfd):
    """HiGHS writes debug lines to the standard output on this instance."""
    rng = np.random.default_rng(160)
    M, n = int(rng.integers(2, 8)), int(rng.integers(20, 150))
    scores = rng.random((M, n))
    costs = rng.lognormal(0, 1.5, (M, n)) * np.sort(rng.lognormal(0, 2, (M, 1)), axis=0)
    budgets = costs.sum(axis=1) * rng.random(M) * 0.4
    assert dual.assign(scores, costs, budgets, integral=True).sum(axis=0).max() == 1.0
    print("and what is printed afterwards arrives")
    assert capfd.readouterr() == ("and what is printed afterwards arrives\n", "")


def noisy(seed: int, M: int = 5, N: int = 3000, E: int = 6000):
    """Twenty centres on a sphere: a history, and a stream whose neighbours only hint at outcomes."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(20, 6))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    chance = np.clip(np.linspace(0.2, 0.8, M) + 0.3 * rng.normal(size=(20, M)), 0.02, 0.98)
    price = np.geomspace(1, 30, M) * 1e-4 * rng.lognormal(0, 0.4, (20, M))

    def queries(n):
        of = rng.integers(0, 20, n)
        x = centres[of] + 0.15 * rng.normal(size=(n, 6))
        d = (rng.random((n, M)) < chance[of]).astype(float)
        return x, d.T, (price[of] * rng.lognormal(0, 0.2, (n, M))).T

    x, d, g = queries(E)
    history = History(x, d, g)
    x, d, g = queries(N)
    share = weights("weighted", history.scores.mean(axis=1), history.costs.mean(axis=1))
    return history, x, d, g, total_budget(g) * share


def port(B, N, seed=0, **settings):
    return Port(B, N, random=np.random.default_rng(seed), **settings)


def dual_plan(e, B):
    """The rule of the prices of the whole stream."""
    return registry.Planned(best_models(dual.solve(*e, B).gamma, e))


def routers(d, g, B, seed=0):
    """Every router of the package, by name, on exact estimates."""
    N, e = d.shape[1], Estimates(d, g)
    random = np.random.default_rng(seed)
    return {
        "dual": port(B, N, seed, epsilon=0.1),
        "reference": port(B, N, seed, epsilon=0.1, mode="reference"),
        "random": registry.Planned(random.integers(0, len(B), N)),
        "perf": registry.PerfRouter(),
        "cost": registry.CostRouter(B),
        "batch": registry.BatchSplit(B, batch=64),
        "PORT-R": AdaptivePort(B, N, every=40, random=np.random.default_rng(seed)),
        "PORT-H": AdaptivePort(B, N, every=None, history=e),
        "PORT-RH": AdaptivePort(B, N, every=40, history=e),
        "PORT-RH+": port_rh_plus(B, N, e),
        "optimum": registry.Planned(registry.optimal_plan(e, B)),
        "dual optimum": dual_plan(e, B),
    }


SPLITS = ["weighted", "cost", "perf", "uniform", "random", "extreme 1", "extreme 3"]


def bound_of(d, g, B):
    """The linear programme by a solver, written out: rows of models, then rows of queries."""
    M, L = d.shape
    a_ub = np.zeros((M + L, M * L))
    for i in range(M):
        a_ub[i, i * L : (i + 1) * L] = g[i]
        a_ub[M + np.arange(L), i * L + np.arange(L)] = 1.0
    ones = np.concatenate([B, np.ones(L)])
    return linprog(-d.reshape(-1), A_ub=a_ub, b_ub=ones, method="highs")


@pytest.mark.parametrize("split", SPLITS)
def test_no_budget_is_exceeded_and_no_outcome_beats_the_dual_bound(split):
    d, g, _ = instance(4, 200, 3)
    rng = np.random.default_rng(1)
    share = weights(split, d.mean(axis=1), g.mean(axis=1), rng)
    B = total_budget(g) * share
    bound = dual.solve(d, g, B).value
    for name, router in routers(d, g, B).items():
        outcome = replay(router, B, Estimates(d, g), d, g)
        spent = np.zeros(4)
        for j in np.flatnonzero(outcome.admitted):
            spent[outcome.choices[j]] += g[outcome.choices[j], j]
        assert (spent <= B).all(), name
        assert measure(outcome)["perf"] <= bound * (1 + 1e-9), name


@pytest.mark.parametrize("seed", range(24))
def test_dual_reaches_the_linear_programme(seed):
    M, L = 2 + seed % 4, 25 + 11 * seed
    d, g, B = instance(M, L, seed)
    B = B * (1.0, 0.3, 40.0)[seed % 3]
    prices = dual.solve(d, g, B)
    lp = bound_of(d, g, B)
    assert prices.value == pytest.approx(-lp.fun, rel=1e-6)
    assert prices.gap <= 1e-6
    assert dual.lp_value(d, g, B) == pytest.approx(-lp.fun, rel=1e-6)
    rng = np.random.default_rng(seed)
    for _ in range(20):
        gamma = rng.exponential(size=M) * prices.gamma.max()
        assert dual.dual_value(gamma, d, g, B, mode="dual") >= -lp.fun * (1 - 1e-9)
    fractional = int(((lp.x > 1e-7) & (lp.x < 1 - 1e-7)).sum())
    if fractional >= 2 * (-lp.ineqlin.marginals[:M] > 0).sum():  # then the prices are unique
        gap = np.abs(prices.gamma + lp.ineqlin.marginals[:M]).max()
        assert gap <= 1e-5 * (d / g).max()
    best = np.where(
        (d - prices.gamma[:, None] * g).max(axis=0) > 0,
        (d - prices.gamma[:, None] * g).argmax(axis=0),
        -1,
    )
    usage = np.array([g[i, best == i].sum() for i in range(M)])
    assert (usage <= B + M * g.max(axis=1)).all()


@pytest.mark.parametrize("seed", range(3))
def test_invariances_of_the_dual_mode(seed):
    M, N = 4, 400
    d, g, B = instance(M, N, seed)
    e = Estimates(d, g)

    def run(scores, costs, limits):
        router = port(limits, N, seed, epsilon=0.2)
        n = round(0.2 * N)
        router.choose(Estimates(scores[:, :n], costs[:, :n]), limits)
        return router, router.choose(Estimates(scores[:, n:], costs[:, n:]), limits)

    plain, choices = run(*e, B)
    tall, tall_choices = run(7 * d, g, B)
    dear, dear_choices = run(d, 1000 * g, 1000 * B)
    order = np.random.default_rng(seed).permutation(M)
    moved, moved_choices = run(d[order], g[order], B[order])
    scale = plain.gamma.max()
    assert np.abs(tall.gamma / 7 - plain.gamma).max() <= 1e-9 * scale
    assert np.abs(dear.gamma * 1000 - plain.gamma).max() <= 1e-9 * scale
    assert np.abs(moved.gamma - plain.gamma[order]).max() <= 1e-9 * scale
    assert (tall_choices == choices).all()
    assert (dear_choices == choices).all()
    assert (np.where(moved_choices < 0, -1, order[moved_choices]) == choices).all()


def test_loose_budgets_cost_nothing_and_lose_nobody():
    d, g, _ = instance(3, 300, 0)
    B = 2 * g.sum(axis=1)
    router = port(B, 300, epsilon=0.1)
    outcome = replay(router, B, Estimates(d, g), d, g)
    assert router.gamma == pytest.approx(0.0, abs=1e-12)
    assert (outcome.choices[30:] == d[:, 30:].argmax(axis=0)).all()
    assert outcome.admitted[30:].all()


@pytest.mark.parametrize(
    "name", ["dual", "reference", "random", "perf", "cost", "PORT-R", "PORT-RH", "PORT-RH+"]
)
def test_batches_make_no_difference(name):
    history, x, d, g, B = noisy(0, N=300, E=500)
    results = []
    for batch in (1, 7, 256, 300):
        neighbours = NearestNeighbours(history)
        parts = [neighbours.estimate(x[at : at + batch]) for at in range(0, 300, batch)]
        e = Estimates(*(np.concatenate(p, axis=1) for p in zip(*parts, strict=True)))
        router = routers(d, g, B)[name]
        session = Session(router, B, 300)
        cuts = [slice(at, at + batch) for at in range(0, 300, batch)]
        outcomes = [session.serve(e.at(c), d[:, c], g[:, c]) for c in cuts]
        choices = np.concatenate([outcome.choices for outcome in outcomes])
        admitted = np.concatenate([outcome.admitted for outcome in outcomes])
        gamma = getattr(router, "gamma", None)
        results.append((choices, admitted, np.zeros(5) if gamma is None else gamma))
    for other in results[1:]:
        for first, second in zip(results[0], other, strict=True):
            assert (first == second).all()


def test_first_phase_is_uniform_and_prices_are_fitted_once_on_estimates_alone():
    M, N = 4, 9000
    d, g, B = instance(M, N, 0)
    e = Estimates(d, g)
    router = port(B, N, 5, epsilon=0.5)
    choices = replay(router, B, e, d, g).choices[:4500]
    assert router.L == 4500
    assert router.solutions == 1
    assert chisquare(np.bincount(choices + 1, minlength=M + 1)).pvalue > 1e-3
    other = port(B, N, 5, epsilon=0.5)
    later = Estimates(np.where(np.arange(N) < 4500, d, d[:, ::-1]), g)
    replay(other, B, later, d[:, ::-1], 2 * g)
    assert (other.gamma == router.gamma).all()
    assert port(B, 100, epsilon=0.07).L == 7


def test_neighbours_match_a_plain_search(monkeypatch):
    monkeypatch.setattr(features, "CHUNK", 7)
    rng = np.random.default_rng(2)
    history = History(rng.normal(size=(300, 9)), rng.random((3, 300)), rng.random((3, 300)))
    x = np.concatenate([rng.normal(size=(40, 9)), 3 * history.vectors[[17]]])
    similar = (x / np.linalg.norm(x, axis=1)[:, None]) @ history.vectors.T.astype(float)
    for k in (1, 5, 40, 300):
        nearest = np.argsort(-similar, axis=1, kind="stable")[:, :k]
        assert (ExactIndex(history.vectors).nearest(checked(x), k) == nearest).all()
    one = NearestNeighbours(history, 1).estimate(x)
    assert (one.scores[:, -1] == history.scores[:, 17]).all()
    everyone = NearestNeighbours(history, 300).estimate(x)
    assert everyone.costs == pytest.approx(np.tile(history.costs.mean(axis=1)[:, None], 41))


def checked(x):
    return (x / np.linalg.norm(x, axis=1)[:, None]).astype(np.float32)


def same_neighbours(monkeypatch, xp, **where):
    """On every backend the search finds what it finds in NumPy, row by row."""
    monkeypatch.setattr(features, "CHUNK", 50)
    rng = np.random.default_rng(6)
    vectors, itself = checked(rng.normal(size=(333, 9))), np.arange(333)
    for k in (1, 5, 60):
        there, here = ExactIndex(xp.asarray(vectors, **where)), ExactIndex(vectors)
        assert (there.nearest(vectors, k) == here.nearest(vectors, k)).all()
        assert (there.nearest(vectors, k, itself) == here.nearest(vectors, k, itself)).all()


def test_neighbours_need_no_hidden_host_copy(monkeypatch):
    """The strict standard on a device that is not the default refuses any implicit conversion."""
    same_neighbours(monkeypatch, array_api_strict, device=array_api_strict.Device("device1"))


@pytest.mark.gpu
def test_the_gpu_finds_the_same_neighbours(monkeypatch, cupy):
    same_neighbours(monkeypatch, cupy)


def test_ties_go_to_the_lowest_row_and_nobody_is_its_own_neighbour():
    rows = np.array([[1.0, 0.0], [0.0, 1.0]] * 40)
    history = History(rows, np.arange(80.0)[None] / 80, np.ones((1, 80)))
    found = ExactIndex(history.vectors).nearest(history.vectors[:2], 3)
    assert found.tolist() == [[0, 2, 4], [1, 3, 5]]
    left_out = NearestNeighbours(history, 1).leave_one_out()
    assert left_out.scores[0, :3].tolist() == [2 / 80, 3 / 80, 0.0]


@pytest.mark.slow
@pytest.mark.parametrize(("M", "sizes"), [(3, (0.70, 0.86, 0.90)), (8, (0.70, 0.80, 0.88))])
def test_ratio_grows_with_the_volume(M, sizes):
    ratios = {"dual": [], "reference": []}
    for N in (500, 5000, 50_000):
        here = {"dual": [], "reference": []}
        for seed in range(5 if M == 3 else 2):
            d, g, B = instance(M, N, seed)
            bound = dual.solve(d, g, B).value
            for mode, found in here.items():
                router = port(B, N, seed, epsilon=N ** (-1 / 3), mode=mode)
                found.append(measure(replay(router, B, Estimates(d, g), d, g))["perf"] / bound)
        for mode, found in here.items():
            ratios[mode].append(np.mean(found))
    assert ratios["dual"] == sorted(ratios["dual"])
    assert all(ratio >= least for ratio, least in zip(ratios["dual"], sizes, strict=True))
    assert ratios["dual"][-1] > ratios["reference"][-1]


def test_both_modes_agree_where_every_query_fits():
    N = 5000
    d, g, _ = instance(4, N, 0)
    B = 0.4 * g.sum(axis=1)
    bound = dual.solve(d, g, B).value
    epsilon = N ** (-1 / 3)
    perf = [
        measure(replay(port(B, N, epsilon=epsilon, mode=mode), B, Estimates(d, g), d, g))["perf"]
        for mode in dual.MODES
    ]
    assert abs(perf[0] - perf[1]) <= 0.005 * bound
    assert min(perf) >= (1 - epsilon) * bound


@pytest.mark.slow
def test_beats_the_baselines_with_noisy_features():
    relative = {}
    for seed in range(5):
        history, x, d, g, B = noisy(seed)
        e = NearestNeighbours(history).estimate(x)
        every = routers(d, g, B, seed) | {"dual": port(B, 3000, seed)}
        reference = replay(dual_plan(e, B), B, e, d, g)
        for name in ("dual", "cost", "perf", "random"):
            perf = measure(replay(every[name], B, e, d, g))["perf"] / measure(reference)["perf"]
            relative.setdefault(name, []).append(perf)
    mean = {name: np.mean(values) for name, values in relative.items()}
    assert mean["dual"] >= 0.75
    for name in ("cost", "perf", "random"):
        assert mean["dual"] >= 1.3 * mean[name], name


def test_a_session_can_be_read_and_resumed_between_batches():
    d, g, B = instance(3, 60, 0)
    session = Session(registry.CostRouter(B), B, 60)
    first = session.serve(Estimates(d[:, :20], g[:, :20]), d[:, :20], g[:, :20])
    assert session.ledger.spent.sum() == pytest.approx(first.costs.sum())
    assert session.ledger.served.sum() == first.admitted.sum()
    assert (session.ledger.left == B - session.ledger.spent).all()
    assert session.ledger.lost.sum() == 20 - first.admitted.sum()
