"""ACQB written down as plainly as the paper states it: slow, and obviously right.

Every round factorises every model's precision matrix and re-estimates by SciPy's L-BFGS over the
list of all rounds. The yardstick of the fast learner, for decisions and for speed.
"""

import math
from itertools import combinations

import numpy as np
from scipy.linalg import solve_triangular
from scipy.optimize import minimize

from cqb.exploration import solve_c1
from cqb.policies.base import Service
from cqb.posterior import optimistic_draws
from cqb.simulate import Decision, Waiting
from cqb.streams import Streams


class ReferenceLearner:
    def __init__(self, service: Service, streams: Streams) -> None:
        self.s, self.x, self.K, self.N = (
            service.learner,
            service.contexts,
            service.K,
            service.n_models,
        )
        self.d = self.x.shape[1]
        self.c1 = solve_c1(self.s.exploration_rate, service.arrival_rate, service.T)
        self.coins = streams.uniforms("exploration", service.T)
        self.normals = streams.rounds("posterior")
        self.assortments = list(combinations(range(self.N), self.K))
        self.explored = 0
        self.theta = np.zeros((self.N, self.d))
        self.V = np.tile(self.s.lambda0 * np.eye(self.d), (self.N, 1, 1))
        self.rounds = 0
        self.contexts = np.empty((service.T, self.d))
        self.offered = np.empty((service.T, self.K), int)
        self.picks = np.empty(service.T, int)

    def choose(self, t: int, waiting: Waiting) -> Decision:
        if waiting.fresh and self.coins[t - 2] < min(1.0, self.c1 / math.sqrt(t)):
            assortment = self.assortments[self.explored % len(self.assortments)]
            self.explored += 1
            return Decision(len(waiting.query) - 1, assortment, forced=True)
        scores = self._scores(t, waiting)
        best, choice = -np.inf, None
        for position, row in enumerate(scores):
            top = np.argsort(-row, kind="stable")[: self.K]
            rate = 1.0 - 1.0 / (1.0 + np.exp(row[top]).sum())
            if rate > best + 1e-12:
                best, choice = rate, Decision(position, tuple(sorted(top.tolist())))
        return choice

    def _scores(self, t: int, waiting: Waiting) -> np.ndarray:
        """(q, N) optimistic sampled utilities, in queue order."""
        q, M = len(waiting.query), optimistic_draws(self.K)
        order = np.argsort(-np.array(waiting.query))
        rows = self.x[np.array(waiting.context)[order]]
        normals = self.normals.at(t).standard_normal((q, self.N, M))
        s, spread = self.s, self.d * math.log(1 + t * self.K / (self.d * self.s.lambda0))
        alpha = s.kappa / 2 * math.sqrt(spread + 4 * math.log(t)) + s.kappa * math.sqrt(s.lambda0)
        scores = np.empty((q, self.N))
        for j, factor in enumerate(np.linalg.cholesky(self.V)):
            half = solve_triangular(factor, rows.T, lower=True)
            lower = _factor(half.T @ half)
            drawn = lower @ normals[:, j] * (s.alpha_coef * alpha)
            scores[order, j] = rows @ self.theta[j] + drawn.max(axis=1)
        return scores

    def observe(self, t, query, context, assortment, pick) -> None:
        x = self.x[context]
        self.V[list(assortment)] += np.outer(x, x)
        n = self.rounds
        self.contexts[n], self.offered[n], self.picks[n] = x, assortment, pick
        self.rounds = n + 1
        block = np.array(assortment)
        in_block = self.offered[: n + 1, :, None] == block  # (rounds, slots, block)
        rows = np.flatnonzero(in_block.any(axis=(1, 2)))
        in_block, contexts, theirs = in_block[rows], self.contexts[rows], self.offered[rows]
        odds = np.exp(np.einsum("td,tkd->tk", contexts, self.theta[theirs]))
        others = np.where(in_block.any(axis=2), 0.0, odds).sum(axis=1)
        offered = in_block.any(axis=1)
        picks = (self.picks[rows, None] == block).astype(float)
        # A line search may step to where odds overflow; its loss is infinite there, and it comes back.
        with np.errstate(over="ignore", invalid="ignore"):
            found = minimize(
                self._loss,
                self.theta[block].ravel(),
                (contexts, offered, picks, 1.0 + others),
                jac=True,
                method="L-BFGS-B",
                options={"gtol": 1e-7, "ftol": 0.0, "maxiter": 2000, "maxcor": 30},
            )
        self.theta[block] = found.x.reshape(self.K, self.d)

    def _loss(self, flat, contexts, offered, picks, base):
        theta = flat.reshape(self.K, self.d)
        utilities = contexts @ theta.T
        odds = offered * np.exp(utilities)
        total = base + odds.sum(axis=1)
        loss = np.log(total).sum() - (picks * utilities).sum()
        slope = (odds / total[:, None] - picks).T @ contexts + self.s.lambda0 * theta
        return loss + 0.5 * self.s.lambda0 * (flat @ flat), slope.ravel()


def _factor(covariance: np.ndarray) -> np.ndarray:
    """Cholesky row by row; a query that repeats an earlier one has nothing of its own to draw."""
    lower = np.zeros_like(covariance)
    for i in range(len(covariance)):
        for k in range(i + 1):
            rest = covariance[i, k] - lower[i, :k] @ lower[k, :k]
            if i == k:
                lower[i, i] = math.sqrt(rest) if rest > 1e-11 * covariance[i, i] else 0.0
            elif lower[k, k] > 0:
                lower[i, k] = rest / lower[k, k]
    return lower
