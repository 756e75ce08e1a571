"""INFORMED, a reference policy: a thousand fully scored rows, the query's failures, and no learning.

The posterior over the scored rows, given a query's context x and its past rounds, is proportional to
``exp(<x, x_i> / temperature)`` times the probability of these rounds if row i's odds were the query's
own. The largest mean rate under it is served. No online policy sees such rows, so this is not a policy
to deploy; it measures what rows and memory are worth without learning.

INFORMED-prompt remembers a prompt's rounds over all its arrivals, answers included. The same two rules
with the refinement rows alone (the ending "-rows") know no more than other policies that start from
them.
"""

from functools import partial

import numpy as np

from ..checks import positive
from ..simulate import RETRY, Assortment, Decision, Waiting
from ..streams import Streams
from .base import PolicyEntry, ScoredRows, Service

TEMPERATURE = 0.1
FEW_ROWS = 0.3  # the temperature with the refinement rows alone: the best of .03, .1, .3 and 1


class Informed:
    """Serves the (query, assortment) of largest posterior departure rate.

    Parameters
    ----------
    temperature : of the weights of rows by their similarity to the query, positive.
    by_prompt : past rounds are those of the prompt (the context number), not of the query alone.

    Raises
    ------
    ValueError
        The temperature is not positive.
    """

    def __init__(
        self,
        service: Service,
        streams: Streams,
        rows: ScoredRows,
        temperature: float = TEMPERATURE,
        by_prompt: bool = False,
    ) -> None:
        positive("temperature", temperature)
        self._contexts, self._K, self._rows = service.contexts, service.K, rows
        self._temperature, self._by_prompt = temperature, by_prompt
        # By query or by prompt: the logarithms of the rows' weights, and the rates that follow.
        self._weight: dict[int, np.ndarray] = {}
        self._rates: dict[int, np.ndarray] = {}

    def choose(self, t: int, waiting: Waiting) -> Decision:
        keys = waiting.context if self._by_prompt else waiting.query
        for key, context in zip(keys, waiting.context, strict=True):
            if key not in self._weight:
                near = self._rows.contexts @ self._contexts[context] / self._temperature
                self._update(key, near)
        rates = np.array([self._rates[key] for key in keys])
        best = np.argsort(-rates, axis=1, kind="stable")[:, : self._K]
        top = np.take_along_axis(rates, best, axis=1)
        place = int(np.argmax((top / (1.0 - top)).sum(axis=1)))
        return Decision(place, tuple(sorted(best[place].tolist())))

    def observe(self, t: int, query: int, context: int, assortment: Assortment, pick: int) -> None:
        key = context if self._by_prompt else query
        if pick != RETRY and not self._by_prompt:
            del self._weight[query], self._rates[query]
            return
        odds = self._rows.odds
        chosen = np.log(odds[:, pick]) if pick != RETRY else 0.0
        offered = odds[:, list(assortment)].sum(axis=1)
        self._update(key, self._weight[key] + chosen - np.log1p(offered))

    def _update(self, key: int, log_weight: np.ndarray) -> None:
        weight = np.exp(log_weight - log_weight.max())
        self._weight[key] = log_weight
        self._rates[key] = weight @ self._rows.rates / weight.sum()


INFORMED = PolicyEntry("INFORMED", Informed, rows="rest")
INFORMED_PROMPT = PolicyEntry("INFORMED-prompt", partial(Informed, by_prompt=True), rows="rest")
_few = partial(Informed, temperature=FEW_ROWS)
INFORMED_ROWS = PolicyEntry("INFORMED-rows", _few, rows="refinement")
INFORMED_PROMPT_ROWS = PolicyEntry(
    "INFORMED-prompt-rows", partial(_few, by_prompt=True), rows="refinement"
)
