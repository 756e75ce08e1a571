"""The joint filter over parameters, the effects of the waiting queries, and the hypotheses.

A round in which the assortment S was offered to query q costs one rank-one update of size N per
hypothesis for the effect b_q, and one of size d per offered model for theta. The parameters see the
MARGINAL likelihood of the round given the query's past: a retrial that b_q explains moves theta little,
so hard queries, which are served often, do not dominate it.
"""

import numpy as np
from scipy.special import ndtr

from . import Prior
from .beliefs import Moments, Slots, Utilities, likelihoods, mix, moments, tempered

SLIP = 0.001  # the probability that a score contradicts the capability
PRIOR_ROWS = 30.0  # weight of the prior correlation, in rows
NO_QUERY = np.iinfo(np.int64).min  # the number of a slot that belongs to no query
SMALLEST = 0.02  # eigenvalue of the shrunk correlation


class Filter:
    """Beliefs about all waiting queries.

    Parameters
    ----------
    contexts : (C, d) float64; only rows of queries that have arrived are read. May be replaced by more.
    n_models : N. prior : of the utilities, and the hypotheses.
    correlations : (H, N, N) correlation of the effects by hypothesis; by default each hypothesis's own.
    """

    AS_BUILT = ("contexts",)

    def __init__(
        self,
        contexts: np.ndarray,
        n_models: int,
        prior: Prior,
        correlations: np.ndarray | None = None,
    ) -> None:
        self.contexts, self._prior = contexts, prior
        self.hypotheses = hypotheses = prior.hypotheses
        self.share, self.low, self.high = (
            np.array([getattr(h, name) for h in hypotheses]) for name in ("share", "low", "high")
        )
        if correlations is None:
            correlations = np.array([h.correlation(n_models) for h in hypotheses])
        self.covariance = self.share[:, None, None] * correlations
        by_prompt = np.array([h.unit == "prompt" for h in hypotheses])
        self.utilities = Utilities(n_models, contexts.shape[1] + 1)
        self.log_evidence = np.zeros(len(hypotheses))
        self._slots = Slots(self.covariance, by_prompt, contexts.shape[1] + 1)

    @property
    def weights(self) -> np.ndarray:
        """(H,) posterior probabilities of the hypotheses."""
        weight = np.exp(self.log_evidence - self.log_evidence.max())
        return weight / weight.sum()

    def arrive(self, queries: list[int], contexts: list[int]) -> np.ndarray:
        """Slots of the waiting queries, opened for those that are new: (q,) int."""
        for query, context in zip(queries, contexts, strict=True):
            if query not in self._slots.of:
                phi = self._features(self.contexts[context])
                self._slots.open(query, context, phi, self.utilities.of(phi))
        return np.array([self._slots.of[query] for query in queries])

    def _features(self, x: np.ndarray) -> np.ndarray:
        return np.append(self._prior.context * x, self._prior.intercept)

    def latent(self, at: np.ndarray, live: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance of the latent numbers at the slots: (q, H, N) each, live hypotheses only."""
        s = self._slots
        mean = s.utility[at][:, None, :] + s.effect[at][:, live]
        variance = s.spread[at][:, live] + (1.0 - self.share[live])[:, None]
        return mean, variance

    def uncertainty(self, at: np.ndarray) -> np.ndarray:
        """Variances of the utilities at the slots, (q, N)."""
        return np.maximum(self._slots.doubt[at], 0.0)

    @property
    def intercept_variance(self) -> np.ndarray:
        """Posterior variance of the utility at a context of zeros, (N,): a slot that never closes."""
        if NO_QUERY not in self._slots.of:
            phi = self._features(np.zeros(self.contexts.shape[1]))
            self._slots.open(NO_QUERY, NO_QUERY, phi, self.utilities.of(phi))
        return self.uncertainty(np.array([self._slots.of[NO_QUERY]]))[0]

    def effects(self, at: np.ndarray, live: np.ndarray, models: np.ndarray) -> np.ndarray:
        """Covariances of the effects with that of one model per slot: (q, H, N)."""
        return self._slots.covariance[at[:, None], np.flatnonzero(live), :, models[:, None]]

    def observe(self, query: int, assortment: tuple[int, ...], pick: int) -> None:
        """Learn from one round."""
        slot = self._slots.of[query]
        order = sorted(assortment, key=lambda j: j != pick)  # the picked model first
        weights = self.weights
        for rank, j in enumerate(order):
            found = self._moments(slot, j, pick, [i for i in order if i != j])
            self._learn(slot, j, weights, found)
            if rank == 0:
                # The others are summed over, so this is the probability of the whole round.
                first = np.log(found[0])
        self.log_evidence += first
        self._slots.share_prompt(slot)
        if pick >= 0:
            self._slots.close(query)

    def _moments(self, slot: int, j: int, pick: int, others: list[int]) -> Moments:
        s = self._slots
        mean = s.utility[slot] + s.effect[slot]
        variance = s.spread[slot] + (s.doubt[slot] + (1.0 - self.share)[:, None])
        capable = ndtr(mean / np.sqrt(variance))
        l0, l1 = likelihoods(j, pick, others, capable, self.low, self.high)
        return moments(mean[:, j], variance[:, j], l0, l1)

    def _learn(self, slot: int, j: int, weights: np.ndarray, found: Moments) -> None:
        """Move the query's effect in every hypothesis, and the parameters by their mixture."""
        Z, slope, curvature = found
        joint = weights * Z
        self._slots.move_effect(slot, j, slope, curvature)
        a, b = mix(joint / joint.sum(), slope, curvature)
        covariance, b = self.utilities.observe(j, self._slots.features[slot], a, b)
        self._slots.move_utilities(j, covariance, a, b)

    def study(self, contexts: np.ndarray, rates: np.ndarray) -> None:
        """Learn the parameters from fully scored rows; the hypotheses keep their weights.

        The scores of a row share one effect b, so eleven scores of one prompt count only for as much
        as the correlation between the models allows.

        Parameters
        ----------
        contexts : (n, d). rates : (n, N) departure rate of each model on each row, in [0, 1].
        """
        evidence = self.log_evidence.copy()
        for row, (x, scores) in enumerate(zip(contexts, rates, strict=True)):
            phi, name = self._features(x), -1 - row
            self._slots.open(name, name, phi, self.utilities.of(phi))
            for j, rate in enumerate(scores.tolist()):
                self.observe_score(name, j, rate)
            self._slots.close(name)
        self.log_evidence = evidence

    def observe_score(self, query: int, j: int, rate: float) -> None:
        """Learn from one score of a query: model j departs it at `rate`, in [0, 1].

        It counts as one answer that is evidence of a capable model for the share `rate`, and of an
        incapable one for the rest: a rate near 0 or 1 reveals the capability, one of 1/2 says that the
        model is neither.
        """
        slot, s = self._slots.of[query], self._slots
        mean = s.utility[slot, j] + s.effect[slot, :, j]
        variance = s.spread[slot, :, j] + s.doubt[slot, j] + 1.0 - self.share
        capable, incapable = (moments(mean, variance, low, 1.0 - low) for low in (SLIP, 1.0 - SLIP))
        found = tempered(rate, capable, incapable)
        self._learn(slot, j, self.weights, found)
        self.log_evidence += np.log(found[0])


def studied(contexts: np.ndarray, rows: np.ndarray, rates: np.ndarray, prior: Prior) -> Filter:
    """A filter that has learned from scored rows, which also give the correlations of the effects.

    Parameters
    ----------
    contexts : (C, d) of the queries to come. rows : (n, d). rates : (n, N) departure rates, in [0, 1].
    """
    n_models = rates.shape[1]
    correlations = [correlation_of(rates, h.correlation(n_models)) for h in prior.hypotheses]
    filter_ = Filter(contexts, n_models, prior, np.array(correlations))
    filter_.study(rows, rates)
    return filter_


def correlation_of(rates: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """Latent correlation (N, N) of departure rates (n, N), shrunk towards `prior` and made definite.

    Recorded rates are nearly two-valued. ``sin(pi/2 r)`` turns the correlation r of two signs into that
    of the normals behind them (Sheppard, 1899: exact where both signs are equally likely, close to it
    elsewhere). A model with a constant column has the prior correlation.
    """
    n = rates.shape[0]
    signs = rates - rates.mean(axis=0)
    scale = np.sqrt((signs * signs).mean(axis=0))
    varies = scale > 0
    r = (signs.T @ signs) / n / np.outer(np.where(varies, scale, 1.0), np.where(varies, scale, 1.0))
    known = np.outer(varies, varies)
    latent = np.where(known, np.sin(0.5 * np.pi * r), prior)
    mixed = (n * latent + PRIOR_ROWS * prior) / (n + PRIOR_ROWS)
    np.fill_diagonal(mixed, 1.0)
    values, vectors = np.linalg.eigh(mixed)
    definite = (vectors * np.maximum(values, SMALLEST)) @ vectors.T
    root = np.sqrt(np.diagonal(definite))
    return definite / np.outer(root, root)
