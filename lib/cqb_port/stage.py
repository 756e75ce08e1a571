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
from .admission import Ledger
from .world import World

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
class Stage:
    """The stream as the queue meets it.

    Attributes
    ----------
    environment : the stream's queries as a pool, entry j being arrival j. scores, costs : (M, n).
    budgets : (M,) dollars. arrives : (T,) bool. outcome : (T,) uniforms. arrival_rate : per round.
    """

    environment: Environment
    scores: np.ndarray
    costs: np.ndarray
    budgets: np.ndarray
    arrives: np.ndarray
    outcome: np.ndarray
    arrival_rate: float


def stage(world: World, arrival_rate: float) -> Stage:
    """The stage of a world, with arrivals and outcomes of the world's own chance.

    Departure probabilities are those of the ACQB paper's settings at lam = 0: scores are stretched to
    0.1 to 0.99. Raises ValueError unless the arrival rate lies in (0, 1].
    """
    if not 0 < arrival_rate <= 1:
        raise ValueError(f"arrival_rate: found {arrival_rate}, expected a number in (0, 1]")
    vectors = world.deal.vectors[world.at]
    environment = pooled_environment("port queue", True, vectors, departure_odds(world.scores.T))
    T = int(2 * world.horizon / arrival_rate) + ATTEMPTS * world.horizon
    streams = Streams(world.task.chance)
    arrives = streams.uniforms("arrivals", T) < arrival_rate
    outcome = streams.uniforms("outcomes", T)
    return Stage(
        environment, world.scores, world.costs, world.budgets, arrives, outcome, arrival_rate
    )


def serve(here: Stage, policy: Policy, purse: Ledger) -> Report:
    """Run a policy until every query has left.

    `purse` holds the stage's budgets; a policy that looks at what is left was given the same one.

    Raises
    ------
    RuntimeError
        Queries still wait after the rounds that the stage has draws for.
    """
    book, n = _Book(here), here.scores.shape[1]
    fresh = False
    for t in range(1, here.outcome.size + 1):
        if book.came == n and not book.queue:
            return book.report(purse)
        if book.queue:
            _round(t, here, policy, purse, book, fresh)
        fresh = book.came < n and bool(here.arrives[t - 1])
        book.end(t, fresh)
    raise RuntimeError(f"{len(book.queue)} queries still wait after {here.outcome.size} rounds")


def _round(t: int, here: Stage, policy: Policy, purse: Ledger, book: _Book, fresh: bool) -> None:
    context_of = here.environment.context_of
    waiting = Waiting(list(book.queue), context_of[book.queue].tolist(), list(book.queue), fresh)
    position, offered, _ = policy.choose(t, waiting)
    query = book.queue.pop(position)
    if not offered or not paid(purse, offered, here.costs[:, query]):
        book.lost += 1
        return
    book.attempts += 1
    odds = np.concatenate([[1.0], here.environment.odds[query, list(offered)]])
    choice = int(sample_choice(odds / odds.sum(), here.outcome[t - 1]))
    pick = RETRY if choice == 0 else offered[choice - 1]
    policy.observe(t, query, waiting.context[position], offered, pick)
    if pick == RETRY:
        book.queue.append(query)
    else:
        book.left[query], book.score[query] = t, here.scores[pick, query]


def paid(purse: Ledger, offered: tuple[int, ...], costs: np.ndarray) -> bool:
    """Charge every offered model its cost, (M,), if all of them fit; whether they did."""
    models = list(offered)
    total = purse.spent[models] + costs[models]
    if (total > purse.budgets[models]).any():
        return False
    purse.spent[models] = total
    return True


class _Book:
    """Who waits, who has left, and when."""

    def __init__(self, here: Stage) -> None:
        n = here.scores.shape[1]
        self.queue: list[int] = []
        self.arrived, self.left = np.zeros((2, n), np.int64)
        self.score = np.zeros(n)
        self.came = self.lost = self.attempts = self.rounds = self.waited = 0

    def end(self, t: int, fresh: bool) -> None:
        """Admit the arrival of round t, if there is one, and count who waits."""
        if fresh:
            self.arrived[self.came] = t
            self.queue.append(self.came)
            self.came += 1
        self.rounds = t
        self.waited += len(self.queue)

    def report(self, purse: Ledger) -> Report:
        departed = self.left > 0
        waits = (self.left - self.arrived)[departed]
        if waits.size == 0:
            waits = np.zeros(1)
        return Report(
            perf=float(self.score.sum()),
            cost=float(purse.spent.sum()),
            departed=int(departed.sum()),
            lost=self.lost,
            attempts=self.attempts,
            wait=float(waits.mean()),
            wait_95=float(np.quantile(waits, 0.95)),
            queue=self.waited / self.rounds,
        )
