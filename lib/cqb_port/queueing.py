"""One queue with retrials and hard budgets, for PORT and ACQB alike (arXiv 2509.02718, 2602.02061).

Queries of one stream arrive one by one and wait. In each round one waiting query is served: every
model offered runs and is paid its full cost, whatever the user does. The user picks one of the
answers and leaves, or goes back to the end of the queue. An attempt runs only if every model's
budget admits its cost; a query that is declined, or whose attempt does not fit, leaves as lost.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from cqb.environment import Environment, pooled_environment
from cqb.mnl import sample_choice
from cqb.routing_table import departure_odds
from cqb.simulate import RETRY, Policy, Waiting
from cqb.streams import Streams

from .scenario import Scenario
from .session import Ledger

ATTEMPTS = 12  # rounds set aside per query; even at the lowest departure rate, 0.1, it takes 10


class Report(NamedTuple):
    """What became of a stream of n queries.

    perf : total score of the picked answers. cost : dollars, failed attempts included.
    departed, lost : queries. attempts : that ran. wait : mean rounds from arrival to departure, of those
    that departed. wait_95 : its 95% quantile. queue : mean length over the rounds played.
    """

    perf: float
    cost: float
    departed: int
    lost: int
    attempts: int
    wait: float
    wait_95: float
    queue: float


@dataclass(frozen=True, eq=False)
class QueueScenario:
    """A stream as the queue meets it.

    Attributes
    ----------
    environment : the stream's queries as a pool, entry j being arrival j. scores, costs : (M, n).
    arrives : (T,) bool. outcome : (T,) uniforms. arrival_rate : queries per round.
    """

    environment: Environment
    scores: np.ndarray
    costs: np.ndarray
    arrives: np.ndarray
    outcome: np.ndarray
    arrival_rate: float


def queue_scenario(here: Scenario, arrival_rate: float) -> QueueScenario:
    """The queue of a scenario, with arrivals and outcomes drawn by the task's noise seed.

    Departure probabilities are those of the ACQB paper's settings at lam = 0: scores are stretched to
    0.1 to 0.99. Raises ValueError unless the arrival rate lies in (0, 1].
    """
    if not 0 < arrival_rate <= 1:
        raise ValueError(f"arrival_rate: found {arrival_rate}, expected a number in (0, 1]")
    vectors = here.partition.vectors[here.rows]
    environment = pooled_environment("port queue", True, vectors, departure_odds(here.scores.T))
    T = int(2 * here.horizon / arrival_rate) + ATTEMPTS * here.horizon
    streams = Streams(here.task.noise_seed)
    arrives = streams.uniforms("arrivals", T) < arrival_rate
    outcome = streams.uniforms("outcomes", T)
    return QueueScenario(environment, here.scores, here.costs, arrives, outcome, arrival_rate)


def serve(here: QueueScenario, policy: Policy, ledger: Ledger) -> Report:
    """Run a policy until every query has left.

    `ledger` holds the budgets; a policy that consults what is left shares it.

    Raises
    ------
    RuntimeError
        Queries still wait after the rounds that the scenario has draws for.
    """
    run = _Run(here, policy, ledger)
    for t in range(1, here.outcome.size + 1):
        if run.finished:
            return run.report()
        run.play_round(t)
    raise RuntimeError(f"{len(run.queue)} queries still wait after {here.outcome.size} rounds")


class _Run:
    """The state of one run: who waits, who has left, and when."""

    def __init__(self, here: QueueScenario, policy: Policy, ledger: Ledger) -> None:
        self.here, self.policy, self.ledger = here, policy, ledger
        self.n = here.scores.shape[1]
        self.queue: list[int] = []
        self.arrived, self.departed = np.zeros((2, self.n), np.int64)
        self.score = np.zeros(self.n)
        self.came = self.lost = self.attempts = self.rounds = self.waited = 0
        self.fresh = False

    @property
    def finished(self) -> bool:
        return self.came == self.n and not self.queue

    def play_round(self, t: int) -> None:
        """Serve one query, then admit the arrival of round t, if there is one."""
        if self.queue:
            self._serve_one(t)
        self.fresh = self.came < self.n and bool(self.here.arrives[t - 1])
        if self.fresh:
            self.arrived[self.came] = t
            self.queue.append(self.came)
            self.came += 1
        self.rounds = t
        self.waited += len(self.queue)

    def _serve_one(self, t: int) -> None:
        environment = self.here.environment
        contexts = environment.context_of[self.queue].tolist()
        waiting = Waiting(list(self.queue), contexts, list(self.queue), self.fresh)
        position, offered, _ = self.policy.choose(t, waiting)
        query = self.queue.pop(position)
        if not offered or not self.ledger.charge(offered, self.here.costs[:, query]):
            self.lost += 1
            return
        self.attempts += 1
        odds = np.concatenate([[1.0], environment.odds[query, list(offered)]])
        choice = int(sample_choice(odds / odds.sum(), self.here.outcome[t - 1]))
        pick = RETRY if choice == 0 else offered[choice - 1]
        self.policy.observe(t, query, contexts[position], offered, pick)
        if pick == RETRY:
            self.queue.append(query)
        else:
            self.departed[query], self.score[query] = t, self.here.scores[pick, query]

    def report(self) -> Report:
        departed = self.departed > 0
        waits = (self.departed - self.arrived)[departed] if departed.any() else np.zeros(1)
        return Report(
            perf=float(self.score.sum()),
            cost=float(self.ledger.spent.sum()),
            departed=int(departed.sum()),
            lost=self.lost,
            attempts=self.attempts,
            wait=float(waits.mean()),
            wait_95=float(np.quantile(waits, 0.95)),
            queue=self.waited / self.rounds,
        )
