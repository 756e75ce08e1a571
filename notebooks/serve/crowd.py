"""Simulated users from a table: they ask, pick or ask again, the same ones at every desk."""

from collections.abc import Mapping
from contextlib import suppress

import numpy as np

from cqb.environment import Environment
from cqb.mnl import sample_choice
from cqb.streams import Streams

from .desk import Desk, Refused

NAME = "user-"  # and the arrival's round, a dash, and the row: such ids are the crowd's
MOST = 400  # points of the curves


class Crowd:
    """Users whose odds come from an environment; each round one may arrive, and one is served.

    Desks see the same arrivals and the same luck in every round. A query of somebody else that is
    served takes the desk's round, and waits for its user's answer.

    Parameters
    ----------
    arrival_rate : chance of an arrival in a round.

    Attributes
    ----------
    regret : of each desk, the sum over rounds of the best departure rate that waited less that of the
        offer. curves : of each desk, the round, the queue's length and the regret at some rounds.
    """

    def __init__(
        self, world: Environment, desks: Mapping[str, Desk], arrival_rate: float, seed: int = 1
    ):
        self.world, self.desks, self.arrival_rate = world, desks, arrival_rate
        self._rounds = Streams(seed).rounds("crowd")
        K = next(iter(desks.values())).router.settings["K"]
        self._best = world.departure_rates(K)
        self.round, self._every = 0, 1
        self.regret = dict.fromkeys(desks, 0.0)
        self.curves = {name: [(0, len(desk), 0.0)] for name, desk in desks.items()}

    def play(self) -> None:
        """One round at every desk."""
        self.round += 1
        outcome, arrives, place = self._rounds.at(self.round).random(3)
        row = int(place * self.world.pool_size)
        for name, desk in self.desks.items():
            self.regret[name] += self._serve(desk, outcome)
            if arrives < self.arrival_rate:
                with suppress(Refused):  # who finds no room goes away
                    desk.ask(f"{NAME}{self.round}-{row}", self.vector(row))
            if self.round % self._every == 0:
                self.curves[name].append((self.round, len(desk), round(self.regret[name], 3)))
        if len(self.curves[name]) > MOST:
            self._every *= 2
            for curve in self.curves.values():
                curve[:] = [point for point in curve if point[0] % self._every == 0]

    def vector(self, row: int) -> np.ndarray:
        """The vector of a row of the pool."""
        return self.world.contexts[self.world.context_of[row]]

    def _serve(self, desk: Desk, outcome: float) -> float:
        """The regret of one round at a desk, in which a user of the crowd answers at once."""
        rows = [_row(query) for query in desk.waiting if query.startswith(NAME)]
        offer = desk.serve()
        if offer is None or not offer.query.startswith(NAME):
            return 0.0
        offered = [desk.router.models.index(model) for model in offer.models]
        weights = np.append(1.0, self.world.odds[_row(offer.query), offered])
        k = int(sample_choice(weights / weights.sum(), np.array(outcome)))
        desk.answer(offer.query, offer.models[k - 1] if k else None)
        return float(max(0.0, self._best[rows].max() - (1.0 - 1.0 / weights.sum())))


def _row(query: str) -> int:
    return int(query.rpartition("-")[2])
