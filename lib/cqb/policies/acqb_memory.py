"""ACQB-M, ACQB-W and ACQB-MW: learn from the retrials of the same query, from scored rows, from both.

The utility of model j for query q is ``<x_q, theta_j> + b_qj`` (ACQB, arXiv 2602.02061, is the case
b = 0). :mod:`cqb.persistence` holds the posterior of both parts and of the hypotheses about b. The
waiting query with the largest posterior departure rate is served.

==============  ================================  ======================
name            hypotheses of persistence         starts from
==============  ================================  ======================
ACQB-M          from none to full                 nothing
ACQB-W          none (b = 0)                      the refinement rows
ACQB-MW         from none to full                 the refinement rows
ACQB-M-query    the query's own effect alone      nothing
ACQB-MW-query   the query's own effect alone      the refinement rows
==============  ================================  ======================

An effect may also belong to the prompt: its retrials then also inform later arrivals of the same
prompt. The variants "-query" leave those hypotheses out. ACQB-M-aged is ACQB-M with a
priority that grows by :data:`AGEING` per round of waiting.

ACQB-recall and ACQB-recall-rows do the same with a third of the hypotheses (:data:`FEW`), whose rates
of success are not the simulator's. They trust the text little and draw the models' intercepts alone. A
prompt that has failed :data:`PATIENCE` times too often is offered the models that have failed it least.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import product

import numpy as np
from scipy.special import ndtr

from ..persistence import FRESH, HYPOTHESES, UNITS, Persistence, Prior
from ..persistence.beliefs import moments
from ..persistence.filter import SPREADS, Filter, studied
from ..simulate import Assortment, Decision, Waiting
from ..streams import Streams
from .base import PolicyEntry, ScoredRows, Service
from .ts_memory import Outcomes

# Hypotheses below this weight take no part in a choice.
NEGLIGIBLE = 1e-4
AGEING = 0.002  # of ACQB-M-aged
NARROW = 0.1  # spread of the text's part of ACQB-recall
PATIENCE = 8  # rounds of a prompt with a retrial, less those with a pick
# Nothing persists, or half or most of a query's or prompt's difficulty does; incapable models succeed in
# a tenth or in two fifths of the attempts.
FEW = (
    FRESH,
    *(
        Persistence(unit, share, 0.3, low, 0.98)
        for unit, share, low in product(UNITS, (0.5, 0.9), (0.1, 0.4))
    ),
)


@dataclass(frozen=True)
class MemorySettings:
    """Settings of the policies with memory.

    The spread of the prior and the scale of sampling were chosen on the tuning rows and seeds 100 to
    103, recorded answers and linear utilities together (:mod:`cqb.studies.beyond.tuning`). A policy
    that starts from scored rows takes the spread from them.

    Attributes
    ----------
    prior : of the latent utilities, and the hypotheses of persistence.
    sampling : scale of the posterior draw of the parameters; 1 is Thompson sampling, 0 serves the
        posterior mean rate.
    ageing : added per round of waiting to a query's priority, which otherwise is its departure rate.
        With a > 0 no query waits for ever behind later ones: after 1/a rounds it precedes them all.
    intercepts_only : draw the models' intercepts, at the scale sampling / K; the text's part is used at
        its posterior mean.
    patience : a prompt with at least so many more retrials than picks is offered the models that have
        failed it least (:class:`.ts_memory.Outcomes`), so that none is left untried. 0: never.
    """

    prior: Prior = field(default_factory=Prior)
    sampling: float = 0.25
    ageing: float = 0.0
    intercepts_only: bool = False
    patience: int = 0


DEFAULT = MemorySettings()
NO_MEMORY = MemorySettings(Prior(hypotheses=(FRESH,)))
QUERY_ALONE = MemorySettings(Prior(hypotheses=tuple(h for h in HYPOTHESES if h.unit == "query")))


class MemoryLearner:
    """Serves the (query, assortment) of largest posterior departure rate.

    An assortment is built model by model; each is the one most likely to help if those before it fail.
    If effects agree between models, the second model is one that fails on other queries.
    """

    def __init__(
        self, service: Service, streams: Streams, settings: MemorySettings, filter_: Filter
    ) -> None:
        self._K, self._N = service.K, service.n_models
        self._settings = settings
        # An assortment explores by itself, so a draw of the intercepts can be the narrower.
        self._scale = settings.sampling / (service.K if settings.intercepts_only else 1)
        self._outcomes = Outcomes(service.n_models, by_prompt=True) if settings.patience else None
        self._since: dict[int, int] = {}  # the round in which a query was first seen waiting
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
        chosen, retrial = self._assortments(at, live, weights, mean, variance)
        if self._settings.ageing:
            since = [self._since.setdefault(query, t) for query in waiting.query]
            retrial = retrial - self._settings.ageing * (t - np.array(since))
        place = int(np.argmin(retrial))
        assortment = chosen[place]
        if self._outcomes:
            failed = self._outcomes.excess((), waiting.context[place : place + 1])[0]
            if failed.sum() >= self._settings.patience * self._K:
                assortment = np.lexsort((-weights @ mean[place], failed))[: self._K]
        return Decision(place, tuple(sorted(assortment.tolist())))

    def _drawn(self, t: int, at: np.ndarray, live: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Means after a draw of the parameters, and the variances left: (q, H, N) each."""
        mean, variance = self.filter.latent(at, live)
        own = self.filter.uncertainty(at)
        z = self._scale * self._normals.at(t).standard_normal(self._N)
        # One draw per model moves all its utilities together, each by its own deviation.
        if self._settings.intercepts_only:
            doubt = self.filter.intercept_variance
            left = np.maximum(own - self._scale**2 * doubt, 0.0)
        else:
            doubt, left = own, max(0.0, 1.0 - self._scale**2) * own
        mean = mean + np.broadcast_to(np.sqrt(doubt) * z, own.shape)[:, None, :]
        return mean, variance + left[:, None, :]

    def _assortments(
        self,
        at: np.ndarray,
        live: np.ndarray,
        weights: np.ndarray,
        mean: np.ndarray,
        variance: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Each query's K models, (q, K), and the probability that all of them fail, (q,)."""
        low, high = self.filter.low[live][:, None], self.filter.high[live][:, None]
        rows = np.arange(at.size)
        weight = np.tile(weights, (at.size, 1))
        retrial = np.ones(at.size)
        chosen = np.empty((at.size, self._K), np.int64)
        taken = np.zeros((at.size, self._N), bool)
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
        if self._outcomes:
            self._outcomes.observe(query, context, assortment, pick)
        if pick >= 0:
            self._since.pop(query, None)


def acqb_memory(
    service: Service,
    streams: Streams,
    rows: ScoredRows | None = None,
    settings: MemorySettings = DEFAULT,
    spreads: Sequence[float] = SPREADS,
) -> MemoryLearner:
    """A policy with memory, which starts from scored rows if it is given any.

    The parameters, their spread and the correlation of effects then come from the rows. Of `spreads` the
    one is used under which the rows are most probable, whatever `settings` says.
    """
    if rows is None:
        filter_ = Filter(service.contexts, service.n_models, settings.prior)
    else:
        filter_ = studied(service.contexts, rows.contexts, rows.rates, settings.prior, spreads)
    return MemoryLearner(service, streams, settings, filter_)


def _entry(name: str, settings: MemorySettings = DEFAULT, rows: str | None = None) -> PolicyEntry:
    return PolicyEntry(name, partial(acqb_memory, settings=settings), rows=rows)


ACQB_M = _entry("ACQB-M")
ACQB_MW = _entry("ACQB-MW", rows="refinement")
ACQB_W = _entry("ACQB-W", NO_MEMORY, rows="refinement")
ACQB_M_QUERY = _entry("ACQB-M-query", QUERY_ALONE)
ACQB_MW_QUERY = _entry("ACQB-MW-query", QUERY_ALONE, rows="refinement")
ACQB_M_AGED = _entry("ACQB-M-aged", MemorySettings(ageing=AGEING))
# Scales chosen on tuning rows and seeds 100 to 103 of RouterBench and ParetoBandit at K = 1.
_recall = partial(
    MemorySettings, Prior(context=NARROW, hypotheses=FEW), intercepts_only=True, patience=PATIENCE
)
RECALL = _entry("ACQB-recall", _recall(sampling=0.8))
RECALL_ROWS = PolicyEntry(
    "ACQB-recall-rows",
    partial(acqb_memory, settings=_recall(sampling=0.5), spreads=(NARROW,)),
    rows="refinement",
)
