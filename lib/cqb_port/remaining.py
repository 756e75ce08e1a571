"""What is still to come, judged by what has come: the history less the kinds already seen.

History and stream are taken to be of one mix, in whatever order the stream arrives. Each historical
query then stands for N / E arrivals, and an arrival takes one off the weights of those it is most
like, in what alone matters for prices: estimated scores and costs.
"""

from __future__ import annotations

import numpy as np

from .features import Estimates

SPREAD = 40  # historical queries that an arrival is taken off, in equal parts


class Remaining:
    """The history (M, E), weighted by how many arrivals of its kind are still to come.

    Parameters
    ----------
    history : leave-one-out estimates of the history. horizon : N, the arrivals in all.
    """

    def __init__(self, history: Estimates, horizon: int) -> None:
        E = history.scores.shape[1]
        self._history, self._to_come = history, horizon
        self._units = [np.maximum(v.std(axis=1), 1e-12)[:, None] for v in history]
        self._places = self._place(history)
        self._weight, self._spread = np.full(E, horizon / E), min(SPREAD, E)

    def see(self, arrivals: Estimates) -> None:
        """Take the arrivals (M, n) off."""
        for place in self._place(arrivals):
            distance = np.square(self._places - place).sum(axis=1)
            nearest = np.argpartition(distance, self._spread - 1)[: self._spread]
            self._weight[nearest] -= 1.0 / self._spread
            self._to_come -= 1

    @property
    def weights(self) -> np.ndarray:
        """Arrivals to come of the kind of each historical query, (E,); they add up to all of them."""
        left = np.maximum(self._weight, 0.0)
        if not left.any():
            left = np.ones_like(left)
        return left * (self._to_come / left.sum())

    def sample(self) -> Estimates:
        """The history with scores and costs times the weights, which weighs the dual's terms so."""
        weights = self.weights
        return Estimates(*(values * weights for values in self._history))

    def _place(self, estimates: Estimates) -> np.ndarray:
        """Estimates in units of their spread over the history: (n, 2 M)."""
        return np.concatenate([v / u for v, u in zip(estimates, self._units, strict=True)]).T.copy()
