"""A router in the simulator: it is given ids and vectors round by round, as a service gives them."""

from pathlib import Path

import numpy as np

from cqb import Router
from cqb.mnl import Assortment
from cqb.simulate import Decision, Waiting


class Driven:
    """A policy of :func:`cqb.simulate.simulate` that asks a router.

    Parameters
    ----------
    contexts : (C, d) of the environment; a row is shown to the router when its query is first waiting.
    file, often : every so many rounds the router is saved to the file, and the one loaded from it goes
        on: before the choice, and between it and the user's answer.
    """

    def __init__(
        self,
        router: Router,
        contexts: np.ndarray,
        file: Path | None = None,
        often: int = 1,
    ) -> None:
        self.router, self._contexts = router, contexts
        self._file, self._often, self._round = file, often, 0

    def choose(self, t: int, waiting: Waiting) -> Decision:
        for _ in range(self._round, t - 1):
            self.router.choose({})  # the rounds in which nobody waited
        self._round = t
        self._replace(t)
        named = zip(waiting.query, waiting.context, strict=True)
        offer = self.router.choose({f"q{query}": self._contexts[c] for query, c in named})
        place = waiting.query.index(int(offer.query[1:]))
        return Decision(place, tuple(map(self.router.models.index, offer.models)))

    def observe(self, t: int, query: int, context: int, assortment: Assortment, pick: int) -> None:
        self._replace(t)
        self.router.observe(f"q{query}", None if pick < 0 else self.router.models[pick])

    def _replace(self, t: int) -> None:
        if self._file and t % self._often == 0:
            self.router.save(self._file)
            self.router = Router.load(self._file)
