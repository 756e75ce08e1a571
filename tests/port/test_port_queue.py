"""PORT and ACQB in one queue: money, order of service, retrials, and shared chance."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from cqb.environment import pooled_environment
from cqb.simulate import Decision
from cqb_port.features import Estimates, History
from cqb_port.queueing import FirstInFirstOut, QueueScenario, expected_attempts, serve
from cqb_port.router import AdaptivePort
from cqb_port.session import Ledger

N, M = 30, 3
RNG = np.random.default_rng(3)


def uniform(rates=0.5, rounds=2000, arrival_rate=0.5, costs=1.0):
    """A queue in which every model has the same departure rate; costs are whole dollars."""
    odds = np.full((N, M), rates / (1 - rates))
    environment = pooled_environment("tiny", True, np.eye(N), odds)
    scores = np.tile(np.arange(1, M + 1)[:, None] / M, (1, N))
    rng = np.random.default_rng(0)
    return QueueScenario(
        environment,
        scores,
        np.full((M, N), float(costs)),
        rng.random(rounds) < arrival_rate,
        rng.random(rounds),
    )


def rich():
    """Budgets that nothing exhausts."""
    return Ledger(np.full(M, 1e4))


class Fixed:
    """Serves the head with the same models, and remembers what it saw."""

    def __init__(self, offered):
        self.offered, self.served, self.picks = offered, [], []

    def choose(self, t, waiting):
        self.served.append((t, waiting.query[0]))
        return Decision(0, self.offered)

    def observe(self, t, query, context, assortment, pick):
        self.picks.append((query, pick))


def test_every_attempt_is_paid_and_only_what_fits_runs():
    ledger, policy = Ledger(np.full(M, 9.0)), Fixed((0, 2))
    report = serve(uniform(), policy, ledger)
    assert report.attempts == 9
    assert ledger.spent.tolist() == [9.0, 0.0, 9.0]
    assert report.cost == 18.0
    assert report.departed + report.lost == N
    assert len(policy.picks) == 9


def test_an_attempt_runs_only_if_all_models_fit():
    ledger = Ledger(np.array([1.0, 0.5, 2.0]))
    costs = np.array([0.6, 0.6, 0.6])
    assert not ledger.charge((0, 1), costs)
    assert ledger.spent.tolist() == [0.0, 0.0, 0.0]
    assert ledger.charge((0, 2), costs)
    assert not ledger.charge((0,), costs)
    assert ledger.spent.tolist() == [0.6, 0.0, 0.6]


def test_retrials_go_to_the_back_and_scores_are_those_of_the_picked_model():
    here = uniform(rates=0.4, arrival_rate=1.0)
    policy = Fixed((1,))
    report = serve(here, policy, rich())
    assert (report.departed, report.lost) == (N, 0)
    assert report.perf == pytest.approx(N * 2 / 3)
    assert report.attempts == report.cost == len(policy.picks) > N
    tries = Counter(query for _, query in policy.served)
    assert all(
        sum(q == query and pick < 0 for q, pick in policy.picks) == tries[query] - 1
        for query in tries
    )
    # One query arrives a round, behind whoever retries in it; the head is served.
    queue, coming = [], iter(range(N))
    for query, pick in policy.picks:
        if not queue:
            queue.append(next(coming))
        assert query == queue.pop(0)
        queue += [query] if pick < 0 else []
        queue += [arrived for arrived in [next(coming, None)] if arrived is not None]


def test_a_sure_departure_waits_one_round_and_declined_queries_leave_as_lost():
    """Little's law in its simplest form: served in the round after its arrival."""
    here = uniform(rates=1 - 1e-12, arrival_rate=0.3)
    report = serve(here, Fixed((0,)), rich())
    assert (report.wait, report.wait_95, report.lost) == (1.0, 1.0, 0)
    declined = serve(here, Fixed(()), rich())
    assert (declined.lost, declined.cost, declined.attempts) == (N, 0.0, 0)


def test_mean_attempts_match_the_departure_rate():
    """Geometric with mean 1 / r = 2.5 (400 draws of queries would err by .1; 30 by .35)."""
    found = []
    for seed in range(12):
        here = uniform(rates=0.4)
        rng = np.random.default_rng(seed)
        here = replace(here, outcome=rng.random(here.outcome.size))
        found.append(serve(here, Fixed((0,)), rich()).attempts / N)
    assert np.mean(found) == pytest.approx(2.5, abs=4 * np.sqrt(3.75 / (12 * N)))


def test_running_out_of_draws_is_an_error():
    with pytest.raises(RuntimeError, match="still wait after 40 rounds"):
        serve(uniform(rates=0.01, rounds=40), Fixed((0,)), rich())


def test_the_router_meets_each_query_once_however_often_it_retries():
    ledger = Ledger(np.full(M, 40.0))
    known = Estimates(RNG.random((M, 50)), np.ones((M, 50)))
    router = AdaptivePort(ledger.budgets / 3, N, every=10, history=known)
    estimates = Estimates(RNG.random((M, N)), np.ones((M, N)))
    serve(uniform(rates=0.3), FirstInFirstOut(router, estimates, ledger, 3.0), ledger)
    assert router.arrived == N
    assert router.solutions == 3
    assert (ledger.spent <= ledger.budgets).all()


def test_expected_attempts_are_those_of_the_models_that_queries_are_sent_to():
    """Model 0 always succeeds (r = .99), model 1 never (r = .1): who is chosen decides."""
    E = 60
    scores = np.vstack([np.ones(E), np.zeros(E)])
    history = History(RNG.normal(size=(E, 4)), scores, np.ones((2, E)))
    loose = np.full(2, 1e3)
    right = Estimates(scores, np.ones((2, E)))
    wrong = Estimates(scores[::-1].copy(), np.ones((2, E)))
    assert expected_attempts(history, right, loose, E) == pytest.approx(1 / 0.99)
    assert expected_attempts(history, wrong, loose, E) == pytest.approx(10.0)
