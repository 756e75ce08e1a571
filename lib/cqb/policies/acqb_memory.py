"""ACQB-recall and ACQB-recall-rows: learn what a retrial of a query says of its next attempt.

The utility of model j for query q is ``<x_q, theta_j> + b_qj`` (ACQB, arXiv 2602.02061, is the case
b = 0). :mod:`cqb.persistence` holds the posterior of both parts and of the hypotheses about b, which
belongs to the query or to its prompt, or is not there. The waiting query with the largest posterior
departure rate is served.

The text is trusted little, and only the models' intercepts are drawn. A model that has failed a prompt
more often than K others is not offered to it (:data:`PATIENCE`), nor one that has failed it as often as
it was picked, while K have never been offered. ACQB-recall starts from nothing, ACQB-recall-rows from
the refinement rows.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np
from scipy.special import ndtr

from ..persistence import Prior
from ..persistence.beliefs import moments
from ..persistence.filter import Filter, studied
from ..simulate import Assortment, Decision, Waiting
from ..streams import Streams
from .base import PolicyEntry, ScoredRows, Service
from .ts_memory import Outcomes

# Hypotheses below this weight take no part in a choice.
NEGLIGIBLE = 1e-4
PATIENCE = 1  # net failures of a prompt, for each of the K models, before models are barred


class MemoryLearner:
    """Serves the (query, assortment) of largest posterior departure rate.

    An assortment is built model by model; each is the one most likely to help if those before it fail.
    If effects agree between models, the second model is one that fails on other queries.

    Parameters
    ----------
    sampling : scale of the draw of the intercepts, 1 / K-th of it for an assortment of K, which explores
        by itself. 1 is Thompson sampling, 0 serves the posterior mean rate.
    patience : after this many times K failures of a prompt, net of each model's picks, the models that
        have failed it more often than K others are barred. A failure that a pick makes up for counts
        half, so that models come first that were never offered. At K = 1 and a patience of 1, a prompt
        that was retried N times more often than picked has so been offered every model; at K = 2 two
        models that fail equally often are not barred.
    """

    def __init__(
        self, service: Service, streams: Streams, filter_: Filter, sampling: float, patience: int
    ) -> None:
        self._K, self._N = service.K, service.n_models
        self._scale, self._patience = sampling / service.K, patience
        self._outcomes = Outcomes(service.n_models, by_prompt=True)
        self._normals = streams.rounds("posterior")
        self.filter = filter_

    def admit(self, context: int, contexts: np.ndarray) -> None:
        self.filter.contexts = contexts

    def choose(self, t: int, waiting: Waiting) -> Decision:
        at = self.filter.arrive(waiting.query, waiting.context)
        weights = self.filter.weights
        live = weights > NEGLIGIBLE
        weights = weights[live] / weights[live].sum()
        mean, variance = self._drawn(t, at, live)
        barred = self._barred(waiting.context)
        chosen, retrial = self._assortments(at, live, weights, mean, variance, barred)
        place = int(np.argmin(retrial))
        return Decision(place, tuple(sorted(chosen[place].tolist())))

    def _barred(self, contexts: Sequence[int]) -> np.ndarray:
        """(q, N): models that have failed the prompt more often than K others; at least K are left."""
        failures, picks = self._outcomes.counts((), contexts)
        net = failures - picks
        enough = np.maximum(net, 0.0).sum(axis=1) >= self._patience * self._K
        failed = net + 0.5 * (failures + picks > 0.0)
        return enough[:, None] & (failed > np.sort(failed, axis=1)[:, self._K - 1, None])

    def _drawn(self, t: int, at: np.ndarray, live: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Means after a draw of the intercepts, and the variances left: (q, H, N) each."""
        mean, variance = self.filter.latent(at, live)
        own, doubt = self.filter.uncertainty(at), self.filter.intercept_variance
        z = self._scale * self._normals.at(t).standard_normal(self._N)
        left = np.maximum(own - self._scale**2 * doubt, 0.0)
        return mean + np.sqrt(doubt) * z, variance + left[:, None, :]

    def _assortments(
        self,
        at: np.ndarray,
        live: np.ndarray,
        weights: np.ndarray,
        mean: np.ndarray,
        variance: np.ndarray,
        taken: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Each query's K models that are not yet `taken`, (q, K), and the chance that all fail, (q,)."""
        low, high = self.filter.low[live][:, None], self.filter.high[live][:, None]
        rows = np.arange(at.size)
        weight = np.tile(weights, (at.size, 1))
        retrial = np.ones(at.size)
        chosen = np.empty((at.size, self._K), np.int64)
        for k in range(self._K):
            rates = low + (high - low) * ndtr(mean / np.sqrt(variance))
            mixed = np.where(taken, -1.0, np.einsum("qh,qhj->qj", weight, rates))
            best = mixed.argmax(axis=1)
            chosen[:, k], taken[rows, best] = best, True
            retrial *= 1.0 - mixed[rows, best]
            if k + 1 == self._K:
                break
            Z, slope, curvature = moments(
                mean[rows, :, best], variance[rows, :, best], 1.0 - low[:, 0], 1.0 - high[:, 0]
            )
            column = self.filter.effects(at, live, best)
            mean = mean + slope[:, :, None] * column
            variance = np.maximum(variance - curvature[:, :, None] * column**2, 1e-9)
            weight = weight * Z
            weight /= weight.sum(axis=1, keepdims=True)
        return chosen, retrial

    def observe(self, t: int, query: int, context: int, assortment: Assortment, pick: int) -> None:
        self.filter.observe(query, assortment, pick)
        self._outcomes.observe(query, context, assortment, pick)


def acqb_recall(
    service: Service,
    streams: Streams,
    rows: ScoredRows | None = None,
    *,
    sampling: float,
    patience: int = PATIENCE,
    prior: Prior | None = None,
) -> MemoryLearner:
    """The policy, which starts from scored rows if it is given any.

    The parameters and the correlation of effects then come from the rows.
    """
    prior = prior or Prior()
    if rows is None:
        filter_ = Filter(service.contexts, service.n_models, prior)
    else:
        filter_ = studied(service.contexts, rows.contexts, rows.rates, prior)
    return MemoryLearner(service, streams, filter_, sampling, patience)


# Scales chosen on tuning rows and seeds 100 to 103 of RouterBench and ParetoBandit at K = 1.
RECALL = PolicyEntry("ACQB-recall", partial(acqb_recall, sampling=0.8))
RECALL_ROWS = PolicyEntry("ACQB-recall-rows", partial(acqb_recall, sampling=0.5), rows="refinement")
