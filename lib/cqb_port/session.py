"""A router at work: choices, admission and what came of them, batch by batch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import checks
from .admission import Ledger
from .features import Estimates
from .router import Router


@dataclass(frozen=True, eq=False)
class Outcome:
    """What happened to n queries.

    Attributes
    ----------
    choices : (n,) int, the model asked for, -1 where the router declined.
    admitted : (n,) bool, served. scores, costs : (n,) of those served, 0 elsewhere.
    """

    choices: np.ndarray
    admitted: np.ndarray
    scores: np.ndarray
    costs: np.ndarray

    @property
    def served(self) -> np.ndarray:
        """(n,) int, the model that served each query, -1 where none did."""
        return np.where(self.admitted, self.choices, -1)


class Session:
    """Serves queries until the horizon; how they are cut into batches makes no difference.

    (BatchSplit is the exception: it decides batch by batch, by its nature.)
    """

    def __init__(self, router: Router, budgets: np.ndarray, horizon: int) -> None:
        self.router, self.horizon, self.arrived = router, horizon, 0
        self.ledger = Ledger(budgets)

    def serve(self, estimates: Estimates, scores: np.ndarray, costs: np.ndarray) -> Outcome:
        """Route and admit the next queries, in order of arrival.

        Parameters
        ----------
        estimates : of the queries, (M, n). scores, costs : what they truly are, (M, n).

        Raises
        ------
        ValueError
            More than `horizon` queries in all, shapes that do not fit, or values out of range.
        """
        M = self.ledger.budgets.size
        d, g = checks.scores("scores", scores, M), checks.costs("costs", costs, M)
        for name, values in zip(("estimated scores", "estimated costs"), estimates, strict=True):
            checks.same_shape("scores", d, name, checks.matrix(name, values, M))
        checks.same_shape("scores", d, "costs", g)
        n = d.shape[1]
        if self.arrived + n > self.horizon:
            raise ValueError(
                f"queries: found {self.arrived + n}, expected at most the {self.horizon} that the "
                "router was made for"
            )
        choices, admitted = np.empty(n, np.int64), np.empty(n, bool)
        start = 0
        while start < n:
            stop = min(n, start + self.router.block(self.arrived))
            part = slice(start, stop)
            choices[part] = self.router.choose(estimates.part(start, stop), self.ledger.left)
            admitted[part] = self.ledger.admit(choices[part], g[:, part])
            self.arrived += stop - start
            start = stop
        at = (choices, np.arange(n))
        return Outcome(
            choices, admitted, np.where(admitted, d[at], 0), np.where(admitted, g[at], 0)
        )


def replay(
    router: Router,
    budgets: np.ndarray,
    estimates: Estimates,
    scores: np.ndarray,
    costs: np.ndarray,
    batch: int = 256,
) -> Outcome:
    """A whole stream through one router, in batches; the horizon is the length of the stream."""
    n = scores.shape[1]
    session = Session(router, budgets, n)
    parts = [
        session.serve(
            estimates.part(at, at + batch), scores[:, at : at + batch], costs[:, at : at + batch]
        )
        for at in range(0, n, batch)
    ]
    joined = (np.concatenate([getattr(p, name) for p in parts]) for name in Outcome.__annotations__)
    return Outcome(*joined)
